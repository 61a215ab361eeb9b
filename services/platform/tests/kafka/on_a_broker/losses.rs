//! Whatever Kafka loses or forgets is read from the log; a log that does not fit stops the consumer.

use std::time::Duration;

use platform::bus::{Error, Seat, ensure_topics, survey};
use uuid::Uuid;

use super::{all_in_order, rounds, street};
use crate::support::kafka::{CONSUMER, PRODUCER, World, bootstrap, raw, start};
use crate::support::{event, until};

/// The partitions that hold or held something, as `doctor` sees them; None where there is no topic.
async fn seats(world: &World) -> Option<Vec<Seat>> {
    let seen = survey(&world.config, &world.keyring, CONSUMER, PRODUCER).await;
    let mut seats = seen.unwrap().seats?;
    assert_eq!(seats.len(), 16);
    seats.retain(|seat| seat.high > 0);
    Some(seats)
}

#[tokio::test]
async fn a_topic_that_was_deleted_and_made_again_loses_nothing() {
    let world = World::new().await;
    let kafka = bootstrap().await;
    let consumer = world.consumer();
    world.say(&street(20, 5)).await;
    world.until_heard(100).await;
    let seen = seats(&world).await.unwrap();
    assert!(!seen.is_empty());
    for seat in seen {
        // Every record is one event, and the first was at offset 0.
        assert_eq!((seat.low, seat.last), (0, Some(seat.high)), "{seat:?}");
    }
    raw::delete_topic(&kafka, &world.topic()).await;
    until("the topic is gone", async || seats(&world).await.is_none()).await;
    // What is said while there is no topic waits in the log, and is heard all the same.
    world.append(&rounds(20, 6..=10)).await;
    world.until_heard(200).await;
    until("the topic can be made again", async || {
        ensure_topics(&world.config, &[PRODUCER]).await.is_ok()
    })
    .await;
    until("publishing goes on", async || {
        world.unpublished().await == 0
    })
    .await;
    world.say(&rounds(20, 11..=12)).await;
    world.until_heard(240).await;
    all_in_order(&world, 20, 12).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn offsets_that_were_reset_either_way_lose_and_repeat_nothing() {
    for to_end in [true, false] {
        let world = World::new().await;
        let kafka = bootstrap().await;
        let group = world.config.group(CONSUMER, PRODUCER);
        let consumer = world.consumer();
        world.say(&street(20, 5)).await;
        world.until_heard(100).await;
        consumer.stop().await.unwrap();
        world.say(&rounds(20, 6..=10)).await;
        // A static member keeps its seat for the length of a session after it is gone.
        until("the seat is free", async || {
            raw::reset(&kafka, &world.topic(), &group, to_end)
        })
        .await;
        for seat in seats(&world).await.unwrap() {
            let place = if to_end { seat.high } else { seat.low };
            assert_eq!(seat.committed, Some(place), "{seat:?}");
            assert_eq!(seat.next, (!to_end).then_some(1), "{seat:?}");
        }
        let consumer = world.consumer();
        world.until_heard(200).await;
        all_in_order(&world, 20, 10).await;
        consumer.stop().await.unwrap();
    }
}

#[tokio::test]
async fn acknowledged_records_that_kafka_lost_are_mended_within_two_comparisons() {
    let world = World::new().await;
    let kafka = bootstrap().await;
    world.say(&street(20, 5)).await;
    raw::forget(&kafka, &world.topic()).await;
    let since = tokio::time::Instant::now();
    let consumer = world.consumer();
    world.until_heard(100).await;
    assert!(since.elapsed() < Duration::from_secs(30));
    all_in_order(&world, 20, 5).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_consumer_that_was_away_longer_than_kafka_keeps_goes_on_in_order() {
    let world = World::new().await;
    let kafka = bootstrap().await;
    let consumer = world.consumer();
    world.say(&street(20, 5)).await;
    world.until_heard(100).await;
    consumer.stop().await.unwrap();
    world.say(&rounds(20, 6..=50)).await;
    raw::forget(&kafka, &world.topic()).await;
    for seat in seats(&world).await.unwrap() {
        let away = seat.committed.is_some_and(|place| place < seat.low);
        assert!(away && seat.last.is_none(), "{seat:?}");
    }
    world.say(&rounds(20, 51..=60)).await;
    let consumer = world.consumer();
    world.until_heard(1200).await;
    all_in_order(&world, 20, 60).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_that_is_killed_and_comes_back_loses_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = start(dir.path().to_owned()).await;
    let world = World::with(broker.bootstrap(), |config| {
        config.delivery_timeout_millis = 3_000;
    })
    .await;
    let consumer = world.consumer();
    world.say(&street(20, 5)).await;
    broker.kill().await;
    world.append(&rounds(20, 6..=50)).await;
    // Without any broker, the log is enough.
    world.until_heard(1000).await;
    broker.restart().await.unwrap();
    until("publishing goes on", async || {
        world.unpublished().await == 0
    })
    .await;
    world.say(&rounds(20, 51..=55)).await;
    world.until_heard(1100).await;
    all_in_order(&world, 20, 55).await;
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
            "the head is another event",
        ),
        (
            "update log_shard set floor = position + 5, position = position + 9 where position > 0",
            "no longer kept",
        ),
    ];
    for (damage, why) in damages {
        let world = World::new().await;
        let consumer = world.consumer();
        let case = Uuid::new_v4();
        world.say(&[event(case, 1), event(case, 2)]).await;
        world.until_heard(2).await;
        consumer.stop().await.unwrap();
        assert!(
            sqlx::query(damage)
                .execute(&world.origin)
                .await
                .unwrap()
                .rows_affected()
                > 0
        );
        let stopped = world.consumer().ended().await;
        assert!(
            matches!(&stopped, Err(Error::RestoredBackup { why: w, .. }) if w.contains(why)),
            "{damage}: {stopped:?}"
        );
    }
}

#[tokio::test]
async fn a_kafka_that_holds_more_than_the_log_stops_the_consumer() {
    let world = World::new().await;
    let case = Uuid::new_v4();
    world
        .say(&(1..=4).map(|n| event(case, n)).collect::<Vec<_>>())
        .await;
    let kafka = bootstrap().await;
    let found = raw::read_all(&kafka, &world.topic());
    // Kafka lost the middle, and the log was restored to a state before its end.
    raw::forget(&kafka, &world.topic()).await;
    let records: Vec<_> = found.values().flatten().map(raw::copy).collect();
    raw::write(
        &kafka,
        &world.topic(),
        [records[0].clone(), records[3].clone()],
    )
    .await;
    for damage in [
        "update log_shard s set position = 2, published_to = 2, event_id = (select id from event where position = 2) where position > 0",
        "delete from event where position > 2",
    ] {
        sqlx::query(damage).execute(&world.origin).await.unwrap();
    }
    let stopped = world.consumer().ended().await;
    assert!(
        matches!(&stopped, Err(Error::RestoredBackup { why, .. }) if why.contains("beyond the head")),
        "{stopped:?}"
    );
}
