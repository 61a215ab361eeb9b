//! Sends records to one topic and reports for each whether it was acknowledged, permanently rejected, or
//! unknown.
//!
//! Retries only as the library does for a single record. `Acknowledged` always means by every in-sync
//! replica.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _, PurgeConfig};

use super::client_log::ClientLogger;
use super::{KafkaBus, record};
use crate::envelope::Envelope;

/// How long closing a producer waits for unsent records.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

type SharedClient = Arc<FutureProducer<ClientLogger>>;

/// Sends to one topic. Creates a new client after a fatal error of the library.
pub(crate) struct Producer {
    bus: KafkaBus,
    topic: String,
    client: Mutex<Option<SharedClient>>,
}

/// Why a record was not sent.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The local queue is full; try later.
    Full,
    /// See [`Outcome::Refused`].
    Rejected(String),
    /// Try later, possibly with a new client.
    Failed(String),
}

/// Result of sending a record.
#[derive(Debug)]
pub(crate) enum SendOutcome {
    Acknowledged,
    /// Kafka will never accept the record as it is, or in the batch it was sent in.
    Rejected(String),
    /// The record may or may not have been written; send it again.
    Unknown(String),
}

/// A record in flight.
pub(crate) struct Delivery(DeliveryFuture);

impl Delivery {
    pub(crate) async fn outcome(self) -> SendOutcome {
        match self.0.await {
            Ok(Ok(_)) => SendOutcome::Acknowledged,
            Ok(Err((error, _))) if is_permanent(&error) => SendOutcome::Rejected(error.to_string()),
            Ok(Err((error, _))) => SendOutcome::Unknown(error.to_string()),
            // The client was dropped before the delivery completed.
            Err(_) => SendOutcome::Unknown("the delivery was cancelled".into()),
        }
    }
}

impl Producer {
    pub(crate) fn new(bus: KafkaBus, service: &str) -> Self {
        Self {
            topic: bus.topic(service),
            bus,
            client: Mutex::default(),
        }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn send(&self, event: &Envelope) -> Result<Delivery, SendError> {
        let client = self
            .client()
            .map_err(|e| SendError::Failed(e.to_string()))?;
        let headers = record::headers(event, self.bus.keyring())
            .map_err(|e| SendError::Failed(e.to_string()))?;
        let record = FutureRecord::<(), [u8]>::to(&self.topic)
            .partition(event.shard.into())
            .payload(&event.payload)
            .headers(headers);
        client
            .send_result(record)
            .map(Delivery)
            .map_err(|(error, _)| match error {
                KafkaError::MessageProduction(Code::QueueFull) => SendError::Full,
                error if is_permanent(&error) => SendError::Rejected(error.to_string()),
                error => SendError::Failed(error.to_string()),
            })
    }

    /// Drops the client after a fatal error, which is permanent (librdkafka, "Fatal errors"). The results of
    /// its records in flight become unknown. Returns whether there was such an error.
    pub(crate) async fn rebuild_if_fatal(&self) -> bool {
        let fatal = {
            let mut current = self.lock_client();
            let fatal = current.as_ref().and_then(|c| c.client().fatal_error());
            if let Some((code, reason)) = &fatal {
                tracing::error!(
                    alarm = "producer_rebuilt",
                    kafka.topic = self.topic,
                    kafka.code = ?code,
                    reason,
                    "the Kafka producer failed permanently; creating a new one"
                );
            }
            fatal.and_then(|_| current.take())
        };
        let Some(client) = fatal else { return false };
        client.purge(PurgeConfig::default().queue().inflight());
        drop_off_runtime(client).await;
        true
    }

    /// Waits for records in flight; dropping a client discards its queue.
    pub(crate) async fn close(&self) {
        let Some(client) = self.lock_client().take() else {
            return;
        };
        let topic = self.topic.clone();
        let flushed = tokio::task::spawn_blocking(move || client.flush(FLUSH_TIMEOUT)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            // Nothing is lost: `published_to` did not advance past them.
            tracing::warn!(
                kafka.topic = topic,
                "some records were not delivered in time; they are sent again at the next start"
            );
        }
    }

    fn client(&self) -> Result<SharedClient, KafkaError> {
        let mut current = self.lock_client();
        if let Some(client) = current.as_ref() {
            return Ok(client.clone());
        }
        let client = Arc::new(self.connect()?);
        *current = Some(client.clone());
        Ok(client)
    }

    fn connect(&self) -> Result<FutureProducer<ClientLogger>, KafkaError> {
        let settings = &self.bus.settings;
        let mut config = self.bus.client_config();
        config
            // Acknowledged by every in-sync replica, without duplicates, in order.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "5")
            .set(
                "message.timeout.ms",
                settings.delivery_timeout_millis.to_string(),
            )
            .set("message.max.bytes", settings.record_bytes.to_string())
            .set("retry.backoff.max.ms", "1000")
            .set("linger.ms", "2")
            .set("compression.type", "lz4")
            .set(
                "queue.buffering.max.messages",
                settings.queue_records.to_string(),
            )
            .set("queue.buffering.max.kbytes", "65536");
        FutureProducer::from_config_and_context(&config, ClientLogger)
    }

    fn lock_client(&self) -> std::sync::MutexGuard<'_, Option<SharedClient>> {
        // The mutex guards a single handle, which cannot be half-written.
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropping a client joins its threads, which must not block a runtime thread.
async fn drop_off_runtime(client: SharedClient) {
    let _ = tokio::task::spawn_blocking(move || drop(client)).await;
}

/// Whether Kafka rejects the record itself.
fn is_permanent(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::MessageSizeTooLarge
                | Code::InvalidMessageSize
                | Code::MessageBatchTooLarge
                | Code::InvalidRecord
                | Code::InvalidTimestamp
        )
    )
}
