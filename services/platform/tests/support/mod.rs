//! What the tests of the log and the bus share: two bare schemas, events to append, and waiting for a condition.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod clerk;
pub(crate) mod kafka;

use std::time::Duration;

use platform::db::Schema;
use platform::log::{self, Hint, NewEvent, Relay};
use platform::testing::TestDatabase;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) const PRODUCER: &str = "origin";
pub(crate) const CONSUMER: &str = "hearer";

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

/// A producer and a consumer in one database.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) origin: PgPool,
    pub(crate) hearer: PgPool,
    pub(crate) relay: Relay,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::new(&SCHEMAS).await;
        let origin = database.pool_of(PRODUCER, 24).await;
        let hearer = database.pool_of(CONSUMER, 8).await;
        let relay = Relay::new(origin.clone(), PRODUCER, Uuid::new_v4());
        Self {
            database,
            origin,
            hearer,
            relay,
        }
    }

    /// Appends events and stamps them.
    pub(crate) async fn say(&self, events: &[NewEvent]) {
        let mut tx = self.origin.begin().await.unwrap();
        log::append(&mut tx, events).await.unwrap();
        tx.commit().await.unwrap();
        stamp_all(&self.relay).await;
    }

    pub(crate) async fn count(&self, pool: &PgPool, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
    }
}

/// Stamps what there is.
pub(crate) async fn stamp_all(relay: &Relay) {
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
    // Far beyond what it takes: a machine may be busy with other builds.
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    let mut ear = Hint::default().listen();
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "never came: {what}");
        ear.within(Duration::from_millis(5)).await;
    }
}
