//! The promise of the event log: no event is lost and none is heard out of order within its case, whatever writers
//! roll back, however long their transactions overlap, and however often relays die and steal each other's shards.
//! The control runs the same writers against a reader that goes by `seq`, and must see it fail.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use platform::bus::{Consumer, Heed, HeedError};
use platform::log::{self, Envelope, Hint};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use sqlx::{PgConnection, PgPool, Row};
use support::{CONSUMER, PRODUCER, World, event, number, until};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const WRITERS: u64 = 12;
const CASES: u128 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn positions_lose_nothing_and_invert_nothing() {
    const EVENTS: i64 = 50_000;
    let world = World::new().await;
    prepare(&world).await;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let stamped = Hint::default();
    for seat in 0..3 {
        tasks.spawn(mortal_relays(
            world.origin.clone(),
            stamped.clone(),
            seat,
            stop.clone(),
        ));
    }
    // Two processes of one consumer: they take turns on the cursors.
    for _ in 0..2 {
        let consumer = Consumer::new(world.hearer.clone(), CONSUMER, PRODUCER, Recorder)
            .woken_by(stamped.clone());
        let stop = stop.clone();
        tasks.spawn(async move { consumer.run(stop).await.unwrap() });
    }

    let rolled_back = write(&world.origin, EVENTS).await;
    until("all events are heard", async || {
        world
            .count(&world.hearer, "select count(*) from heard")
            .await
            >= EVENTS
    })
    .await;
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }

    let heard = sqlx::query("select case_id, version from heard order by n")
        .fetch_all(&world.hearer)
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get("case_id"), row.get("version")))
        .collect::<Vec<_>>();
    let verdict = judge(&world.origin, &heard).await;
    let epochs = world
        .count(&world.origin, "select sum(epoch)::bigint from log_shard")
        .await;
    println!(
        "events {EVENTS} heard {} lost {} inverted {} repeated {} rolled back {rolled_back} shards changed hands {epochs}",
        heard.len(),
        verdict.lost,
        verdict.inverted,
        verdict.repeated
    );
    assert_eq!(verdict, Verdict::default());
    assert_eq!(heard.len() as i64, EVENTS);
    assert!(rolled_back > 100, "the writers were too well behaved");
    assert!(epochs > 100, "the relays were too well behaved");
    let holes = world
        .count(
            &world.origin,
            "select count(*) from (
                select position - row_number() over (partition by shard order by position) as off from event
            ) e where off is distinct from 0",
        )
        .await;
    assert_eq!(holes, 0, "positions are dense from 1 in every shard");
    let wrong_heads = world
        .count(
            &world.origin,
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

/// The control: were this reader enough, the log would be needless.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_by_seq_loses_events_of_the_same_writers() {
    const EVENTS: i64 = 10_000;
    let world = World::new().await;
    prepare(&world).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(read_by_seq(world.origin.clone(), Arc::clone(&done)));
    write(&world.origin, EVENTS).await;
    done.store(true, Ordering::SeqCst);
    let heard = reader.await.unwrap();
    let verdict = judge(&world.origin, &heard).await;
    println!(
        "control: events {EVENTS} heard {} lost {} inverted {}",
        heard.len(),
        verdict.lost,
        verdict.inverted
    );
    assert!(verdict.lost > 0, "the harness cannot see a loss");
}

/// Relays that live a random moment and are then dropped wherever they stand, as by `kill -9`; the next one has
/// another name and waits for the leases of the dead.
async fn mortal_relays(pool: PgPool, stamped: Hint, seat: u64, stop: CancellationToken) {
    let mut rng = StdRng::seed_from_u64(100 + seat);
    while !stop.is_cancelled() {
        let relay = log::Relay::new(pool.clone(), PRODUCER, Uuid::new_v4())
            .with_hints(Hint::default(), stamped.clone())
            .with_lease(Duration::from_millis(60));
        let life = Duration::from_millis(rng.random_range(20..400));
        // No shutdown token that is ever cancelled: the relay must not get to give its shards back.
        let _ = tokio::time::timeout(life, relay.run(CancellationToken::new())).await;
    }
}

