//! Records on their way to one topic: what was acknowledged, what was refused for good, what is unknown.
//!
//! Must not retry by itself beyond what the library does for one record, and must not say "acknowledged" of anything
//! but an acknowledgement by every in-sync replica.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _, PurgeConfig};

use super::context::Told;
use super::{KafkaBus, record};
use crate::log::Envelope;

/// How long the end of a producer waits for what is on its way.
const FLUSH: Duration = Duration::from_secs(5);

type Client = Arc<FutureProducer<Told>>;

/// Sends to one topic; makes itself a new client when the library gives up on the old one.
pub(crate) struct Producer {
    bus: KafkaBus,
    topic: String,
    client: Mutex<Option<Client>>,
}

/// Why a record was not even put on its way.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// Enough is on its way: later.
    Full,
    /// See [`Outcome::Refused`].
    Refused(String),
    /// Later, perhaps by a new client.
    Failed(String),
}

/// What became of a record.
#[derive(Debug)]
pub(crate) enum Outcome {
    Acknowledged,
    /// Kafka will never take it as it is, or as it was sent together with its neighbours.
    Refused(String),
    /// It may have been written or not: the same record again.
    Unknown(String),
}

/// A record on its way.
pub(crate) struct Delivery(DeliveryFuture);

impl Delivery {
    pub(crate) async fn outcome(self) -> Outcome {
        match self.0.await {
            Ok(Ok(_)) => Outcome::Acknowledged,
            Ok(Err((error, _))) if is_for_good(&error) => Outcome::Refused(error.to_string()),
            Ok(Err((error, _))) => Outcome::Unknown(error.to_string()),
            // The client went away under it.
            Err(_) => Outcome::Unknown("the delivery was given up".into()),
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

    pub(crate) fn send(&self, event: &Envelope) -> Result<Delivery, NotSent> {
        let client = self.client().map_err(|e| NotSent::Failed(e.to_string()))?;
        let headers = record::headers(event, self.bus.keyring())
            .map_err(|e| NotSent::Failed(e.to_string()))?;
        let record = FutureRecord::<(), [u8]>::to(&self.topic)
            .partition(event.shard.into())
            .payload(&event.payload)
            .headers(headers);
        client
            .send_result(record)
            .map(Delivery)
            .map_err(|(error, _)| match error {
                KafkaError::MessageProduction(Code::QueueFull) => NotSent::Full,
                error if is_for_good(&error) => NotSent::Refused(error.to_string()),
                error => NotSent::Failed(error.to_string()),
            })
    }

    /// Gives the client up if the library has: a fatal error never passes (librdkafka, "Fatal errors"). What was on
    /// its way becomes unknown. Returns whether there was one.
    pub(crate) async fn rebuild_if_fatal(&self) -> bool {
        let fatal = {
            let mut held = self.held();
            let fatal = held.as_ref().and_then(|c| c.client().fatal_error());
            if let Some((code, reason)) = &fatal {
                tracing::error!(
                    alarm = "producer_rebuilt",
                    kafka.topic = self.topic,
                    kafka.code = ?code,
                    reason,
                    "the producer is beyond help; making a new one"
                );
            }
            fatal.and_then(|_| held.take())
        };
        let Some(client) = fatal else { return false };
        client.purge(PurgeConfig::default().queue().inflight());
        drop_aside(client).await;
        true
    }

    /// Waits for what is on its way: dropping a client throws its queue away.
    pub(crate) async fn close(&self) {
        let Some(client) = self.held().take() else {
            return;
        };
        let topic = self.topic.clone();
        let flushed = tokio::task::spawn_blocking(move || client.flush(FLUSH)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            // Nothing is lost: `published_to` did not pass it.
            tracing::warn!(
                kafka.topic = topic,
                "not everything was delivered in time; it is sent again at the next start"
            );
        }
    }

    fn client(&self) -> Result<Client, KafkaError> {
        let mut held = self.held();
        if let Some(client) = held.as_ref() {
            return Ok(client.clone());
        }
        let client = Arc::new(self.connect()?);
        *held = Some(client.clone());
        Ok(client)
    }

    fn connect(&self) -> Result<FutureProducer<Told>, KafkaError> {
        let settings = &self.bus.settings;
        let mut config = self.bus.client();
        config
            // Acknowledged by every in-sync replica, once, in order.
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
        FutureProducer::from_config_and_context(&config, Told)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Client>> {
        // Only a handle is behind the lock: nothing can be half-written.
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a client joins its threads: not on a runtime's thread.
async fn drop_aside(client: Client) {
    let _ = tokio::task::spawn_blocking(move || drop(client)).await;
}

/// Whether the record itself is what Kafka does not take.
fn is_for_good(error: &KafkaError) -> bool {
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
