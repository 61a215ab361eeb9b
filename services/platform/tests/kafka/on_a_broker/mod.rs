//! A real broker, with whatever may happen to it. Skipped where there is no Java to run one.

mod hearing;
mod long;
mod losses;
mod publishing;
mod rights;
mod strangers;

use std::ops::RangeInclusive;

use platform::bus::Approval;
use platform::log::{self, NewEvent};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use uuid::Uuid;

use crate::support::event;
use crate::support::kafka::{World, raw};

/// `each` events for each of `cases` cases, interleaved: each case counts from 1.
fn street(cases: u128, each: i64) -> Vec<NewEvent> {
    rounds(cases, 1..=each)
}

/// One event for each case and each number, number by number.
fn rounds(cases: u128, numbers: RangeInclusive<i64>) -> Vec<NewEvent> {
    numbers
        .flat_map(|n| (1..=cases).map(move |case| event(Uuid::from_u128(case), n)))
        .collect()
}

async fn all_in_order(world: &World, cases: u128, per_case: i64) {
    let in_order = world
        .count(
            &world.hearer,
            "select count(*) from (select number, row_number() over (partition by case_id order by n) as turn from heard) h
            where number = turn",
        )
        .await;
    assert_eq!(in_order, cases as i64 * per_case);
    assert_eq!(world.heard().await, cases as i64 * per_case);
}

fn approval() -> Approval {
    Approval::new(Uuid::new_v4(), Uuid::from_u128(1), Uuid::from_u128(2)).unwrap()
}

/// Two cases of one shard, so that one could hold up the other.
fn neighbours() -> (Uuid, Uuid) {
    let one = Uuid::new_v4();
    let other = std::iter::repeat_with(Uuid::new_v4)
        .find(|case| log::shard_of(*case) == log::shard_of(one))
        .unwrap();
    (one, other)
}

/// What nobody vouches for: random bytes, no headers, a true record cut short, moved, or with another position.
fn rubbish(true_record: &OwnedMessage) -> Vec<(i32, Option<OwnedHeaders>, Vec<u8>)> {
    let (partition, headers, payload) = raw::copy(true_record);
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
