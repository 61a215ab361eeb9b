//! Records without a valid MAC are skipped; an event whose record was replaced is a gap, and is read from the
//! log.

use uuid::Uuid;

use super::invalid_records_like;
use crate::support::event;
use crate::support::kafka::{KafkaFixture, bootstrap, raw};

#[tokio::test]
async fn records_without_a_valid_mac_are_skipped_and_move_no_cursor() {
    let fixture = KafkaFixture::new().await;
    let kafka = bootstrap().await;
    let case = Uuid::new_v4();
    let consumer = fixture.start_consumer();
    fixture.emit(&[event(case, 1), event(case, 2)]).await;
    fixture.until_received(2).await;
    let found = raw::read_all(&kafka, &fixture.topic());
    let valid_record = &found.values().next().unwrap()[0];
    for _ in 0..50 {
        raw::write(&kafka, &fixture.topic(), invalid_records_like(valid_record)).await;
    }
    fixture.emit(&[event(case, 3), event(case, 4)]).await;
    fixture.until_received(4).await;
    assert_eq!(fixture.received_of(case).await, [1, 2, 3, 4]);
    assert!(fixture.parked().await.is_empty());
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn an_event_whose_record_was_damaged_is_read_from_the_log() {
    let fixture = KafkaFixture::new().await;
    let kafka = bootstrap().await;
    let case = Uuid::new_v4();
    fixture
        .emit(&(1..=30).map(|n| event(case, n)).collect::<Vec<_>>())
        .await;
    let found = raw::read_all(&kafka, &fixture.topic());
    raw::delete_all_records(&kafka, &fixture.topic()).await;
    let damaged = found.values().flatten().enumerate().map(|(n, m)| {
        let (partition, headers, mut payload) = raw::copy(m);
        if n % 3 == 1 {
            payload[0] ^= 1;
        }
        (partition, headers, payload)
    });
    raw::write(&kafka, &fixture.topic(), damaged).await;
    let _consumer = fixture.start_consumer();
    fixture.until_received(30).await;
    assert!(fixture.received_of(case).await.into_iter().eq(1..=30));
}
