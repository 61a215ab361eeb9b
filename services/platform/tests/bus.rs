//! A consumer applies each event once, in order; parks what is rotten and nothing else; and stops rather than guess
//! when the log is not the one it knows.

mod support;

use platform::bus::{self, Approval, Asked, Consumer, Error, HeedError};
use platform::log;
use support::clerk::{Clerk, Trouble, make_room};
use support::{CONSUMER, PRODUCER, World, event, number, until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

struct Scene {
    world: World,
    clerk: Clerk,
    consumer: Consumer<Clerk>,
}

async fn scene() -> Scene {
    let world = World::new().await;
    make_room(&world.hearer).await;
    let clerk = Clerk::default();
    let consumer = consumer(&world, &clerk);
    Scene {
        world,
        clerk,
        consumer,
    }
}

fn consumer(world: &World, clerk: &Clerk) -> Consumer<Clerk> {
    Consumer::new(world.hearer.clone(), CONSUMER, PRODUCER, clerk.clone())
}

impl Scene {
    async fn heard(&self) -> Vec<i64> {
        sqlx::query_scalar("select number from heard order by n")
            .fetch_all(&self.world.hearer)
            .await
            .unwrap()
    }

    async fn heard_of(&self, case: Uuid) -> Vec<i64> {
        sqlx::query_scalar("select number from heard where case_id = $1 order by n")
            .bind(case)
            .fetch_all(&self.world.hearer)
            .await
            .unwrap()
    }

    async fn parked(&self) -> Vec<(i64, String)> {
        let mut conn = self.world.hearer.acquire().await.unwrap();
        let parked = bus::list(&mut conn, 100).await.unwrap();
        let mut parked: Vec<_> = parked
            .iter()
            .map(|p| (number(&p.event.payload), p.reason.clone()))
            .collect();
        parked.sort();
        parked
    }

    async fn set(&self, pool: &sqlx::PgPool, sql: &'static str) {
        assert!(
            sqlx::query(sql)
                .execute(pool)
                .await
                .unwrap()
                .rows_affected()
                > 0
        );
    }
}

/// Two cases of one shard, so that one could hold up the other.
fn neighbours() -> (Uuid, Uuid) {
    let one = Uuid::new_v4();
    let other = std::iter::repeat_with(Uuid::new_v4)
        .find(|case| log::shard_of(*case) == log::shard_of(one))
        .unwrap();
    (one, other)
}

fn approval() -> Approval {
    Approval::new(Uuid::new_v4(), Uuid::from_u128(1), Uuid::from_u128(2)).unwrap()
}

#[tokio::test]
async fn each_event_is_applied_once_with_its_cursor() {
    let s = scene().await;
    let events: Vec<_> = (1..=300)
        .map(|n| event(Uuid::from_u128(n), n as i64))
        .collect();
    s.world.say(&events).await;
    let mut passed = 0;
    loop {
        match s.consumer.run_once().await.unwrap() {
            0 => break,
            some => passed += some,
        }
    }
    assert_eq!(passed, 300);
    // Another process with the same name goes on where this one stands.
    assert_eq!(consumer(&s.world, &s.clerk).run_once().await.unwrap(), 0);
    let mut heard = s.heard().await;
    heard.sort_unstable();
    assert!(heard.into_iter().eq(1..=300));
}

#[tokio::test]
async fn long_logs_are_heard_in_batches() {
    let s = scene().await;
    let case = Uuid::new_v4();
    s.world
        .say(&(1..=25).map(|n| event(case, n)).collect::<Vec<_>>())
        .await;
    let consumer = consumer(&s.world, &s.clerk).in_batches_of(10);
    for passed in [10, 10, 5, 0] {
        assert_eq!(consumer.run_once().await.unwrap(), passed);
    }
    assert!(s.heard().await.into_iter().eq(1..=25));
}

#[tokio::test]
async fn only_the_rotten_event_and_its_case_are_parked() {
    let s = scene().await;
    let (rotten, healthy) = neighbours();
    s.clerk.meets(&[Trouble::Rotten(2)]);
    let events = [
        event(rotten, 1),
        event(healthy, 10),
        event(rotten, 2),
        event(rotten, 3),
        event(healthy, 11),
    ];
    s.world.say(&events).await;
    assert_eq!(s.consumer.run_once().await.unwrap(), 5);
    assert_eq!(s.heard().await, [1, 10, 11]);
    // What follows parks in later batches too.
    s.world.say(&[event(healthy, 12), event(rotten, 4)]).await;
    assert_eq!(s.consumer.run_once().await.unwrap(), 2);
    assert_eq!(s.heard().await, [1, 10, 11, 12]);
    let follows = "follows a parked event".to_owned();
    assert_eq!(
        s.parked().await,
        [
            (2, "it does not decode".to_owned()),
            (3, follows.clone()),
            (4, follows)
        ]
    );
}

#[tokio::test]
async fn two_people_replay_a_case_in_order_and_it_flows_again() {
    let s = scene().await;
    let case = Uuid::new_v4();
    s.clerk.meets(&[Trouble::Rotten(1)]);
    s.world.say(&[event(case, 1), event(case, 2)]).await;
    s.consumer.run_once().await.unwrap();
    assert_eq!(s.heard().await, [0_i64; 0]);

    // Still rotten: everything stays parked.
    let mut tx = s.world.hearer.begin().await.unwrap();
    let refused = bus::replay(&mut tx, &s.clerk, CONSUMER, PRODUCER, case, approval()).await;
    assert!(matches!(refused, Err(HeedError::Rotten { .. })));
    tx.rollback().await.unwrap();
    assert_eq!(s.parked().await.len(), 2);

    s.clerk.meets(&[]);
    let mut tx = s.world.hearer.begin().await.unwrap();
    let replayed = bus::replay(&mut tx, &s.clerk, CONSUMER, PRODUCER, case, approval())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(replayed, 2);
    s.world.say(&[event(case, 3)]).await;
    s.consumer.run_once().await.unwrap();
    assert_eq!(s.heard_of(case).await, [1, 2, 3]);
    assert!(s.parked().await.is_empty());
    let recorded =
        "select count(*) from parked_act where act = 'replay' and cardinality(events) = 2";
    assert_eq!(s.world.count(&s.world.hearer, recorded).await, 1);
    // A repeat finds nothing to do.
    let mut conn = s.world.hearer.acquire().await.unwrap();
    assert_eq!(
        bus::replay(&mut conn, &s.clerk, CONSUMER, PRODUCER, case, approval())
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_consumer_replays_what_two_people_asked_for_and_says_why_when_it_cannot() {
    let s = scene().await;
    let case = Uuid::new_v4();
    s.clerk.meets(&[Trouble::Rotten(1)]);
    s.world.say(&[event(case, 1), event(case, 2)]).await;
    s.consumer.run_once().await.unwrap();
    let mut conn = s.world.hearer.acquire().await.unwrap();
    let nobody = bus::ask_replay(&mut conn, CONSUMER, PRODUCER, Uuid::new_v4(), approval());
    assert_eq!(
        nobody.await.unwrap(),
        None,
        "nothing of that case is parked"
    );
    assert!(!s.consumer.replay_asked().await.unwrap());

    let ask = async |conn: &mut sqlx::PgConnection| {
        bus::ask_replay(conn, CONSUMER, PRODUCER, case, approval())
            .await
            .unwrap()
            .unwrap()
    };
    let id = ask(&mut conn).await;
    assert_eq!(bus::asked(&mut conn, id).await.unwrap(), Asked::Waits);
    assert!(s.consumer.replay_asked().await.unwrap());
    let refused = Asked::Refused("it does not decode".to_owned());
    assert_eq!(bus::asked(&mut conn, id).await.unwrap(), refused);
    assert_eq!(s.parked().await.len(), 2);

    s.clerk.meets(&[]);
    let id = ask(&mut conn).await;
    assert!(s.consumer.replay_asked().await.unwrap());
    assert_eq!(bus::asked(&mut conn, id).await.unwrap(), Asked::Done);
    assert_eq!(s.heard_of(case).await, [1, 2]);
    assert!(s.parked().await.is_empty());
}

#[tokio::test]
async fn two_people_drop_one_event_and_replay_what_waited_behind_it() {
    let s = scene().await;
    let case = Uuid::new_v4();
    s.clerk.meets(&[Trouble::Rotten(1)]);
    let events = [event(case, 1), event(case, 2)];
    s.world.say(&events).await;
    s.consumer.run_once().await.unwrap();
    let mut tx = s.world.hearer.begin().await.unwrap();
    let rotten = events[0].id;
    assert!(
        bus::discard(&mut tx, CONSUMER, PRODUCER, case, rotten, approval())
            .await
            .unwrap()
    );
    assert!(
        !bus::discard(&mut tx, CONSUMER, PRODUCER, case, rotten, approval())
            .await
            .unwrap()
    );
    assert_eq!(
        bus::replay(&mut tx, &s.clerk, CONSUMER, PRODUCER, case, approval())
            .await
            .unwrap(),
        1
    );
    tx.commit().await.unwrap();
    assert_eq!(s.heard_of(case).await, [2]);
    assert_eq!(
        s.world
            .count(&s.world.hearer, "select count(*) from blocked_case")
            .await,
        0
    );
}

#[test]
fn one_person_is_not_two() {
    let person = Uuid::from_u128(1);
    let refused = Approval::new(Uuid::from_u128(9), person, person).unwrap_err();
    assert_eq!(refused.code, "second_person_needed");
}

#[tokio::test]
async fn an_event_that_the_database_refuses_for_its_data_is_parked() {
    for state in ["23505", "22003"] {
        let s = scene().await;
        let (bad, good) = neighbours();
        s.clerk.meets(&[Trouble::Refused(1, state)]);
        s.world.say(&[event(bad, 1), event(good, 2)]).await;
        assert_eq!(s.consumer.run_once().await.unwrap(), 2);
        assert_eq!(s.heard().await, [2]);
        assert_eq!(s.parked().await, [(1, format!("SQLSTATE {state}"))]);
    }
}

#[tokio::test]
async fn a_lost_conflict_is_tried_again_with_the_same_events() {
    for state in ["40001", "40P01"] {
        let s = scene().await;
        s.clerk.meets(&[Trouble::Once(2, state)]);
        s.world
            .say(&[event(Uuid::new_v4(), 1), event(Uuid::new_v4(), 2)])
            .await;
        assert_eq!(s.consumer.run_once().await.unwrap(), 2);
        let mut heard = s.heard().await;
        heard.sort_unstable();
        assert_eq!(heard, [1, 2]);
        assert!(s.parked().await.is_empty());
        let calls = s.clerk.calls();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0], calls[1]);
    }
}

#[tokio::test]
async fn what_is_no_events_fault_parks_nothing_and_moves_no_cursor() {
    // Disk full, statement timeout, shutdown; and a key that is not there yet.
    let troubles = ["53100", "57014", "57P01"].map(|state| Trouble::Refused(2, state));
    for trouble in troubles.into_iter().chain([Trouble::Later(2)]) {
        let s = scene().await;
        s.world
            .say(&[event(Uuid::new_v4(), 1), event(Uuid::new_v4(), 2)])
            .await;
        s.clerk.meets(&[trouble]);
        let error = s.consumer.run_once().await.unwrap_err();
        assert!(error.is_passing(), "{error}");
        assert!(s.heard().await.is_empty() && s.parked().await.is_empty());
        s.clerk.meets(&[]);
        assert_eq!(s.consumer.run_once().await.unwrap(), 2, "{trouble:?}");
    }
}

#[tokio::test]
async fn the_loop_outlives_a_failure_that_passes() {
    let s = scene().await;
    s.clerk.meets(&[Trouble::Once(1, "53100")]);
    s.world.say(&[event(Uuid::new_v4(), 1)]).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(consumer(&s.world, &s.clerk).run(shutdown.clone()));
    until("the event is heard", async || s.heard().await == [1]).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_log_from_a_restored_backup_stops_the_consumer() {
    let damages = [
        (
            "update log_shard set position = position - 1 where position > 0",
            "beyond the head",
        ),
        (
            "update log_shard set event_id = gen_random_uuid() where position > 0",
            "the head is another event",
        ),
        (
            "update log_shard set floor = position + 5, position = position + 9 where position > 0",
            "no longer kept",
        ),
    ];
    for (damage, why) in damages {
        let s = scene().await;
        let case = Uuid::new_v4();
        s.world.say(&[event(case, 1), event(case, 2)]).await;
        s.consumer.run_once().await.unwrap();
        s.set(&s.world.origin, damage).await;
        let stopped = consumer(&s.world, &s.clerk)
            .run(CancellationToken::new())
            .await;
        assert!(
            matches!(&stopped, Err(Error::RestoredBackup { why: w, .. }) if w.contains(why)),
            "{damage}: {stopped:?}"
        );
    }
}

#[tokio::test]
async fn another_past_or_a_hole_in_the_log_stops_the_consumer() {
    // The log went on after the backup, so that the numbers fit; only the event at the cursor tells.
    let damages = [
        (
            "update event set id = gen_random_uuid() where position = 2",
            "RestoredBackup",
        ),
        ("delete from event where position = 2", "RestoredBackup"),
        ("delete from event where position = 3", "Gap"),
        ("delete from event where position = 4", "Gap"),
    ];
    for (damage, expected) in damages {
        let s = scene().await;
        let case = Uuid::new_v4();
        s.world.say(&[event(case, 1), event(case, 2)]).await;
        s.consumer.run_once().await.unwrap();
        s.world
            .say(&(3..=5).map(|n| event(case, n)).collect::<Vec<_>>())
            .await;
        s.set(&s.world.origin, damage).await;
        let stopped = s.consumer.run_once().await.unwrap_err();
        assert!(
            format!("{stopped:?}").starts_with(expected),
            "{damage}: {stopped:?}"
        );
        assert!(!stopped.is_passing());
        assert_eq!(s.heard().await, [1, 2]);
    }
}
