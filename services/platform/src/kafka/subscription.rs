//! One consumer's seat in its group, and the records that come to it.
//!
//! Offsets only say where to start reading: they are stored after the cursors of their events were committed, and
//! nothing is concluded from them. Must not give anybody a record without a true MAC.

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

use super::context::Told;
use super::{KafkaBus, Refused, record};
use crate::log::Envelope;
use crate::metrics::Counter;

/// Refused records may come by the million: they are counted, and told of once in this time.
const TELL: Duration = Duration::from_secs(10);
/// How long the end of a subscription waits for the seat to be given up, and then for the library to be done.
const PARTING: Duration = Duration::from_secs(3);

static REFUSED: Counter = Counter::new(
    "takedown.bus.refused",
    "{record}",
    "Records that their producer does not vouch for, passed over.",
);

pub(crate) struct Subscription {
    bus: KafkaBus,
    consumer: &'static str,
    producer: &'static str,
    topic: String,
    client: Client,
    refused: Mutex<Refusals>,
}

/// The library's client. Its end may never come (librdkafka #4884: a seat that is assigned while the client closes), so
/// it ends on a thread that nobody has to wait for.
struct Client(Option<StreamConsumer<Told>>);

/// What came at once: events in the order of their partitions, and where to go on once they are passed.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Envelope>,
    /// By partition, the offset behind the last record; refused ones count too.
    offsets: BTreeMap<i32, i64>,
}

#[derive(Default)]
struct Refusals {
    untold: u64,
    tell_at: Option<Instant>,
}

impl Client {
    /// Ends the client, and tells when it has ended.
    fn end(&mut self) -> oneshot::Receiver<()> {
        let (ended, end) = oneshot::channel();
        if let Some(client) = self.0.take() {
            let end = move || {
                drop(client);
                let _ = ended.send(());
            };
            if let Err(error) = std::thread::Builder::new()
                .name("kafka-end".into())
                .spawn(end)
            {
                tracing::error!(%error, "no thread to end a Kafka client on");
            }
        }
        end
    }
}

impl Deref for Client {
    type Target = StreamConsumer<Told>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("it ends with its subscription")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.end());
    }
}

impl Subscription {
    pub(crate) fn open(
        bus: &KafkaBus,
        consumer: &'static str,
        producer: &'static str,
    ) -> Result<Self, KafkaError> {
        let settings = &bus.settings;
        let mut config = bus.client();
        config
            .set("group.id", settings.group(consumer, producer))
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            // Stored by us, when the cursors of the events are committed.
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            // Eager: cooperative-sticky has open faults, and a cursor makes a full stop harmless.
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
            // Bounds of what waits in memory; an answer comes as soon as there is a byte.
            .set("fetch.min.bytes", "1")
            .set("queued.min.messages", "2000")
            .set("queued.max.messages.kbytes", "8192");
        if let Some(instance) = &settings.instance {
            config.set(
                "group.instance.id",
                format!("{consumer}-{producer}-{instance}"),
            );
        }
        let client: StreamConsumer<Told> = StreamConsumer::from_config_and_context(&config, Told)?;
        let topic = bus.topic(producer);
        client.subscribe(&[&topic])?;
        // Shown from the beginning, so that the first one is seen as one.
        REFUSED.add(0, &[("consumer", consumer), ("producer", producer)]);
        Ok(Self {
            bus: bus.clone(),
            consumer,
            producer,
            topic,
            client: Client(Some(client)),
            refused: Mutex::default(),
        })
    }

    /// Waits for records and takes what has come, up to about `most`. Cancelling it loses none.
    pub(crate) async fn next(&self, most: usize) -> Result<Batch, KafkaError> {
        let mut batch = Batch::default();
        self.take(&self.client.recv().await?, &mut batch);
        while batch.events.len() < most {
            // What fails here is told again by the next call.
            let Some(Ok(message)) = self.client.recv().now_or_never() else {
                break;
            };
            self.take(&message, &mut batch);
        }
        Ok(batch)
    }

    /// Waits without being given records, and without losing the seat: the group takes who does not ask for gone.
    pub(crate) async fn wait(&self, pause: Duration) {
        let paused = self.client.assignment().unwrap_or_default();
        if paused.count() > 0 && self.client.pause(&paused).is_err() {
            tracing::debug!(
                kafka.topic = self.topic,
                "could not pause; what comes is read from the log"
            );
        }
        let asking = async {
            loop {
                // What slips through is missing later, and then read from the log like every gap.
                let _ = self.client.recv().await;
            }
        };
        let _ = tokio::time::timeout(pause, asking).await;
        // Partitions that were taken away meanwhile cannot be resumed, and need not be.
        let _ = self.client.resume(&paused);
    }

    /// Says that everything in the batch is passed.
    pub(crate) fn passed(&self, batch: &Batch) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &batch.offsets {
            // Only a partition twice or a negative offset could fail.
            let _ = list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset));
        }
        if let Err(error) = self.client.store_offsets(&list) {
            // The partition went to another process: it will drop what we passed as duplicates.
            tracing::debug!(kafka.topic = self.topic, %error, "offsets were not stored");
        }
    }

    /// Gives the seat up (where membership is not static) and ends the client.
    pub(crate) async fn close(mut self) {
        self.client.unsubscribe();
        let until = Instant::now() + PARTING;
        // Assignments that are on their way are taken and given back while the client can still do both.
        while Instant::now() < until && self.client.assignment().is_ok_and(|list| list.count() > 0)
        {
            let _ = tokio::time::timeout(Duration::from_millis(20), self.client.recv()).await;
        }
        while self.client.recv().now_or_never().is_some() {}
        let ended = self.client.end();
        if tokio::time::timeout(PARTING, ended).await.is_err() {
            tracing::warn!(
                bus.consumer = self.consumer,
                kafka.topic = self.topic,
                "the client library does not come to its end; leaving it behind"
            );
        }
    }

    fn take(&self, message: &BorrowedMessage<'_>, batch: &mut Batch) {
        match record::read(self.producer, self.bus.keyring(), message) {
            Ok(event) => batch.events.push(event),
            Err(why) => self.refuse(message, why),
        }
        batch
            .offsets
            .insert(message.partition(), message.offset() + 1);
    }

    /// Counts what is passed over. If it stood for a true event, that is now a gap.
    fn refuse(&self, message: &BorrowedMessage<'_>, why: Refused) {
        // Two plain numbers are behind the lock: nothing can be half-written.
        let mut refused = self
            .refused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        refused.untold += 1;
        REFUSED.add(
            1,
            &[("consumer", self.consumer), ("producer", self.producer)],
        );
        let now = Instant::now();
        if refused.tell_at.is_some_and(|at| now < at) {
            return;
        }
        tracing::error!(
            alarm = "record_refused",
            bus.consumer = self.consumer,
            kafka.topic = self.topic,
            kafka.partition = message.partition(),
            kafka.offset = message.offset(),
            records = refused.untold,
            %why,
            "records that their producer does not vouch for are passed over"
        );
        *refused = Refusals {
            untold: 0,
            tell_at: Some(now + TELL),
        };
    }
}
