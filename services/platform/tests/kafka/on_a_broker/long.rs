//! 100,000 events through everything at once.

use platform::bus::{self, Asked};
use uuid::Uuid;

use super::{approval, rubbish, street};
use crate::support::clerk::Trouble;
use crate::support::kafka::{CONSUMER, PRODUCER, World, bootstrap, raw};
use crate::support::{event, number, until};

/// 100,000 events; the consumer is stopped and falls behind, hears rubbish and an event that it does not understand yet.
#[tokio::test]
async fn a_hundred_thousand_events_through_everything() {
    const CASES: u128 = 500;
    const EACH: i64 = 200;
    let world = World::new().await;
    let kafka = bootstrap().await;
    let newer = Uuid::from_u128(7);
    // What only a newer version understands: its case waits, in order.
    let strange = 1_000_000;
    world.clerk.meets(&[Trouble::Rotten(strange)]);
    let mut all = street(CASES, EACH);
    let middle = all
        .iter()
        .position(|e| e.case_id == newer && number(&e.payload) == 101)
        .unwrap();
    all.insert(middle, event(newer, strange));
    let quarter = all.len() / 4;

    let consumer = world.consumer();
    world.say(&all[..quarter]).await;
    let found = raw::read_all(&kafka, &world.topic());
    let some: Vec<_> = found
        .values()
        .filter_map(|records| records.first())
        .flat_map(rubbish)
        .collect();
    raw::write(&kafka, &world.topic(), some.clone()).await;
    until("it has begun", async || world.heard().await > 1000).await;
    consumer.stop().await.unwrap();
    // It falls behind while the producer goes on, and among the true records there is rubbish.
    world.say(&all[quarter..2 * quarter]).await;
    raw::write(&kafka, &world.topic(), some.clone()).await;
    world.say(&all[2 * quarter..3 * quarter]).await;
    let consumer = world.consumer();
    world.say(&all[3 * quarter..]).await;
    raw::write(&kafka, &world.topic(), some).await;

    // All but the strange one and the hundred that follow it in its case.
    world.until_heard(CASES as i64 * EACH - 100).await;
    until("the followers park", async || {
        world.parked().await.len() == 101
    })
    .await;
    assert!(world.heard_of(newer).await.into_iter().eq(1..=100));

    // The version that understands it is there.
    world.clerk.meets(&[]);
    let mut conn = world.hearer.acquire().await.unwrap();
    let id = bus::ask_replay(&mut conn, CONSUMER, PRODUCER, newer, approval())
        .await
        .unwrap()
        .unwrap();
    until("the replay is done", async || {
        bus::asked(&mut conn, id).await.unwrap() == Asked::Done
    })
    .await;
    let replayed = (1..=100).chain([strange]).chain(101..=EACH);
    assert!(world.heard_of(newer).await.into_iter().eq(replayed));
    let wrong = world
        .count(
            &world.hearer,
            "select count(*) from (select case_id, number, row_number() over (partition by case_id order by n) as turn from heard) h
            where number <> turn and case_id <> '00000000-0000-0000-0000-000000000007'",
        )
        .await;
    assert_eq!(wrong, 0);
    assert_eq!(world.heard().await, CASES as i64 * EACH + 1);
    consumer.stop().await.unwrap();
}
