//! The guarantee of the event log: no event is lost, and none is received out of order within its case,
//! regardless of rollbacks, overlapping transactions, and relays that die and take over each other's shards.
//! A control runs the same writers with a reader by `seq` and must detect losses.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use platform::bus::{Consumer, EventHandler, HandlerError};
use platform::log::{self, Envelope, Wakeup};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use sqlx::{PgConnection, PgPool, Row};
use support::{CONSUMER, LogFixture, PRODUCER, event, number, until};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const WRITERS: u64 = 12;
const CASES: u128 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn reading_by_position_loses_no_event_and_keeps_the_order() {
    const EVENTS: i64 = 50_000;
    let fixture = LogFixture::new().await;
    prepare(&fixture).await;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let positioned = Wakeup::default();
    for index in 0..3 {
        tasks.spawn(crashing_relays(
            fixture.producer_pool.clone(),
            positioned.clone(),
            index,
            stop.clone(),
        ));
    }
    // Two processes of one consumer, which take turns on the cursors.
    for _ in 0..2 {
        let consumer = Consumer::new(fixture.consumer_pool.clone(), CONSUMER, PRODUCER, Recorder)
            .woken_by(positioned.clone());
        let stop = stop.clone();
        tasks.spawn(async move { consumer.run(stop).await.unwrap() });
    }

    let rolled_back = write(&fixture.producer_pool, EVENTS).await;
    until("all events are received", async || {
        fixture
            .count(&fixture.consumer_pool, "select count(*) from received")
            .await
            >= EVENTS
    })
    .await;
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }

    let received = sqlx::query("select case_id, version from received order by n")
        .fetch_all(&fixture.consumer_pool)
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get("case_id"), row.get("version")))
        .collect::<Vec<_>>();
    let check = compare(&fixture.producer_pool, &received).await;
    let epochs = fixture
        .count(
            &fixture.producer_pool,
            "select sum(epoch)::bigint from log_shard",
        )
        .await;
    println!(
        "events {EVENTS} received {} lost {} inverted {} repeated {} rolled back {rolled_back} changes of shard owner {epochs}",
        received.len(),
        check.lost,
        check.inverted,
        check.repeated
    );
    assert_eq!(check, OrderCheck::default());
    assert_eq!(received.len() as i64, EVENTS);
    assert!(
        rolled_back > 100,
        "too few transactions rolled back to test anything"
    );
    assert!(epochs > 100, "too few relays died to test anything");
    let holes = fixture
        .count(
            &fixture.producer_pool,
            "select count(*) from (
                select position - row_number() over (partition by shard order by position) as off from event
            ) e where off is distinct from 0",
        )
        .await;
    assert_eq!(holes, 0, "positions are dense from 1 in every shard");
    let wrong_heads = fixture
        .count(
            &fixture.producer_pool,
            "select count(*) from log_shard h where h.position > 0 and (not exists (
                select from event e where e.shard = h.shard and e.position = h.position and e.id = h.event_id
            ) or h.position <> (select max(e.position) from event e where e.shard = h.shard))",
        )
        .await;
    assert_eq!(
        wrong_heads, 0,
        "each head names the last event of its shard"
    );
}

/// The control: if reading by `seq` were sufficient, the log would be unnecessary.
#[tokio::test(flavor = "multi_thread")]
async fn reading_by_seq_loses_events_of_the_same_writers() {
    const EVENTS: i64 = 10_000;
    let fixture = LogFixture::new().await;
    prepare(&fixture).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(read_by_seq(
        fixture.producer_pool.clone(),
        Arc::clone(&done),
    ));
    write(&fixture.producer_pool, EVENTS).await;
    done.store(true, Ordering::SeqCst);
    let received = reader.await.unwrap();
    let check = compare(&fixture.producer_pool, &received).await;
    println!(
        "control: events {EVENTS} received {} lost {} inverted {}",
        received.len(),
        check.lost,
        check.inverted
    );
    assert!(check.lost > 0, "the comparison did not detect a loss");
}

/// Runs relays for a random time each and drops them at an arbitrary point, as `kill -9` would. Each has a
/// new id and has to wait for the leases of its predecessors.
async fn crashing_relays(pool: PgPool, positioned: Wakeup, index: u64, stop: CancellationToken) {
    let mut rng = StdRng::seed_from_u64(100 + index);
    while !stop.is_cancelled() {
        let relay = log::Relay::new(pool.clone(), PRODUCER, Uuid::new_v4())
            .with_wakeups(Wakeup::default(), positioned.clone())
            .with_lease(Duration::from_millis(60));
        let lifetime = Duration::from_millis(rng.random_range(20..400));
        // The shutdown token is never cancelled, so the relay cannot release its shards.
        let _ = tokio::time::timeout(lifetime, relay.run(CancellationToken::new())).await;
    }
}

/// Twelve writers over shared cases, until exactly `events` are committed. Returns how many transactions
/// rolled back.
async fn write(pool: &PgPool, events: i64) -> i64 {
    let left = Arc::new(AtomicI64::new(events));
    let mut writers = JoinSet::new();
    for index in 0..WRITERS {
        writers.spawn(writer(pool.clone(), index, Arc::clone(&left)));
    }
    writers.join_all().await.into_iter().sum()
}

