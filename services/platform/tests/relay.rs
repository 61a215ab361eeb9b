//! Relays share the shards, take over from the dead, and are fenced; partitions are made and dropped; the log is
//! read by position.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use platform::bus::{Consumer, Heed, HeedError};
use platform::log::{self, Envelope, LogReader, NewEvent, Relay};
use sqlx::PgConnection;
use support::{CONSUMER, PRODUCER, World, event, number, stamp_all, until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SHORT: Duration = Duration::from_millis(80);

async fn shards_by_owner(world: &World) -> BTreeMap<Uuid, i64> {
    sqlx::query_as("select owner, count(*) from log_shard where owner is not null group by owner")
        .fetch_all(&world.origin)
        .await
        .unwrap()
        .into_iter()
        .collect()
}

fn relay(world: &World, owner: u128) -> Relay {
    Relay::new(world.origin.clone(), PRODUCER, Uuid::from_u128(owner)).with_lease(SHORT)
}

#[tokio::test]
async fn relays_share_the_shards_and_take_over_from_the_dead() {
    let world = World::new().await;
    let (first, second, third) = (relay(&world, 1), relay(&world, 2), relay(&world, 3));
    until("each relay has a third", async || {
        for relay in [&first, &second, &third] {
            relay.run_once().await.unwrap();
        }
        let owners = shards_by_owner(&world).await;
        owners.len() == 3 && owners.values().all(|count| (4..=6).contains(count))
    })
    .await;
    // `first` falls silent.
    until("the living have all", async || {
        for relay in [&second, &third] {
            relay.run_once().await.unwrap();
        }
        let owners = shards_by_owner(&world).await;
        owners.values().copied().eq([8, 8]) && !owners.contains_key(&Uuid::from_u128(1))
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_lost_its_shards_stamps_nothing() {
    let world = World::new().await;
    let stale = Relay::new(world.origin.clone(), PRODUCER, Uuid::from_u128(1))
        .with_lease(Duration::from_hours(1));
    stale.run_once().await.unwrap();
    // Another owner under a new epoch; the stale relay does not know, its next renewal is far away.
    sqlx::query("update log_shard set owner = $1, epoch = epoch + 1")
        .bind(Uuid::from_u128(2))
        .execute(&world.origin)
        .await
        .unwrap();
    let mut conn = world.origin.acquire().await.unwrap();
    log::append(&mut conn, &[event(Uuid::new_v4(), 1)])
        .await
        .unwrap();
    assert_eq!(stale.run_once().await.unwrap(), 0);
    // Not even under its own name: the epoch decides.
    sqlx::query("update log_shard set owner = $1")
        .bind(Uuid::from_u128(1))
        .execute(&world.origin)
        .await
        .unwrap();
    assert_eq!(stale.run_once().await.unwrap(), 0);
    assert_eq!(
        world
            .count(
                &world.origin,
                "select count(*) from event where position is null"
            )
            .await,
        1
    );
}

#[tokio::test]
async fn a_relay_gives_its_shards_back_when_it_is_shut_down() {
    let world = World::new().await;
    let shutdown = CancellationToken::new();
    let leaving = Relay::new(world.origin.clone(), PRODUCER, Uuid::from_u128(1));
    let running = tokio::spawn(leaving.run(shutdown.clone()));
    until("it holds all", async || {
        shards_by_owner(&world).await.values().eq([&16])
    })
    .await;
    shutdown.cancel();
    running.await.unwrap();
    assert!(shards_by_owner(&world).await.is_empty());
    assert_eq!(
        world
            .count(&world.origin, "select count(*) from log_relay")
            .await,
        0
    );
}

#[tokio::test]
async fn the_hint_wakes_the_relay_and_the_relay_wakes_the_consumer() {
    let world = World::new().await;
    let shutdown = CancellationToken::new();
    let relay = Relay::new(world.origin.clone(), PRODUCER, Uuid::from_u128(1));
    let (appended, mut stamped) = (relay.hint(), relay.stamped().listen());
    let running = tokio::spawn(relay.run(shutdown.clone()));
    let mut conn = world.origin.acquire().await.unwrap();
    log::append(&mut conn, &[event(Uuid::new_v4(), 1)])
        .await
        .unwrap();
    appended.ring();
    stamped.within(Duration::from_secs(10)).await;
    assert_eq!(
        world
            .count(
                &world.origin,
                "select count(*) from event where position = 1"
            )
            .await,
        1
    );
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn events_keep_the_order_of_the_slice_and_the_trace_of_their_command() {
    let world = World::new().await;
    let case = Uuid::new_v4();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = |n| NewEvent {
        traceparent: Some(trace.to_owned()),
        ..event(case, n)
    };
    let events: Vec<NewEvent> = (1..=2000).map(traced).collect();
    world.say(&events).await;
    let mut conn = world.origin.acquire().await.unwrap();
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
async fn a_reader_learns_where_the_log_begins_and_ends_and_gets_pages_up_to_there() {
    let world = World::new().await;
    let case = Uuid::new_v4();
    let shard = log::shard_of(case);
    world
        .say(&(1..=25).map(|n| event(case, n)).collect::<Vec<_>>())
        .await;
    let mut reader = LogReader::open(world.origin.clone(), PRODUCER, shard, 3)
        .await
        .unwrap();
    assert_eq!((reader.head().floor, reader.head().position), (1, 25));
    // What comes later is for the next call.
    world.say(&[event(case, 26)]).await;
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

struct Deaf;

impl Heed for Deaf {
    async fn heed(&self, _: &mut PgConnection, _: &[Envelope]) -> Result<(), HeedError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_day_is_dropped_only_when_it_is_old_and_every_consumer_has_passed_it() {
    let world = World::new().await;
    let case = Uuid::new_v4();
    let mut consumer = Consumer::new(world.hearer.clone(), CONSUMER, PRODUCER, Deaf);
    consumer.run_once().await.unwrap();
    // Ten days ago there was no partition: the event strays and finds its day when that is made.
    sqlx::query(
        "insert into event (id, case_id, shard, kind, occurred_at, payload, inserted_at)
        values ($1, $2, $3, 'Counted', 'epoch', '\\x', clock_timestamp() - interval '10 days')",
    )
    .bind(Uuid::new_v4())
    .bind(case)
    .bind(log::shard_of(case))
    .execute(&world.origin)
    .await
    .unwrap();
    assert_eq!(log::keep(&world.origin).await.unwrap().strays, 1);
    sqlx::query("select make_event_partitions((clock_timestamp() at time zone 'utc')::date - 10)")
        .execute(&world.origin)
        .await
        .unwrap();
    let kept = log::keep(&world.origin).await.unwrap();
    assert_eq!(
        (kept.strays, kept.dropped),
        (0, 2),
        "the two empty days before a week ago go"
    );

    stamp_all(&world.relay).await;
    assert_eq!(
        log::keep(&world.origin).await.unwrap().dropped,
        0,
        "not heard yet"
    );
    assert_eq!(consumer.run_once().await.unwrap(), 1);
    assert_eq!(
        log::keep(&world.origin).await.unwrap().dropped,
        0,
        "not said to be heard yet"
    );
    // A consumer says how far it is when it starts, and each minute.
    consumer = Consumer::new(world.hearer.clone(), CONSUMER, PRODUCER, Deaf);
    consumer.run_once().await.unwrap();
    assert_eq!(log::keep(&world.origin).await.unwrap().dropped, 1);

    let mut conn = world.origin.acquire().await.unwrap();
    let heads = log::heads(&mut conn, PRODUCER).await.unwrap();
    let head = &heads[log::shard_of(case) as usize];
    assert_eq!((head.position, head.floor), (1, 2));
    // The consumer stands at floor - 1 and goes on.
    world.say(&[event(case, 2)]).await;
    assert_eq!(consumer.run_once().await.unwrap(), 1);
}
