//! What is stamped is in Kafka, as anybody can read it, or skipped with an alarm.

use platform::bus::{TopicError, ensure_topics};
use platform::log::{self, NewEvent};
use rdkafka::message::Message as _;
use uuid::Uuid;

use super::{all_in_order, rounds};
use crate::support::kafka::{PRODUCER, World, bootstrap, raw};
use crate::support::{event, number, until};

#[tokio::test]
async fn a_record_is_a_cloud_event_that_anybody_can_read() {
    let world = World::new().await;
    let case = Uuid::new_v4();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let said = NewEvent {
        traceparent: Some(trace.to_owned()),
        ..event(case, 7)
    };
    let id = said.id;
    world.say(&[said]).await;
    let found = raw::read_all(&bootstrap().await, &world.topic());
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
async fn a_new_owner_of_a_shard_goes_on_from_what_is_known_to_be_published() {
    let mut world = World::new().await;
    let consumer = world.consumer();
    for round in 0..4 {
        let from = round * 25 + 1;
        world.append(&rounds(20, from..=from + 24)).await;
        // Killed in the middle of it: the next takes the shards when their leases are over.
        world.replace_relay().kill();
    }
    until("everything is published", async || {
        world.unpublished().await == 0
    })
    .await;
    world.until_heard(2000).await;
    all_in_order(&world, 20, 100).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn an_event_that_kafka_will_not_take_is_skipped_and_read_from_the_log() {
    let world = World::with(bootstrap().await, |config| config.record_bytes = 100_000).await;
    let case = Uuid::new_v4();
    let mut events: Vec<NewEvent> = (1..=20).map(|n| event(case, n)).collect();
    for heavy in [3, 4, 11, 19] {
        events[heavy].payload.resize(300_000, 7);
    }
    let consumer = world.consumer();
    world.say(&events).await;
    world.until_heard(20).await;
    assert!(world.heard_of(case).await.into_iter().eq(1..=20));
    let found = raw::read_all(&bootstrap().await, &world.topic());
    let mut taken: Vec<i64> = found
        .values()
        .flatten()
        .map(|m| number(m.payload().unwrap()))
        .collect();
    taken.dedup();
    let light: Vec<i64> = (1..=20).filter(|n| ![4, 5, 12, 20].contains(n)).collect();
    assert_eq!(taken, light, "its neighbours are in Kafka");
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn topics_with_another_number_of_partitions_are_refused() {
    let world = World::new().await;
    ensure_topics(&world.config, &[PRODUCER]).await.unwrap();
    let admin: rdkafka::admin::AdminClient<_> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap().await)
        .create()
        .unwrap();
    let topic = world.config.topic("dispatch");
    let odd = rdkafka::admin::NewTopic::new(&topic, 8, rdkafka::admin::TopicReplication::Fixed(1));
    admin
        .create_topics([&odd], &rdkafka::admin::AdminOptions::new())
        .await
        .unwrap();
    let refused = ensure_topics(&world.config, &[PRODUCER, "dispatch"])
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, TopicError::Partitions { found: 8, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("8 partitions instead of 16"));
}