/// Twelve writers over shared cases, until exactly `events` are committed. Returns how many transactions rolled back.
async fn write(pool: &PgPool, events: i64) -> i64 {
    let left = Arc::new(AtomicI64::new(events));
    let mut writers = JoinSet::new();
    for seat in 0..WRITERS {
        writers.spawn(writer(pool.clone(), seat, Arc::clone(&left)));
    }
    writers.join_all().await.into_iter().sum()
}

async fn writer(pool: PgPool, seat: u64, left: Arc<AtomicI64>) -> i64 {
    let mut rng = StdRng::seed_from_u64(seat);
    let mut all: Vec<u128> = (0..CASES).collect();
    let mut rolled_back = 0;
    loop {
        let wanted = rng.random_range(1..=8);
        let ticket = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            (left > 0).then(|| left - wanted.min(left))
        });
        let Ok(before) = ticket else {
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

/// Counts each case's version up under its lock and says so; stays open for `linger` seconds.
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

async fn prepare(world: &World) {
    sqlx::raw_sql("create table counted (id uuid primary key, version bigint not null default 0)")
        .execute(&world.origin)
        .await
        .unwrap();
    let cases: Vec<Uuid> = (0..CASES).map(Uuid::from_u128).collect();
    sqlx::query("insert into counted (id) select * from unnest($1::uuid[])")
        .bind(cases)
        .execute(&world.origin)
        .await
        .unwrap();
    sqlx::raw_sql("create table heard (n bigint generated always as identity, case_id uuid not null, version bigint not null)")
        .execute(&world.hearer)
        .await
        .unwrap();
}

/// Writes down what it hears, in the order it hears it.
struct Recorder;

impl Heed for Recorder {
    async fn heed(&self, conn: &mut PgConnection, batch: &[Envelope]) -> Result<(), HeedError> {
        let cases: Vec<Uuid> = batch.iter().map(|e| e.case_id).collect();
        let versions: Vec<i64> = batch.iter().map(|e| number(&e.payload)).collect();
        sqlx::query(
            "insert into heard (case_id, version)
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

/// What everybody writes first: remember the last `seq`, read what is beyond.
async fn read_by_seq(pool: PgPool, done: Arc<AtomicBool>) -> Vec<(Uuid, i64)> {
    let mut heard = Vec::new();
    let mut last = 0_i64;
    loop {
        // Asked before reading: what was committed before `done` is certainly in the table.
        let done = done.load(Ordering::SeqCst);
        let rows = sqlx::query(
            "select seq, case_id, payload from event where seq > $1 order by seq limit 500",
        )
        .bind(last)
        .fetch_all(&pool)
        .await
        .unwrap();
        if rows.is_empty() && done {
            return heard;
        }
        for row in rows {
            last = row.get("seq");
            heard.push((row.get("case_id"), number(row.get("payload"))));
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    lost: i64,
    inverted: i64,
    repeated: i64,
}

/// Compares what was heard with the versions that the cases have reached.
async fn judge(pool: &PgPool, heard: &[(Uuid, i64)]) -> Verdict {
    let mut by_case: HashMap<Uuid, Vec<i64>> = HashMap::new();
    for (case, version) in heard {
        by_case.entry(*case).or_default().push(*version);
    }
    let reached: Vec<(Uuid, i64)> = sqlx::query_as("select id, version from counted")
        .fetch_all(pool)
        .await
        .unwrap();
    let mut verdict = Verdict::default();
    for (case, version) in reached {
        let mut versions = by_case.remove(&case).unwrap_or_default();
        verdict.inverted += versions.windows(2).filter(|w| w[0] > w[1]).count() as i64;
        versions.sort_unstable();
        let heard = versions.len() as i64;
        versions.dedup();
        verdict.repeated += heard - versions.len() as i64;
        verdict.lost += version - versions.len() as i64;
    }
    verdict
}
