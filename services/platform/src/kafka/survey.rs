//! What a topic and a group in it look like, for a person who asks what is wrong.
//!
//! Must only look: it joins no group and commits nothing. Nothing is concluded here; positions are the log's, and whoever
//! asks holds them against the log and the cursors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::metadata::MetadataPartition;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Told;
use super::record;
use super::settings::BusConfig;
use crate::sealed::Keyring;

const PATIENCE: Duration = Duration::from_secs(10);

/// A topic, as one of its groups sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// None where no broker knows the topic.
    pub seats: Option<Vec<Seat>>,
}

/// One partition. Offsets are Kafka's, positions the log's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub shard: i16,
    /// The offset of the first record that is kept.
    pub low: i64,
    /// The offset behind the last record.
    pub high: i64,
    /// Where the group goes on; None where it never said.
    pub committed: Option<i64>,
    /// The position of the last record, where its producer vouches for it.
    pub last: Option<i64>,
    /// The position of the record at `committed`, in the same way.
    pub next: Option<i64>,
}

/// Asks the brokers. Fails when none answers in time.
pub async fn survey(
    config: &BusConfig,
    keyring: &Arc<Keyring>,
    consumer: &str,
    producer: &str,
) -> Result<Survey, KafkaError> {
    let (config, keyring) = (config.clone(), Arc::clone(keyring));
    let (consumer, producer) = (consumer.to_owned(), producer.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        Surveyor::open(&config, &keyring, &consumer, &producer)?.look()
    });
    // It is neither cancelled nor does it panic; and then nobody answered.
    asked.await.unwrap_or(Err(KafkaError::Canceled))
}

struct Surveyor<'a> {
    client: BaseConsumer<Told>,
    topic: String,
    producer: &'a str,
    keyring: &'a Keyring,
}

impl<'a> Surveyor<'a> {
    fn open(
        config: &BusConfig,
        keyring: &'a Keyring,
        consumer: &str,
        producer: &'a str,
    ) -> Result<Self, KafkaError> {
        let mut client = config.client();
        client
            .set("group.id", config.group(consumer, producer))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        Ok(Self {
            client: BaseConsumer::from_config_and_context(&client, Told)?,
            topic: config.topic(producer),
            producer,
            keyring,
        })
    }

    fn look(&self) -> Result<Survey, KafkaError> {
        let metadata = self.client.fetch_metadata(Some(&self.topic), PATIENCE)?;
        let found = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == self.topic && topic.error().is_none());
        let Some(found) = found.filter(|topic| !topic.partitions().is_empty()) else {
            return Ok(Survey { seats: None });
        };
        let partitions = found.partitions().iter().map(MetadataPartition::id);
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition(&self.topic, partition);
        }
        let committed = self.client.committed_offsets(asked, PATIENCE)?;
        let mut seats = Vec::new();
        for element in committed.elements() {
            let (low, high) =
                self.client
                    .fetch_watermarks(&self.topic, element.partition(), PATIENCE)?;
            seats.push(Seat {
                // A topic of ours has 16 partitions; one with more names of shards than there are is found elsewhere.
                shard: i16::try_from(element.partition()).unwrap_or(i16::MAX),
                low,
                high,
                committed: match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                },
                last: None,
                next: None,
            });
        }
        let last = self.positions(&seats, |seat| Some(seat.high - 1))?;
        let next = self.positions(&seats, |seat| seat.committed)?;
        for seat in &mut seats {
            seat.last = last.get(&seat.shard).copied();
            seat.next = next.get(&seat.shard).copied();
        }
        Ok(Survey { seats: Some(seats) })
    }

    /// The positions of the records at those offsets that are kept.
    fn positions(
        &self,
        seats: &[Seat],
        at: impl Fn(&Seat) -> Option<i64>,
    ) -> Result<BTreeMap<i16, i64>, KafkaError> {
        let mut wanted = TopicPartitionList::new();
        for seat in seats {
            if let Some(offset) = at(seat).filter(|offset| (seat.low..seat.high).contains(offset)) {
                wanted.add_partition_offset(
                    &self.topic,
                    seat.shard.into(),
                    Offset::Offset(offset),
                )?;
            }
        }
        let mut missing: Vec<i16> = Vec::new();
        for element in wanted.elements() {
            missing.extend(i16::try_from(element.partition()));
        }
        self.client.assign(&wanted)?;
        let until = Instant::now() + PATIENCE;
        let mut found = BTreeMap::new();
        while !missing.is_empty() && Instant::now() < until {
            let Some(message) = self.client.poll(Duration::from_millis(100)) else {
                continue;
            };
            let message = message?;
            // The first of each partition is the one that was asked for; what follows it was only fetched with it.
            let Some(place) = missing
                .iter()
                .position(|shard| i32::from(*shard) == message.partition())
            else {
                continue;
            };
            let shard = missing.swap_remove(place);
            if let Ok(event) = record::read(self.producer, self.keyring, &message) {
                found.insert(shard, event.position);
            }
        }
        Ok(found)
    }
}
