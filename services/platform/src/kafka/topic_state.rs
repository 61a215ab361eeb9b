//! Inspects a topic and one consumer group of it, for `takedown doctor`.
//!
//! Read-only: it joins no group and commits nothing. It draws no conclusions; the caller compares the result
//! with the log and the cursors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::metadata::MetadataPartition;
use rdkafka::{Offset, TopicPartitionList};

use super::client_log::ClientLogger;
use super::record;
use super::settings::BusConfig;
use crate::sealed::Keyring;

const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// State of a topic, as seen by one of its consumer groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    /// None when no broker knows the topic.
    pub partitions: Option<Vec<PartitionState>>,
}

/// State of one partition. Offsets are Kafka's, positions are the log's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    pub shard: i16,
    /// Offset of the first record that is kept.
    pub low: i64,
    /// Offset after the last record.
    pub high: i64,
    /// The group's committed offset; None when it never committed one.
    pub committed: Option<i64>,
    /// Position of the last record, if its MAC is valid.
    pub last: Option<i64>,
}

/// Queries the brokers.
///
/// # Errors
/// When no broker answers within ten seconds.
pub async fn inspect_topic(
    config: &BusConfig,
    keyring: &Arc<Keyring>,
    consumer: &str,
    producer: &str,
) -> Result<TopicState, KafkaError> {
    let (config, keyring) = (config.clone(), Arc::clone(keyring));
    let (consumer, producer) = (consumer.to_owned(), producer.to_owned());
    let inspection = tokio::task::spawn_blocking(move || {
        TopicInspector::open(&config, &keyring, &consumer, &producer)?.inspect()
    });
    // The task is never cancelled and does not panic; if it did, there was no answer.
    inspection.await.unwrap_or(Err(KafkaError::Canceled))
}

struct TopicInspector<'a> {
    client: BaseConsumer<ClientLogger>,
    topic: String,
    producer: &'a str,
    keyring: &'a Keyring,
}

impl<'a> TopicInspector<'a> {
    fn open(
        config: &BusConfig,
        keyring: &'a Keyring,
        consumer: &str,
        producer: &'a str,
    ) -> Result<Self, KafkaError> {
        let mut client = config.client_config();
        client
            .set("group.id", config.group(consumer, producer))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        Ok(Self {
            client: BaseConsumer::from_config_and_context(&client, ClientLogger)?,
            topic: config.topic(producer),
            producer,
            keyring,
        })
    }

    fn inspect(&self) -> Result<TopicState, KafkaError> {
        let metadata = self
            .client
            .fetch_metadata(Some(&self.topic), QUERY_TIMEOUT)?;
        let found = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == self.topic && topic.error().is_none());
        let Some(found) = found.filter(|topic| !topic.partitions().is_empty()) else {
            return Ok(TopicState { partitions: None });
        };
        let ids = found.partitions().iter().map(MetadataPartition::id);
        let mut list = TopicPartitionList::new();
        for partition in ids {
            list.add_partition(&self.topic, partition);
        }
        let committed = self.client.committed_offsets(list, QUERY_TIMEOUT)?;
        let mut partitions = Vec::new();
        for element in committed.elements() {
            let (low, high) =
                self.client
                    .fetch_watermarks(&self.topic, element.partition(), QUERY_TIMEOUT)?;
            partitions.push(PartitionState {
                // A topic has 16 partitions. `takedown migrate` reports one with more, so an out-of-range id
                // need not be exact.
                shard: i16::try_from(element.partition()).unwrap_or(i16::MAX),
                low,
                high,
                committed: match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                },
                last: None,
            });
        }
        let last = self.last_positions(&partitions)?;
        for partition in &mut partitions {
            partition.last = last.get(&partition.shard).copied();
        }
        Ok(TopicState {
            partitions: Some(partitions),
        })
    }

    /// Reads the positions of the last records, by shard.
    fn last_positions(
        &self,
        partitions: &[PartitionState],
    ) -> Result<BTreeMap<i16, i64>, KafkaError> {
        let mut wanted = TopicPartitionList::new();
        for partition in partitions {
            if partition.low < partition.high {
                wanted.add_partition_offset(
                    &self.topic,
                    partition.shard.into(),
                    Offset::Offset(partition.high - 1),
                )?;
            }
        }
        let mut missing: Vec<i16> = Vec::new();
        for element in wanted.elements() {
            missing.extend(i16::try_from(element.partition()));
        }
        self.client.assign(&wanted)?;
        let deadline = Instant::now() + QUERY_TIMEOUT;
        let mut found = BTreeMap::new();
        while !missing.is_empty() && Instant::now() < deadline {
            let Some(message) = self.client.poll(Duration::from_millis(100)) else {
                continue;
            };
            let message = message?;
            // Only the first record of each partition was requested; later ones were merely fetched with it.
            let Some(index) = missing
                .iter()
                .position(|shard| i32::from(*shard) == message.partition())
            else {
                continue;
            };
            let shard = missing.swap_remove(index);
            if let Ok(event) = record::read(self.producer, self.keyring, &message) {
                found.insert(shard, event.position);
            }
        }
        Ok(found)
    }
}
