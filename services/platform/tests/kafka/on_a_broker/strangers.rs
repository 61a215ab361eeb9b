//! What nobody vouches for is passed over; what stood in a true record's place is a gap.

use uuid::Uuid;

use super::rubbish;
use crate::support::event;
use crate::support::kafka::{World, bootstrap, raw};

#[tokio::test]
async fn what_nobody_vouches_for_is_passed_over_and_moves_no_cursor() {
    let world = World::new().await;
    let kafka = bootstrap().await;
    let case = Uuid::new_v4();
    let consumer = world.consumer();
    world.say(&[event(case, 1), event(case, 2)]).await;
    world.until_heard(2).await;
    let found = raw::read_all(&kafka, &world.topic());
    let true_record = &found.values().next().unwrap()[0];
    for _ in 0..50 {
        raw::write(&kafka, &world.topic(), rubbish(true_record)).await;
    }
    world.say(&[event(case, 3), event(case, 4)]).await;
    world.until_heard(4).await;
    assert_eq!(world.heard_of(case).await, [1, 2, 3, 4]);
    assert!(world.parked().await.is_empty());
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_record_replaced_by_rubbish_is_a_gap_and_is_read_from_the_log() {
    let world = World::new().await;
    let kafka = bootstrap().await;
    let case = Uuid::new_v4();
    world
        .say(&(1..=30).map(|n| event(case, n)).collect::<Vec<_>>())
        .await;
    let found = raw::read_all(&kafka, &world.topic());
    raw::forget(&kafka, &world.topic()).await;
    let damaged = found.values().flatten().enumerate().map(|(n, m)| {
        let (partition, headers, mut payload) = raw::copy(m);
        if n % 3 == 1 {
            payload[0] ^= 1;
        }
        (partition, headers, payload)
    });
    raw::write(&kafka, &world.topic(), damaged).await;
    let _consumer = world.consumer();
    world.until_heard(30).await;
    assert!(world.heard_of(case).await.into_iter().eq(1..=30));
}
