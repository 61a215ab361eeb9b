//! Tests on a real broker, including its failures. Skipped when there is no Java to run one.

mod acls;
mod consuming;
mod hundred_thousand_events;
mod invalid_records;
mod publishing;
mod recovery;

use std::ops::RangeInclusive;

use platform::bus::Approval;
use platform::log::{self, NewEvent};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use uuid::Uuid;

use crate::support::event;
use crate::support::kafka::{KafkaFixture, raw};

/// `each` events for each of `cases` cases, interleaved; each case counts from 1.
fn interleaved(cases: u128, each: i64) -> Vec<NewEvent> {
    numbered(cases, 1..=each)
}

/// One event for each case and number, number by number.
fn numbered(cases: u128, numbers: RangeInclusive<i64>) -> Vec<NewEvent> {
    numbers
        .flat_map(|n| (1..=cases).map(move |case| event(Uuid::from_u128(case), n)))
        .collect()
}

async fn all_in_order(fixture: &KafkaFixture, cases: u128, per_case: i64) {
    let in_order = fixture
        .count(
            &fixture.consumer_pool,
            "select count(*) from (select number, row_number() over (partition by case_id order by n) as expected from received) h
            where number = expected",
        )
        .await;
    assert_eq!(in_order, cases as i64 * per_case);
    assert_eq!(fixture.received().await, cases as i64 * per_case);
}

fn approval() -> Approval {
    Approval::new(Uuid::new_v4(), Uuid::from_u128(1), Uuid::from_u128(2)).unwrap()
}

/// Two cases of the same shard, so that one could block the other.
fn two_cases_of_one_shard() -> (Uuid, Uuid) {
    let one = Uuid::new_v4();
    let other = std::iter::repeat_with(Uuid::new_v4)
        .find(|case| log::shard_of(*case) == log::shard_of(one))
        .unwrap();
    (one, other)
}

/// Records without a valid MAC: random bytes, no headers, a valid record truncated, moved to another
/// partition, or with another position.
fn invalid_records_like(valid_record: &OwnedMessage) -> Vec<(i32, Option<OwnedHeaders>, Vec<u8>)> {
    let (partition, headers, payload) = raw::copy(valid_record);
    let beyond = headers.clone().unwrap().insert(Header {
        key: "ce_position",
        value: Some("999999"),
    });
    let forged = OwnedHeaders::new()
        .insert(Header {
            key: "ce_id",
            value: Some("00000000-0000-0000-0000-000000000001"),
        })
        .insert(Header {
            key: "ce_type",
            value: Some("takedown.v1.CaseActionable"),
        })
        .insert(Header {
            key: "ce_time",
            value: Some("2025-01-01T00:00:00Z"),
        })
        .insert(Header {
            key: "ce_subject",
            value: Some("00000000-0000-0000-0000-000000000001"),
        })
        .insert(Header {
            key: "ce_shard",
            value: Some(&partition.to_string()),
        })
        .insert(Header {
            key: "ce_position",
            value: Some("3"),
        })
        .insert(Header {
            key: "ce_mac",
            value: Some(&format!("b1:{}", "00".repeat(32))),
        });
    vec![
        (partition, None, vec![0xff; 4096]),
        (partition, None, Vec::new()),
        (partition, headers.clone(), payload[..4].to_vec()),
        ((partition + 1) % 16, headers.clone(), payload.clone()),
        (partition, Some(beyond), payload.clone()),
        (partition, Some(forged), payload),
    ]
}
