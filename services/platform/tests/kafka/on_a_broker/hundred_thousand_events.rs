//! 100,000 events, with restarts, invalid records and a parked case at the same time.

use platform::bus::{self, ReplayStatus};
use uuid::Uuid;

use super::{approval, interleaved, invalid_records_like};
use crate::support::kafka::{CONSUMER, KafkaFixture, PRODUCER, bootstrap, raw};
use crate::support::recording_handler::InjectedError;
use crate::support::{event, number, until};

/// The consumer is stopped and falls behind, and receives invalid records and an event that it cannot apply
/// yet.
#[tokio::test]
async fn a_hundred_thousand_events_survive_restarts_invalid_records_and_a_parked_case() {
    const CASES: u128 = 500;
    const EACH: i64 = 200;
    let fixture = KafkaFixture::new().await;
    let kafka = bootstrap().await;
    let blocked = Uuid::from_u128(7);
    // An event of a newer version, which the handler cannot apply: its case is parked, in order.
    let unknown = 1_000_000;
    fixture
        .handler
        .inject(&[InjectedError::Unprocessable(unknown)]);
    let mut all = interleaved(CASES, EACH);
    let middle = all
        .iter()
        .position(|e| e.case_id == blocked && number(&e.payload) == 101)
        .unwrap();
    all.insert(middle, event(blocked, unknown));
    let quarter = all.len() / 4;

    let consumer = fixture.start_consumer();
    fixture.emit(&all[..quarter]).await;
    let found = raw::read_all(&kafka, &fixture.topic());
    let invalid: Vec<_> = found
        .values()
        .filter_map(|records| records.first())
        .flat_map(invalid_records_like)
        .collect();
    raw::write(&kafka, &fixture.topic(), invalid.clone()).await;
    until("the consumer has received events", async || {
        fixture.received().await > 1000
    })
    .await;
    consumer.stop().await.unwrap();
    // The consumer falls behind while the producer continues, and invalid records are mixed in.
    fixture.emit(&all[quarter..2 * quarter]).await;
    raw::write(&kafka, &fixture.topic(), invalid.clone()).await;
    fixture.emit(&all[2 * quarter..3 * quarter]).await;
    let consumer = fixture.start_consumer();
    fixture.emit(&all[3 * quarter..]).await;
    raw::write(&kafka, &fixture.topic(), invalid).await;

    // All but the unknown event and the hundred that follow it in its case.
    fixture.until_received(CASES as i64 * EACH - 100).await;
    until("the later events are parked", async || {
        fixture.parked().await.len() == 101
    })
    .await;
    assert!(fixture.received_of(blocked).await.into_iter().eq(1..=100));

    // The handler is upgraded and can apply the event.
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
    let replayed = (1..=100).chain([unknown]).chain(101..=EACH);
    assert!(fixture.received_of(blocked).await.into_iter().eq(replayed));
    let wrong = fixture
        .count(
            &fixture.consumer_pool,
            "select count(*) from (select case_id, number, row_number() over (partition by case_id order by n) as expected from received) h
            where number <> expected and case_id <> '00000000-0000-0000-0000-000000000007'",
        )
        .await;
    assert_eq!(wrong, 0);
    assert_eq!(fixture.received().await, CASES as i64 * EACH + 1);
    consumer.stop().await.unwrap();
}
