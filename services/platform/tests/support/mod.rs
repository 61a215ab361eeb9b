//! Shared by the tests of the log and the bus: two schemas with nothing but a log, events to append, and
//! waiting for a condition.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod kafka;
pub(crate) mod recording_handler;

use std::time::Duration;

use platform::db::Schema;
use platform::log::{self, NewEvent, Relay, Wakeup};
use sqlx::PgPool;
use testkit::TestDatabase;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) const PRODUCER: &str = "producer";
pub(crate) const CONSUMER: &str = "consumer";

const SCHEMAS: [Schema; 2] = [
    Schema {
        name: PRODUCER,
        sets: &[log::MIGRATIONS],
    },
    Schema {
        name: CONSUMER,
        sets: &[log::MIGRATIONS],
    },
];

/// A producer and a consumer in one database, and the producer's relay.
pub(crate) struct LogFixture {
    pub(crate) database: TestDatabase,
    pub(crate) producer_pool: PgPool,
    pub(crate) consumer_pool: PgPool,
    pub(crate) relay: Relay,
}

impl LogFixture {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::new(&SCHEMAS).await;
        let producer_pool = database.pool_with_size(PRODUCER, 24).await;
        let consumer_pool = database.pool_with_size(CONSUMER, 8).await;
        let relay = Relay::new(producer_pool.clone(), PRODUCER, Uuid::new_v4());
        Self {
            database,
            producer_pool,
            consumer_pool,
            relay,
        }
    }

    /// Appends events and assigns their positions.
    pub(crate) async fn emit(&self, events: &[NewEvent]) {
        let mut tx = self.producer_pool.begin().await.unwrap();
        log::append(&mut tx, events).await.unwrap();
        tx.commit().await.unwrap();
        assign_all_positions(&self.relay).await;
    }

    pub(crate) async fn count(&self, pool: &PgPool, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
    }
}

/// Assigns positions until no event lacks one.
pub(crate) async fn assign_all_positions(relay: &Relay) {
    while relay.run_once().await.unwrap() > 0 {}
}

/// An event whose payload begins with a number.
pub(crate) fn event(case_id: Uuid, number: i64) -> NewEvent {
    NewEvent {
        id: Uuid::new_v4(),
        case_id,
        kind: "Counted",
        caused_by: None,
        traceparent: None,
        occurred_at: OffsetDateTime::UNIX_EPOCH,
        payload: number.to_le_bytes().to_vec(),
    }
}

pub(crate) fn number(payload: &[u8]) -> i64 {
    let (number, _) = payload
        .split_first_chunk()
        .expect("a payload of eight bytes or more");
    i64::from_le_bytes(*number)
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    // Generous, because the machine may be busy with other builds.
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    let mut wakeups = Wakeup::default().listen();
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "timed out: {what}");
        wakeups.within(Duration::from_millis(5)).await;
    }
}
