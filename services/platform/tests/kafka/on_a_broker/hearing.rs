//! Each event once in effect, in order for its case; what is rotten parked with its case, and nothing else.

use std::time::Duration;

use platform::bus::{self, Asked};

use super::{all_in_order, approval, neighbours, rounds, street};
use crate::support::clerk::Trouble;
use crate::support::kafka::{CONSUMER, PRODUCER, World, bootstrap, raw};
use crate::support::{event, until};

#[tokio::test]
async fn each_event_is_applied_once_in_order_by_a_consumer_without_rights_in_the_producers_schema()
{
    let world = World::new().await;
    let refused = sqlx::query("select from intake.log_shard")
        .execute(&world.hearer)
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().code().unwrap(),
        "42501"
    );

    let consumer = world.consumer();
    world.say(&street(40, 10)).await;
    world.until_heard(400).await;
    consumer.stop().await.unwrap();
    // Another process with the same name goes on where this one stood.
    let consumer = world.consumer();
    world.say(&rounds(40, 11..=20)).await;
    world.until_heard(800).await;
    consumer.stop().await.unwrap();
    all_in_order(&world, 40, 20).await;
    // The producer's retention knows how far its consumer is, by what it asked.
    let _consumer = world.consumer();
    until("the consumer has said how far it is", async || {
        world.count(&world.origin, "select coalesce(sum(position), 0)::bigint from log_consumer where consumer = 'ledger'").await == 800
    })
    .await;
}

#[tokio::test]
async fn a_consumer_ends_whenever_it_is_told_to_even_while_it_is_given_its_seat() {
    let world = World::new().await;
    for millis in (0..=400).step_by(50).chain([3_000, 3_100]) {
        let consumer = world.consumer();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        consumer.stop().await.unwrap();
    }
    world.say(&street(4, 4)).await;
    let consumer = world.consumer();
    world.until_heard(16).await;
    consumer.kill();
}

#[tokio::test]
async fn only_the_rotten_event_and_its_case_are_parked_and_replayed_in_order() {
    let world = World::new().await;
    let (rotten, healthy) = neighbours();
    world.clerk.meets(&[Trouble::Rotten(2)]);
    let _consumer = world.consumer();
    let events = [
        event(rotten, 1),
        event(healthy, 10),
        event(rotten, 2),
        event(rotten, 3),
        event(healthy, 11),
    ];
    world.say(&events).await;
    world.until_heard(3).await;
    world.say(&[event(healthy, 12), event(rotten, 4)]).await;
    world.until_heard(4).await;
    assert_eq!(world.heard_of(healthy).await, [10, 11, 12]);
    let follows = "follows a parked event".to_owned();
    let parked = [
        (2, "it does not decode".to_owned()),
        (3, follows.clone()),
        (4, follows),
    ];
    until("the followers park", async || {
        world.parked().await == parked
    })
    .await;

    world.clerk.meets(&[]);
    let mut conn = world.hearer.acquire().await.unwrap();
    let id = bus::ask_replay(&mut conn, CONSUMER, PRODUCER, rotten, approval())
        .await
        .unwrap()
        .unwrap();
    until("the replay is done", async || {
        bus::asked(&mut conn, id).await.unwrap() == Asked::Done
    })
    .await;
    assert_eq!(world.heard_of(rotten).await, [1, 2, 3, 4]);
    assert!(world.parked().await.is_empty());
}

#[tokio::test]
async fn a_database_that_is_busy_or_down_moves_nothing_and_parks_nothing() {
    let world = World::new().await;
    world.clerk.meets(&[
        Trouble::Once(2, "53100"),
        Trouble::Once(3, "40001"),
        Trouble::Once(3, "57P01"),
    ]);
    let consumer = world.consumer();
    world.say(&street(3, 5)).await;
    world.until_heard(15).await;
    all_in_order(&world, 3, 5).await;
    assert!(world.parked().await.is_empty());
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn duplicates_and_disorder_and_delay_change_nothing() {
    let world = World::new().await;
    let kafka = bootstrap().await;
    world.say(&street(20, 20)).await;
    // A proxy plays everything again: backwards, twice, and much later than it was sent.
    let found = raw::read_all(&kafka, &world.topic());
    let copies: Vec<_> = found.values().flatten().rev().map(raw::copy).collect();
    raw::write(&kafka, &world.topic(), copies).await;
    let consumer = world.consumer();
    world.until_heard(400).await;
    let twice: Vec<_> = found
        .values()
        .flatten()
        .flat_map(|m| [raw::copy(m), raw::copy(m)])
        .collect();
    raw::write(&kafka, &world.topic(), twice).await;
    world.say(&rounds(20, 21..=22)).await;
    world.until_heard(440).await;
    all_in_order(&world, 20, 22).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn disorder_before_the_first_true_record_is_mended() {
    let world = World::new().await;
    let kafka = bootstrap().await;
    world.say(&street(8, 10)).await;
    let found = raw::read_all(&kafka, &world.topic());
    let backwards: Vec<_> = found.values().flatten().rev().map(raw::copy).collect();
    raw::forget(&kafka, &world.topic()).await;
    raw::write(&kafka, &world.topic(), backwards).await;
    let _consumer = world.consumer();
    world.until_heard(80).await;
    all_in_order(&world, 8, 10).await;
}
