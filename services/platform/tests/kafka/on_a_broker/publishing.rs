//! Positioned events are in Kafka, readable without our code, or were skipped with an alarm.

use platform::bus::{TopicError, ensure_topics};
use platform::log::{self, NewEvent};
use rdkafka::message::Message as _;
use uuid::Uuid;

use super::{all_in_order, numbered};
use crate::support::kafka::{KafkaFixture, PRODUCER, bootstrap, raw};
use crate::support::{event, number, until};

#[tokio::test]
async fn a_record_is_a_cloud_event() {
    let fixture = KafkaFixture::new().await;
    let case = Uuid::new_v4();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = NewEvent {
        traceparent: Some(trace.to_owned()),
        ..event(case, 7)
    };
    let id = event.id;
    fixture.emit(&[event]).await;
    let found = raw::read_all(&bootstrap().await, &fixture.topic());
    let partition = i32::from(log::shard_of(case));
    let record = &found[&partition][0];
    let header = |key| raw::header(record, key).unwrap();
    assert_eq!(header("ce_specversion"), "1.0");
    assert_eq!(header("ce_id"), id.to_string());
    assert_eq!(header("ce_source"), "/takedown/intake");
    assert_eq!(header("ce_type"), "takedown.v1.Counted");
    assert_eq!(header("ce_time"), "1970-01-01T00:00:00Z");
    assert_eq!(header("ce_subject"), case.to_string());
    assert_eq!(
        (header("ce_shard"), header("ce_position")),
        (partition.to_string(), "1".to_owned())
    );
    assert_eq!(header("content-type"), "application/protobuf");
    assert_eq!(header("traceparent"), trace);
    assert_eq!(number(record.payload().unwrap()), 7);
}

#[tokio::test]
async fn a_new_owner_of_a_shard_continues_from_the_published_position() {
    let mut fixture = KafkaFixture::new().await;
    let consumer = fixture.start_consumer();
    for round in 0..4 {
        let from = round * 25 + 1;
        fixture.append(&numbered(20, from..=from + 24)).await;
        // Killed at an arbitrary point; the next relay takes the shards when their leases expire.
        fixture.replace_relay().kill();
    }
    until("all events are published", async || {
        fixture.unpublished().await == 0
    })
    .await;
    fixture.until_received(2000).await;
    all_in_order(&fixture, 20, 100).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn an_event_that_kafka_rejects_is_skipped_and_read_from_the_log() {
    let fixture =
        KafkaFixture::with_config(bootstrap().await, |config| config.record_bytes = 100_000).await;
    let case = Uuid::new_v4();
    let mut events: Vec<NewEvent> = (1..=20).map(|n| event(case, n)).collect();
    for oversized in [3, 4, 11, 19] {
        events[oversized].payload.resize(300_000, 7);
    }
    let consumer = fixture.start_consumer();
    fixture.emit(&events).await;
    fixture.until_received(20).await;
    assert!(fixture.received_of(case).await.into_iter().eq(1..=20));
    let found = raw::read_all(&bootstrap().await, &fixture.topic());
    let mut published: Vec<i64> = found
        .values()
        .flatten()
        .map(|m| number(m.payload().unwrap()))
        .collect();
    published.dedup();
    let expected: Vec<i64> = (1..=20).filter(|n| ![4, 5, 12, 20].contains(n)).collect();
    assert_eq!(published, expected, "the other events are in Kafka");
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_with_the_wrong_number_of_partitions_is_refused() {
    let fixture = KafkaFixture::new().await;
    ensure_topics(&fixture.config, &[PRODUCER]).await.unwrap();
    let admin: rdkafka::admin::AdminClient<_> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap().await)
        .create()
        .unwrap();
    let topic = fixture.config.topic("dispatch");
    let wrong =
        rdkafka::admin::NewTopic::new(&topic, 8, rdkafka::admin::TopicReplication::Fixed(1));
    admin
        .create_topics([&wrong], &rdkafka::admin::AdminOptions::new())
        .await
        .unwrap();
    let refused = ensure_topics(&fixture.config, &[PRODUCER, "dispatch"])
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, TopicError::Partitions { found: 8, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("8 partitions instead of 16"));
}