async fn writer(pool: PgPool, index: u64, left: Arc<AtomicI64>) -> i64 {
    let mut rng = StdRng::seed_from_u64(index);
    let mut all: Vec<u128> = (0..CASES).collect();
    let mut rolled_back = 0;
    loop {
        let wanted = rng.random_range(1..=8);
        let reserved = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            (left > 0).then(|| left - wanted.min(left))
        });
        let Ok(before) = reserved else {
            return rolled_back;
        };
        let count = wanted.min(before);
        all.shuffle(&mut rng);
        let mut cases: Vec<Uuid> = all[..count as usize]
            .iter()
            .map(|n| Uuid::from_u128(*n))
            .collect();
        cases.sort();
        let linger = if rng.random_bool(0.2) {
            rng.random_range(0.0..0.004)
        } else {
            0.0
        };
        let commit = rng.random_bool(0.9);
        transaction(&pool, &cases, linger, commit).await;
        if !commit {
            left.fetch_add(count, Ordering::SeqCst);
            rolled_back += 1;
        }
    }
}

/// Increments each case's version under its lock and appends an event with it; stays open for `linger`
/// seconds.
async fn transaction(pool: &PgPool, cases: &[Uuid], linger: f64, commit: bool) {
    let mut tx = pool.begin().await.unwrap();
    let versions: Vec<(Uuid, i64)> = sqlx::query_as(
        "with locked as (select id from counted where id = any($1) order by id for update)
        update counted c set version = version + 1 from locked where c.id = locked.id
        returning c.id, c.version",
    )
    .bind(cases)
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    let events: Vec<_> = versions
        .iter()
        .map(|(case, version)| event(*case, *version))
        .collect();
    log::append(&mut tx, &events).await.unwrap();
    if linger > 0.0 {
        sqlx::query("select pg_sleep($1)")
            .bind(linger)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    if commit {
        tx.commit().await.unwrap();
    } else {
        tx.rollback().await.unwrap();
    }
}

async fn prepare(fixture: &LogFixture) {
    sqlx::raw_sql("create table counted (id uuid primary key, version bigint not null default 0)")
        .execute(&fixture.producer_pool)
        .await
        .unwrap();
    let cases: Vec<Uuid> = (0..CASES).map(Uuid::from_u128).collect();
    sqlx::query("insert into counted (id) select * from unnest($1::uuid[])")
        .bind(cases)
        .execute(&fixture.producer_pool)
        .await
        .unwrap();
    sqlx::raw_sql("create table received (n bigint generated always as identity, case_id uuid not null, version bigint not null)")
        .execute(&fixture.consumer_pool)
        .await
        .unwrap();
}

/// Records the events that it receives, in order.
struct Recorder;

impl EventHandler for Recorder {
    async fn handle(
        &self,
        conn: &mut PgConnection,
        batch: &[Envelope],
    ) -> Result<(), HandlerError> {
        let cases: Vec<Uuid> = batch.iter().map(|e| e.case_id).collect();
        let versions: Vec<i64> = batch.iter().map(|e| number(&e.payload)).collect();
        sqlx::query(
            "insert into received (case_id, version)
            select e.case_id, e.version from unnest($1::uuid[], $2::bigint[]) with ordinality as e (case_id, version, n)
            order by e.n",
        )
        .bind(cases)
        .bind(versions)
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// The naive reader: remembers the last `seq` and reads beyond it.
async fn read_by_seq(pool: PgPool, done: Arc<AtomicBool>) -> Vec<(Uuid, i64)> {
    let mut received = Vec::new();
    let mut last = 0_i64;
    loop {
        // Loaded before reading: what was committed before `done` was set is certainly in the table.
        let done = done.load(Ordering::SeqCst);
        let rows = sqlx::query(
            "select seq, case_id, payload from event where seq > $1 order by seq limit 500",
        )
        .bind(last)
        .fetch_all(&pool)
        .await
        .unwrap();
        if rows.is_empty() && done {
            return received;
        }
        for row in rows {
            last = row.get("seq");
            received.push((row.get("case_id"), number(row.get("payload"))));
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct OrderCheck {
    lost: i64,
    inverted: i64,
    repeated: i64,
}

/// Compares the received events with the final versions of the cases.
async fn compare(pool: &PgPool, received: &[(Uuid, i64)]) -> OrderCheck {
    let mut by_case: HashMap<Uuid, Vec<i64>> = HashMap::new();
    for (case, version) in received {
        by_case.entry(*case).or_default().push(*version);
    }
    let reached: Vec<(Uuid, i64)> = sqlx::query_as("select id, version from counted")
        .fetch_all(pool)
        .await
        .unwrap();
    let mut check = OrderCheck::default();
    for (case, version) in reached {
        let mut versions = by_case.remove(&case).unwrap_or_default();
        check.inverted += versions.windows(2).filter(|w| w[0] > w[1]).count() as i64;
        versions.sort_unstable();
        let received = versions.len() as i64;
        versions.dedup();
        check.repeated += received - versions.len() as i64;
        check.lost += version - versions.len() as i64;
    }
    check
}
