//! One consumer's membership in its group, and the records that it receives.
//!
//! Offsets only decide where reading starts: they are stored after the cursors of their events are committed,
//! and nothing else is derived from them. Only records with a valid MAC are returned as events.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt as _;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::client_log::ClientLogger;
use super::{KafkaBus, RecordError, record};
use crate::envelope::Envelope;
use crate::metrics::Counter;

/// Rejected records may arrive by the million: all are counted, and logged at most once in this interval.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How long closing waits for the partitions to be released, and then for the library to finish.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

static REJECTED: Counter = Counter::new(
    "takedown.bus.rejected",
    "{record}",
    "Records without a valid MAC of their producer; they are skipped.",
);

pub(crate) struct Subscription {
    bus: KafkaBus,
    consumer: &'static str,
    producer: &'static str,
    topic: String,
    client: ConsumerClient,
    rejected: Mutex<RejectedRecords>,
}

/// The library's client. Closing it may never finish (librdkafka #4884: a partition assigned while the client
/// closes), so it closes on a background thread.
struct ConsumerClient(Option<StreamConsumer<ClientLogger>>);

/// Records received together: their events, by partition order, and the offsets to store once they are
/// processed.
#[derive(Default)]
pub(crate) struct RecordBatch {
    pub(crate) events: Vec<Envelope>,
    /// By partition, the offset after the last record, including rejected ones.
    offsets: BTreeMap<i32, i64>,
}

#[derive(Default)]
struct RejectedRecords {
    unlogged: u64,
    log_at: Option<Instant>,
}

impl ConsumerClient {
    /// Closes the client on a background thread; the receiver resolves when it has closed.
    fn close_in_background(&mut self) -> oneshot::Receiver<()> {
        let (closed, done) = oneshot::channel();
        if let Some(client) = self.0.take() {
            let close = move || {
                drop(client);
                let _ = closed.send(());
            };
            if let Err(error) = std::thread::Builder::new()
                .name("kafka-close".into())
                .spawn(close)
            {
                tracing::error!(%error, "could not start a thread to close a Kafka client");
            }
        }
        done
    }
}

impl Deref for ConsumerClient {
    type Target = StreamConsumer<ClientLogger>;

    fn deref(&self) -> &Self::Target {
        self.0
            .as_ref()
            .expect("the client exists until the subscription is closed")
    }
}

impl Drop for ConsumerClient {
    fn drop(&mut self) {
        drop(self.close_in_background());
    }
}

impl Subscription {
    pub(crate) fn open(
        bus: &KafkaBus,
        consumer: &'static str,
        producer: &'static str,
    ) -> Result<Self, KafkaError> {
        let settings = &bus.settings;
        let mut config = bus.client_config();
        config
            .set("group.id", settings.group(consumer, producer))
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            // Stored by us, once the cursors of the events are committed.
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            // Eager assignment: cooperative-sticky has open bugs, and the cursors make a full rebalance
            // harmless.
            .set("partition.assignment.strategy", "range")
            .set(
                "session.timeout.ms",
                settings.session_timeout_millis.to_string(),
            )
            .set(
                "heartbeat.interval.ms",
                (settings.session_timeout_millis / 4).max(1).to_string(),
            )
            .set(
                "max.poll.interval.ms",
                settings
                    .poll_interval_millis
                    .max(settings.session_timeout_millis)
                    .to_string(),
            )
            // Bounds of the in-memory queue; a fetch returns as soon as there is a byte.
            .set("fetch.min.bytes", "1")
            .set("queued.min.messages", "2000")
            .set("queued.max.messages.kbytes", "8192");
        if let Some(instance) = &settings.instance {
            config.set(
                "group.instance.id",
                format!("{consumer}-{producer}-{instance}"),
            );
        }
        let client: StreamConsumer<ClientLogger> =
            StreamConsumer::from_config_and_context(&config, ClientLogger)?;
        let topic = bus.topic(producer);
        client.subscribe(&[&topic])?;
        // Exported as 0 from the start, so that the first rejected record shows as an increase.
        REJECTED.add(0, &[("consumer", consumer), ("producer", producer)]);
        Ok(Self {
            bus: bus.clone(),
            consumer,
            producer,
            topic,
            client: ConsumerClient(Some(client)),
            rejected: Mutex::default(),
        })
    }

