//! Kafka as third-party software would use it: reading a topic without our code, writing records without a
//! MAC, deleting.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{Headers as _, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(30);

fn client(bootstrap: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap);
    client
}

/// All records of a topic, by partition, in order.
pub(crate) fn read_all(bootstrap: &str, topic: &str) -> BTreeMap<i32, Vec<OwnedMessage>> {
    let consumer: BaseConsumer = client(bootstrap)
        .set("group.id", format!("raw-{topic}"))
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let (mut list, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
    for partition in 0..16 {
        let (low, high) = consumer
            .fetch_watermarks(topic, partition, TIMEOUT)
            .unwrap();
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
        if low < high {
            ends.insert(partition, high);
        }
    }
    consumer.assign(&list).unwrap();
    let mut found: BTreeMap<i32, Vec<OwnedMessage>> = BTreeMap::new();
    while !ends.is_empty() {
        let message = consumer.poll(TIMEOUT).expect("the topic has more").unwrap();
        if ends.get(&message.partition()) == Some(&(message.offset() + 1)) {
            ends.remove(&message.partition());
        }
        found
            .entry(message.partition())
            .or_default()
            .push(message.detach());
    }
    found
}

pub(crate) fn header(message: &OwnedMessage, key: &str) -> Option<String> {
    let headers = message.headers()?;
    let found = headers.iter().find(|header| header.key == key)?;
    Some(String::from_utf8(found.value?.to_vec()).unwrap())
}

/// Writes records unchanged, without creating a MAC.
pub(crate) async fn write(
    bootstrap: &str,
    topic: &str,
    records: impl IntoIterator<Item = (i32, Option<OwnedHeaders>, Vec<u8>)>,
) {
    let producer: FutureProducer = client(bootstrap).set("linger.ms", "5").create().unwrap();
    let mut sent = Vec::new();
    for (partition, headers, payload) in records {
        let mut record = FutureRecord::<(), _>::to(topic)
            .partition(partition)
            .payload(&payload);
        if let Some(headers) = headers {
            record = record.headers(headers);
        }
        sent.push(producer.send_result(record).map_err(|(e, _)| e).unwrap());
    }
    for delivery in sent {
        delivery.await.unwrap().unwrap();
    }
}

/// A copy of a record, to write it again.
pub(crate) fn copy(message: &OwnedMessage) -> (i32, Option<OwnedHeaders>, Vec<u8>) {
    (
        message.partition(),
        message.headers().cloned(),
        message.payload().unwrap_or_default().to_vec(),
    )
}

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    client(bootstrap).create().unwrap()
}

pub(crate) async fn delete_topic(bootstrap: &str, topic: &str) {
    let deleted = admin(bootstrap)
        .delete_topics(&[topic], &AdminOptions::new())
        .await
        .unwrap();
    for result in deleted {
        result.unwrap();
    }
}

/// Deletes all records of a topic, as retention or a power failure might.
pub(crate) async fn delete_all_records(bootstrap: &str, topic: &str) {
    let mut list = TopicPartitionList::new();
    for partition in 0..16 {
        list.add_partition_offset(topic, partition, Offset::End)
            .unwrap();
    }
    admin(bootstrap)
        .delete_records(&list, &AdminOptions::new())
        .await
        .unwrap();
}

/// Resets a group's offsets. Returns false while a member still holds its partitions.
pub(crate) fn reset_offsets(bootstrap: &str, topic: &str, group: &str, to_end: bool) -> bool {
    let consumer: BaseConsumer = client(bootstrap).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..16 {
        let (low, high) = consumer
            .fetch_watermarks(topic, partition, TIMEOUT)
            .unwrap();
        let offset = Offset::Offset(if to_end { high } else { low });
        list.add_partition_offset(topic, partition, offset).unwrap();
    }
    consumer.commit(&list, CommitMode::Sync).is_ok()
}
