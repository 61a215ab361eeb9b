//! Relays share the shards, take over from dead relays, and are fenced; partitions are created and dropped;
//! the log is read by position.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use platform::bus::{Consumer, EventHandler, HandlerError};
use platform::log::{self, Envelope, LogReader, NewEvent, Relay};
use sqlx::PgConnection;
use support::{CONSUMER, LogFixture, PRODUCER, assign_all_positions, event, number, until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SHORT: Duration = Duration::from_millis(80);

async fn shards_by_owner(fixture: &LogFixture) -> BTreeMap<Uuid, i64> {
    sqlx::query_as("select owner, count(*) from log_shard where owner is not null group by owner")
        .fetch_all(&fixture.producer_pool)
        .await
        .unwrap()
        .into_iter()
        .collect()
}

fn relay(fixture: &LogFixture, owner: u128) -> Relay {
    Relay::new(
        fixture.producer_pool.clone(),
        PRODUCER,
        Uuid::from_u128(owner),
    )
    .with_lease(SHORT)
}

#[tokio::test]
async fn relays_share_the_shards_and_take_over_those_of_a_dead_relay() {
    let fixture = LogFixture::new().await;
    let (first, second, third) = (relay(&fixture, 1), relay(&fixture, 2), relay(&fixture, 3));
    until("each relay owns a third", async || {
        for relay in [&first, &second, &third] {
            relay.run_once().await.unwrap();
        }
        let owners = shards_by_owner(&fixture).await;
        owners.len() == 3 && owners.values().all(|count| (4..=6).contains(count))
    })
    .await;
    // `first` no longer renews its leases.
    until("the remaining relays own all shards", async || {
        for relay in [&second, &third] {
            relay.run_once().await.unwrap();
        }
        let owners = shards_by_owner(&fixture).await;
        owners.values().copied().eq([8, 8]) && !owners.contains_key(&Uuid::from_u128(1))
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_lost_its_shards_assigns_no_positions() {
    let fixture = LogFixture::new().await;
    let stale = Relay::new(fixture.producer_pool.clone(), PRODUCER, Uuid::from_u128(1))
        .with_lease(Duration::from_hours(1));
    stale.run_once().await.unwrap();
    // Another owner takes the shards under a new epoch. The stale relay does not notice, because its next
    // renewal is far away.
    sqlx::query("update log_shard set owner = $1, epoch = epoch + 1")
        .bind(Uuid::from_u128(2))
        .execute(&fixture.producer_pool)
        .await
        .unwrap();
    let mut conn = fixture.producer_pool.acquire().await.unwrap();
    log::append(&mut conn, &[event(Uuid::new_v4(), 1)])
        .await
        .unwrap();
    assert_eq!(stale.run_once().await.unwrap(), 0);
    // Not even when the owner is itself again: the epoch decides.
    sqlx::query("update log_shard set owner = $1")
        .bind(Uuid::from_u128(1))
        .execute(&fixture.producer_pool)
        .await
        .unwrap();
    assert_eq!(stale.run_once().await.unwrap(), 0);
    assert_eq!(
        fixture
            .count(
                &fixture.producer_pool,
                "select count(*) from event where position is null"
            )
            .await,
        1
    );
}

#[tokio::test]
async fn a_relay_releases_its_shards_at_shutdown() {
    let fixture = LogFixture::new().await;
    let shutdown = CancellationToken::new();
    let leaving = Relay::new(fixture.producer_pool.clone(), PRODUCER, Uuid::from_u128(1));
    let running = tokio::spawn(leaving.run(shutdown.clone()));
    until("the relay owns all shards", async || {
        shards_by_owner(&fixture).await.values().eq([&16])
    })
    .await;
    shutdown.cancel();
    running.await.unwrap();
    assert!(shards_by_owner(&fixture).await.is_empty());
    assert_eq!(
        fixture
            .count(&fixture.producer_pool, "select count(*) from log_relay")
            .await,
        0
    );
}

#[tokio::test]
async fn an_append_wakes_the_relay_and_the_relay_wakes_the_consumer() {
    let fixture = LogFixture::new().await;
    let shutdown = CancellationToken::new();
    let relay = Relay::new(fixture.producer_pool.clone(), PRODUCER, Uuid::from_u128(1));
    let (appended, mut positioned) = (relay.wakeup(), relay.positioned().listen());
    let running = tokio::spawn(relay.run(shutdown.clone()));
    let mut conn = fixture.producer_pool.acquire().await.unwrap();
    log::append(&mut conn, &[event(Uuid::new_v4(), 1)])
        .await
        .unwrap();
    appended.notify();
    positioned.within(Duration::from_secs(10)).await;
    assert_eq!(
        fixture
            .count(
                &fixture.producer_pool,
                "select count(*) from event where position = 1"
            )
            .await,
        1
    );
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn appended_events_keep_the_order_of_the_slice_and_their_trace() {
    let fixture = LogFixture::new().await;
    let case = Uuid::new_v4();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = |n| NewEvent {
        traceparent: Some(trace.to_owned()),
        ..event(case, n)
    };
    let events: Vec<NewEvent> = (1..=2000).map(traced).collect();
    fixture.emit(&events).await;
    let mut conn = fixture.producer_pool.acquire().await.unwrap();
    let read = log::read(&mut conn, PRODUCER, log::shard_of(case), 0, 5000)
        .await
        .unwrap();
    assert!(read.iter().map(|e| number(&e.payload)).eq(1..=2000));
    assert!(read.iter().map(|e| e.position).eq(1..=2000));
    assert!(read.iter().all(|e| e.traceparent.as_deref() == Some(trace)));
    assert!(read.iter().map(|e| e.id).eq(events.iter().map(|e| e.id)));
    assert!(!format!("{:?}", read[0]).contains("payload"));
}

#[tokio::test]
async fn a_reader_gets_the_bounds_of_the_log_and_pages_up_to_its_head() {
    let fixture = LogFixture::new().await;
    let case = Uuid::new_v4();
    let shard = log::shard_of(case);
    fixture
        .emit(&(1..=25).map(|n| event(case, n)).collect::<Vec<_>>())
        .await;
    let mut reader = LogReader::open(fixture.producer_pool.clone(), PRODUCER, shard, 3)
        .await
        .unwrap();
    assert_eq!((reader.head().floor, reader.head().position), (1, 25));
    // Events appended later are for the next call.
    fixture.emit(&[event(case, 26)]).await;
    let mut pages = Vec::new();
    loop {
        let page = reader.page(10).await.unwrap();
        if page.is_empty() {
            break;
        }
        pages.push(page.iter().map(|e| e.position).collect::<Vec<_>>());
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 2]);
    assert!(pages.concat().into_iter().eq(4..=25));
}

struct IgnoreAll;

impl EventHandler for IgnoreAll {
    async fn handle(&self, _: &mut PgConnection, _: &[Envelope]) -> Result<(), HandlerError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_day_is_dropped_only_when_it_is_old_and_every_consumer_has_processed_it() {
    let fixture = LogFixture::new().await;
    let case = Uuid::new_v4();
    let mut consumer = Consumer::new(fixture.consumer_pool.clone(), CONSUMER, PRODUCER, IgnoreAll);
    consumer.run_once().await.unwrap();
    // Ten days ago there is no partition, so the event goes to the default partition, and moves to its day
    // when that is created.
    sqlx::query(
        "insert into event (id, case_id, shard, kind, occurred_at, payload, inserted_at)
        values ($1, $2, $3, 'Counted', 'epoch', '\\x', clock_timestamp() - interval '10 days')",
    )
    .bind(Uuid::new_v4())
    .bind(case)
    .bind(log::shard_of(case))
    .execute(&fixture.producer_pool)
    .await
    .unwrap();
    assert_eq!(
        log::maintain_partitions(&fixture.producer_pool)
            .await
            .unwrap()
            .in_default,
        1
    );
    sqlx::query("select make_event_partitions((clock_timestamp() at time zone 'utc')::date - 10)")
        .execute(&fixture.producer_pool)
        .await
        .unwrap();
    let report = log::maintain_partitions(&fixture.producer_pool)
        .await
        .unwrap();
    assert_eq!(
        (report.in_default, report.dropped),
        (0, 2),
        "the two empty days older than a week are dropped"
    );

    assign_all_positions(&fixture.relay).await;
    assert_eq!(
        log::maintain_partitions(&fixture.producer_pool)
            .await
            .unwrap()
            .dropped,
        0,
        "not processed yet"
    );
    assert_eq!(consumer.run_once().await.unwrap(), 1);
    assert_eq!(
        log::maintain_partitions(&fixture.producer_pool)
            .await
            .unwrap()
            .dropped,
        0,
        "processed, but not reported yet"
    );
    // A consumer reports its position when it starts, and once a minute.
    consumer = Consumer::new(fixture.consumer_pool.clone(), CONSUMER, PRODUCER, IgnoreAll);
    consumer.run_once().await.unwrap();
    assert_eq!(
        log::maintain_partitions(&fixture.producer_pool)
            .await
            .unwrap()
            .dropped,
        1
    );

    let mut conn = fixture.producer_pool.acquire().await.unwrap();
    let heads = log::heads(&mut conn, PRODUCER).await.unwrap();
    let head = &heads[log::shard_of(case) as usize];
    assert_eq!((head.position, head.floor), (1, 2));
    // The cursor is at floor - 1, so the consumer continues.
    fixture.emit(&[event(case, 2)]).await;
    assert_eq!(consumer.run_once().await.unwrap(), 1);
}
