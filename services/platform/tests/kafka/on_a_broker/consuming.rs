//! Each event takes effect once, in order for its case; only events that cannot be applied and their
//! successors are parked.

use std::time::Duration;

use platform::bus::{self, ReplayStatus};

use super::{all_in_order, approval, interleaved, numbered, two_cases_of_one_shard};
use crate::support::kafka::{CONSUMER, KafkaFixture, PRODUCER, bootstrap, raw};
use crate::support::recording_handler::InjectedError;
use crate::support::{event, until};

#[tokio::test]
async fn each_event_is_applied_once_in_order_without_rights_in_the_producers_schema() {
    let fixture = KafkaFixture::new().await;
    let refused = sqlx::query("select from intake.log_shard")
        .execute(&fixture.consumer_pool)
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().code().unwrap(),
        "42501"
    );

    let consumer = fixture.start_consumer();
    fixture.emit(&interleaved(40, 10)).await;
    fixture.until_received(400).await;
    consumer.stop().await.unwrap();
    // Another process with the same name continues from the same cursor.
    let consumer = fixture.start_consumer();
    fixture.emit(&numbered(40, 11..=20)).await;
    fixture.until_received(800).await;
    consumer.stop().await.unwrap();
    all_in_order(&fixture, 40, 20).await;
    // The `after` of the consumer's `ReadLog` calls tells the producer's retention its position.
    let _consumer = fixture.start_consumer();
    until("the consumer's position is recorded", async || {
        fixture.count(&fixture.producer_pool, "select coalesce(sum(position), 0)::bigint from log_consumer where consumer = 'ledger'").await == 800
    })
    .await;
}

#[tokio::test]
async fn a_consumer_stops_at_any_time_even_during_partition_assignment() {
    let fixture = KafkaFixture::new().await;
    for millis in (0..=400).step_by(50).chain([3_000, 3_100]) {
        let consumer = fixture.start_consumer();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        consumer.stop().await.unwrap();
    }
    fixture.emit(&interleaved(4, 4)).await;
    let consumer = fixture.start_consumer();
    fixture.until_received(16).await;
    consumer.kill();
}

#[tokio::test]
async fn only_the_unprocessable_event_and_its_case_are_parked_and_replayed_in_order() {
    let fixture = KafkaFixture::new().await;
    let (blocked, healthy) = two_cases_of_one_shard();
    fixture.handler.inject(&[InjectedError::Unprocessable(2)]);
    let _consumer = fixture.start_consumer();
    let events = [
        event(blocked, 1),
        event(healthy, 10),
        event(blocked, 2),
        event(blocked, 3),
        event(healthy, 11),
    ];
    fixture.emit(&events).await;
    fixture.until_received(3).await;
    fixture.emit(&[event(healthy, 12), event(blocked, 4)]).await;
    fixture.until_received(4).await;
    assert_eq!(fixture.received_of(healthy).await, [10, 11, 12]);
    let follows = "follows a parked event".to_owned();
    let parked = [
        (2, "it does not decode".to_owned()),
        (3, follows.clone()),
        (4, follows),
    ];
    until("the later events are parked", async || {
        fixture.parked().await == parked
    })
    .await;

    fixture.handler.inject(&[]);
    let mut conn = fixture.consumer_pool.acquire().await.unwrap();
    let id = bus::request_replay(&mut conn, CONSUMER, PRODUCER, blocked, approval())
        .await
        .unwrap()
        .unwrap();
    until("the replay is done", async || {
        bus::replay_status(&mut conn, id).await.unwrap() == ReplayStatus::Done
    })
    .await;
    assert_eq!(fixture.received_of(blocked).await, [1, 2, 3, 4]);
    assert!(fixture.parked().await.is_empty());
}

#[tokio::test]
async fn database_failures_move_no_cursor_and_park_no_event() {
    let fixture = KafkaFixture::new().await;
    fixture.handler.inject(&[
        InjectedError::DatabaseOnce(2, "53100"),
        InjectedError::DatabaseOnce(3, "40001"),
        InjectedError::DatabaseOnce(3, "57P01"),
    ]);
    let consumer = fixture.start_consumer();
    fixture.emit(&interleaved(3, 5)).await;
    fixture.until_received(15).await;
    all_in_order(&fixture, 3, 5).await;
    assert!(fixture.parked().await.is_empty());
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn duplicated_reordered_and_delayed_records_change_nothing() {
    let fixture = KafkaFixture::new().await;
    let kafka = bootstrap().await;
    fixture.emit(&interleaved(20, 20)).await;
    // All records again: in reverse order, twice, and much later than they were sent.
    let found = raw::read_all(&kafka, &fixture.topic());
    let copies: Vec<_> = found.values().flatten().rev().map(raw::copy).collect();
    raw::write(&kafka, &fixture.topic(), copies).await;
    let consumer = fixture.start_consumer();
    fixture.until_received(400).await;
    let twice: Vec<_> = found
        .values()
        .flatten()
        .flat_map(|m| [raw::copy(m), raw::copy(m)])
        .collect();
    raw::write(&kafka, &fixture.topic(), twice).await;
    fixture.emit(&numbered(20, 21..=22)).await;
    fixture.until_received(440).await;
    all_in_order(&fixture, 20, 22).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn disorder_before_the_first_valid_record_is_mended() {
    let fixture = KafkaFixture::new().await;
    let kafka = bootstrap().await;
    fixture.emit(&interleaved(8, 10)).await;
    let found = raw::read_all(&kafka, &fixture.topic());
    let backwards: Vec<_> = found.values().flatten().rev().map(raw::copy).collect();
    raw::delete_all_records(&kafka, &fixture.topic()).await;
    raw::write(&kafka, &fixture.topic(), backwards).await;
    let _consumer = fixture.start_consumer();
    fixture.until_received(80).await;
    all_in_order(&fixture, 8, 10).await;
}