    /// Waits for records and returns those that have arrived, up to about `max_events`. Cancelling it loses
    /// none.
    pub(crate) async fn next_batch(&self, max_events: usize) -> Result<RecordBatch, KafkaError> {
        let mut batch = RecordBatch::default();
        self.add_record(&self.client.recv().await?, &mut batch);
        while batch.events.len() < max_events {
            // An error here is returned again by the next call.
            let Some(Ok(message)) = self.client.recv().now_or_never() else {
                break;
            };
            self.add_record(&message, &mut batch);
        }
        Ok(batch)
    }

    /// Waits without receiving records while staying in the group, which expels members that stop polling.
    pub(crate) async fn pause_for(&self, pause: Duration) {
        let paused = self.client.assignment().unwrap_or_default();
        if paused.count() > 0 && self.client.pause(&paused).is_err() {
            tracing::debug!(
                kafka.topic = self.topic,
                "could not pause; records received meanwhile are read from the log"
            );
        }
        let polling = async {
            loop {
                // A record received here is a gap later, and is then read from the log.
                let _ = self.client.recv().await;
            }
        };
        let _ = tokio::time::timeout(pause, polling).await;
        // Partitions revoked meanwhile cannot be resumed, and need not be.
        let _ = self.client.resume(&paused);
    }

    /// Stores the offsets of a processed batch.
    pub(crate) fn store_offsets(&self, batch: &RecordBatch) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &batch.offsets {
            // Can fail only for a duplicate partition or a negative offset.
            let _ = list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset));
        }
        if let Err(error) = self.client.store_offsets(&list) {
            // The partition was reassigned; its new owner drops these events as duplicates.
            tracing::debug!(kafka.topic = self.topic, %error, "offsets were not stored");
        }
    }

    /// Leaves the group (unless membership is static) and closes the client.
    pub(crate) async fn close(mut self) {
        self.client.unsubscribe();
        let until = Instant::now() + CLOSE_TIMEOUT;
        // Assignments in progress are completed and revoked while the client can still do both.
        while Instant::now() < until && self.client.assignment().is_ok_and(|list| list.count() > 0)
        {
            let _ = tokio::time::timeout(Duration::from_millis(20), self.client.recv()).await;
        }
        while self.client.recv().now_or_never().is_some() {}
        let closed = self.client.close_in_background();
        if tokio::time::timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::warn!(
                bus.consumer = self.consumer,
                kafka.topic = self.topic,
                "the Kafka client did not close in time; leaving it to a background thread"
            );
        }
    }

    fn add_record(&self, message: &BorrowedMessage<'_>, batch: &mut RecordBatch) {
        match record::read(self.producer, self.bus.keyring(), message) {
            Ok(event) => batch.events.push(event),
            Err(why) => self.reject(message, why),
        }
        batch
            .offsets
            .insert(message.partition(), message.offset() + 1);
    }

    /// Counts a rejected record. If it replaced a valid event, that event is now a gap.
    fn reject(&self, message: &BorrowedMessage<'_>, why: RecordError) {
        // The mutex guards two plain values, which cannot be half-written.
        let mut rejected = self
            .rejected
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        rejected.unlogged += 1;
        REJECTED.add(
            1,
            &[("consumer", self.consumer), ("producer", self.producer)],
        );
        let now = Instant::now();
        if rejected.log_at.is_some_and(|at| now < at) {
            return;
        }
        tracing::error!(
            alarm = "record_rejected",
            bus.consumer = self.consumer,
            kafka.topic = self.topic,
            kafka.partition = message.partition(),
            kafka.offset = message.offset(),
            records = rejected.unlogged,
            %why,
            "records without a valid MAC of their producer are skipped"
        );
        *rejected = RejectedRecords {
            unlogged: 0,
            log_at: Some(now + LOG_INTERVAL),
        };
    }
}
