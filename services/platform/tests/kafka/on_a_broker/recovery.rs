//! Events that Kafka loses or deletes are read from the log; a log that does not match the cursor stops the
//! consumer.

use std::time::Duration;

use platform::bus::{Error, PartitionState, ensure_topics, inspect_topic};
use uuid::Uuid;

use super::{all_in_order, interleaved, numbered};
use crate::support::kafka::{CONSUMER, KafkaFixture, PRODUCER, bootstrap, raw, start};
use crate::support::{event, until};

/// The partitions that have or had records, as `doctor` sees them; None when the topic does not exist.
async fn partitions(fixture: &KafkaFixture) -> Option<Vec<PartitionState>> {
    let state = inspect_topic(&fixture.config, &fixture.keyring, CONSUMER, PRODUCER).await;
    let mut partitions = state.unwrap().partitions?;
    assert_eq!(partitions.len(), 16);
    partitions.retain(|partition| partition.high > 0);
    Some(partitions)
}

#[tokio::test]
async fn a_topic_that_is_deleted_and_created_again_loses_no_event() {
    let fixture = KafkaFixture::new().await;
    let kafka = bootstrap().await;
    let consumer = fixture.start_consumer();
    fixture.emit(&interleaved(20, 5)).await;
    fixture.until_received(100).await;
    let used = partitions(&fixture).await.unwrap();
    assert!(!used.is_empty());
    for partition in used {
        // Every record is one event, and the first is at offset 0.
        assert_eq!(
            (partition.low, partition.last),
            (0, Some(partition.high)),
            "{partition:?}"
        );
    }
    raw::delete_topic(&kafka, &fixture.topic()).await;
    until("the topic is deleted", async || {
        partitions(&fixture).await.is_none()
    })
    .await;
    // Events appended while there is no topic are read from the log.
    fixture.append(&numbered(20, 6..=10)).await;
    fixture.until_received(200).await;
    until("the topic can be created again", async || {
        ensure_topics(&fixture.config, &[PRODUCER]).await.is_ok()
    })
    .await;
    until("publishing continues", async || {
        fixture.unpublished().await == 0
    })
    .await;
    fixture.emit(&numbered(20, 11..=12)).await;
    fixture.until_received(240).await;
    all_in_order(&fixture, 20, 12).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn offsets_reset_in_either_direction_lose_and_repeat_no_event() {
    for to_end in [true, false] {
        let fixture = KafkaFixture::new().await;
        let kafka = bootstrap().await;
        let group = fixture.config.group(CONSUMER, PRODUCER);
        let consumer = fixture.start_consumer();
        fixture.emit(&interleaved(20, 5)).await;
        fixture.until_received(100).await;
        consumer.stop().await.unwrap();
        fixture.emit(&numbered(20, 6..=10)).await;
        // A static member keeps its partitions for the length of a session after it has stopped.
        until("the static member is expired", async || {
            raw::reset_offsets(&kafka, &fixture.topic(), &group, to_end)
        })
        .await;
        for partition in partitions(&fixture).await.unwrap() {
            let expected = if to_end {
                partition.high
            } else {
                partition.low
            };
            assert_eq!(partition.committed, Some(expected), "{partition:?}");
        }
        let consumer = fixture.start_consumer();
        fixture.until_received(200).await;
        all_in_order(&fixture, 20, 10).await;
        consumer.stop().await.unwrap();
    }
}

#[tokio::test]
async fn acknowledged_records_that_kafka_lost_are_recovered_within_two_comparisons() {
    let fixture = KafkaFixture::new().await;
    let kafka = bootstrap().await;
    fixture.emit(&interleaved(20, 5)).await;
    raw::delete_all_records(&kafka, &fixture.topic()).await;
    let since = tokio::time::Instant::now();
    let consumer = fixture.start_consumer();
    fixture.until_received(100).await;
    assert!(since.elapsed() < Duration::from_secs(30));
    all_in_order(&fixture, 20, 5).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_consumer_stopped_longer_than_kafka_retention_continues_in_order() {
    let fixture = KafkaFixture::new().await;
    let kafka = bootstrap().await;
    let consumer = fixture.start_consumer();
    fixture.emit(&interleaved(20, 5)).await;
    fixture.until_received(100).await;
    // A slow broker's records are first read from the log; their offsets are committed when Kafka delivers them.
    until("every offset is committed", async || {
        let used = partitions(&fixture).await.unwrap();
        used.iter().all(|p| p.committed == Some(p.high))
    })
    .await;
    consumer.stop().await.unwrap();
    fixture.emit(&numbered(20, 6..=50)).await;
    raw::delete_all_records(&kafka, &fixture.topic()).await;
    for partition in partitions(&fixture).await.unwrap() {
        let expired = partition
            .committed
            .is_some_and(|offset| offset < partition.low);
        assert!(expired && partition.last.is_none(), "{partition:?}");
    }
    fixture.emit(&numbered(20, 51..=60)).await;
    let consumer = fixture.start_consumer();
    fixture.until_received(1200).await;
    all_in_order(&fixture, 20, 60).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_that_is_killed_and_restarted_loses_and_repeats_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = start(dir.path().to_owned()).await;
    let fixture = KafkaFixture::with_config(broker.bootstrap(), |config| {
        config.delivery_timeout_millis = 3_000;
    })
    .await;
    let consumer = fixture.start_consumer();
    fixture.emit(&interleaved(20, 5)).await;
    broker.kill().await;
    fixture.append(&numbered(20, 6..=50)).await;
    // Without a broker the log is sufficient.
    fixture.until_received(1000).await;
    broker.restart().await.unwrap();
    until("publishing continues", async || {
        fixture.unpublished().await == 0
    })
    .await;
    fixture.emit(&numbered(20, 51..=55)).await;
    fixture.until_received(1100).await;
    all_in_order(&fixture, 20, 55).await;
    consumer.stop().await.unwrap();
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_log_from_a_restored_backup_stops_the_consumer() {
    let damages = [
        (
            "update log_shard set position = position - 1, published_to = 0 where position > 0",
            "beyond the head",
        ),
        (
            "update log_shard set event_id = gen_random_uuid() where position > 0",
            "the head is a different event",
        ),
        (
            "update log_shard set floor = position + 5, position = position + 9 where position > 0",
            "no longer kept",
        ),
    ];
    for (damage, why) in damages {
        let fixture = KafkaFixture::new().await;
        let consumer = fixture.start_consumer();
        let case = Uuid::new_v4();
        fixture.emit(&[event(case, 1), event(case, 2)]).await;
        fixture.until_received(2).await;
        consumer.stop().await.unwrap();
        assert!(
            sqlx::query(damage)
                .execute(&fixture.producer_pool)
                .await
                .unwrap()
                .rows_affected()
                > 0
        );
        let stopped = fixture.start_consumer().wait().await;
        assert!(
            matches!(&stopped, Err(Error::RestoredBackup { why: w, .. }) if w.contains(why)),
            "{damage}: {stopped:?}"
        );
    }
}

#[tokio::test]
async fn a_topic_with_more_events_than_the_log_stops_the_consumer() {
    let fixture = KafkaFixture::new().await;
    let case = Uuid::new_v4();
    fixture
        .emit(&(1..=4).map(|n| event(case, n)).collect::<Vec<_>>())
        .await;
    let kafka = bootstrap().await;
    let found = raw::read_all(&kafka, &fixture.topic());
    // Kafka lost the middle, and the log was restored to a state before its end.
    raw::delete_all_records(&kafka, &fixture.topic()).await;
    let records: Vec<_> = found.values().flatten().map(raw::copy).collect();
    raw::write(
        &kafka,
        &fixture.topic(),
        [records[0].clone(), records[3].clone()],
    )
    .await;
    for damage in [
        "update log_shard s set position = 2, published_to = 2, event_id = (select id from event where position = 2) where position > 0",
        "delete from event where position > 2",
    ] {
        sqlx::query(damage)
            .execute(&fixture.producer_pool)
            .await
            .unwrap();
    }
    let stopped = fixture.start_consumer().wait().await;
    assert!(
        matches!(&stopped, Err(Error::RestoredBackup { why, .. }) if why.contains("beyond the head")),
        "{stopped:?}"
    );
}
