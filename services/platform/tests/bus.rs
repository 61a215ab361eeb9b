//! A consumer applies each event once and in order, parks only events that cannot be applied and their
//! successors, and stops when the log does not match its cursor.

mod support;

use platform::bus::{self, Approval, Consumer, Error, HandlerError, ReplayStatus};
use platform::log;
use support::recording_handler::{InjectedError, RecordingHandler, create_tables};
use support::{CONSUMER, LogFixture, PRODUCER, event, number, until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

struct BusFixture {
    log: LogFixture,
    handler: RecordingHandler,
    consumer: Consumer<RecordingHandler>,
}

async fn fixture() -> BusFixture {
    let log = LogFixture::new().await;
    create_tables(&log.consumer_pool).await;
    let handler = RecordingHandler::default();
    let consumer = consumer(&log, &handler);
    BusFixture {
        log,
        handler,
        consumer,
    }
}

fn consumer(log: &LogFixture, handler: &RecordingHandler) -> Consumer<RecordingHandler> {
    Consumer::new(
        log.consumer_pool.clone(),
        CONSUMER,
        PRODUCER,
        handler.clone(),
    )
}

impl BusFixture {
    async fn received(&self) -> Vec<i64> {
        sqlx::query_scalar("select number from received order by n")
            .fetch_all(&self.log.consumer_pool)
            .await
            .unwrap()
    }

    async fn received_of(&self, case: Uuid) -> Vec<i64> {
        sqlx::query_scalar("select number from received where case_id = $1 order by n")
            .bind(case)
            .fetch_all(&self.log.consumer_pool)
            .await
            .unwrap()
    }

    async fn parked(&self) -> Vec<(i64, String)> {
        let mut conn = self.log.consumer_pool.acquire().await.unwrap();
        let parked = bus::list_parked(&mut conn, 100).await.unwrap();
        let mut parked: Vec<_> = parked
            .iter()
            .map(|p| (number(&p.event.payload), p.reason.clone()))
            .collect();
        parked.sort();
        parked
    }

    async fn damage(&self, pool: &sqlx::PgPool, sql: &'static str) {
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

/// Two cases of the same shard, so that one could block the other.
fn two_cases_of_one_shard() -> (Uuid, Uuid) {
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
async fn each_event_is_applied_once() {
    let s = fixture().await;
    let events: Vec<_> = (1..=300)
        .map(|n| event(Uuid::from_u128(n), n as i64))
        .collect();
    s.log.emit(&events).await;
    let mut processed = 0;
    loop {
        match s.consumer.run_once().await.unwrap() {
            0 => break,
            count => processed += count,
        }
    }
    assert_eq!(processed, 300);
    // Another process with the same name continues from the same cursor.
    assert_eq!(consumer(&s.log, &s.handler).run_once().await.unwrap(), 0);
    let mut received = s.received().await;
    received.sort_unstable();
    assert!(received.into_iter().eq(1..=300));
}

#[tokio::test]
async fn a_long_log_is_consumed_in_batches() {
    let s = fixture().await;
    let case = Uuid::new_v4();
    s.log
        .emit(&(1..=25).map(|n| event(case, n)).collect::<Vec<_>>())
        .await;
    let consumer = consumer(&s.log, &s.handler).with_batch_size(10);
    for processed in [10, 10, 5, 0] {
        assert_eq!(consumer.run_once().await.unwrap(), processed);
    }
    assert!(s.received().await.into_iter().eq(1..=25));
}

#[tokio::test]
async fn only_the_unprocessable_event_and_its_case_are_parked() {
    let s = fixture().await;
    let (blocked, healthy) = two_cases_of_one_shard();
    s.handler.inject(&[InjectedError::Unprocessable(2)]);
    let events = [
        event(blocked, 1),
        event(healthy, 10),
        event(blocked, 2),
        event(blocked, 3),
        event(healthy, 11),
    ];
    s.log.emit(&events).await;
    assert_eq!(s.consumer.run_once().await.unwrap(), 5);
    assert_eq!(s.received().await, [1, 10, 11]);
    // Later events of the case are parked in later batches too.
    s.log.emit(&[event(healthy, 12), event(blocked, 4)]).await;
    assert_eq!(s.consumer.run_once().await.unwrap(), 2);
    assert_eq!(s.received().await, [1, 10, 11, 12]);
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
async fn two_people_replay_a_case_in_order_and_unblock_it() {
    let s = fixture().await;
    let case = Uuid::new_v4();
    s.handler.inject(&[InjectedError::Unprocessable(1)]);
    s.log.emit(&[event(case, 1), event(case, 2)]).await;
    s.consumer.run_once().await.unwrap();
    assert_eq!(s.received().await, [0_i64; 0]);

    // Still unprocessable: everything stays parked.
    let mut tx = s.log.consumer_pool.begin().await.unwrap();
    let refused = bus::replay(&mut tx, &s.handler, CONSUMER, PRODUCER, case, approval()).await;
    assert!(matches!(refused, Err(HandlerError::Unprocessable { .. })));
    tx.rollback().await.unwrap();
    assert_eq!(s.parked().await.len(), 2);

    s.handler.inject(&[]);
    let mut tx = s.log.consumer_pool.begin().await.unwrap();
    let replayed = bus::replay(&mut tx, &s.handler, CONSUMER, PRODUCER, case, approval())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(replayed, 2);
    s.log.emit(&[event(case, 3)]).await;
    s.consumer.run_once().await.unwrap();
    assert_eq!(s.received_of(case).await, [1, 2, 3]);
    assert!(s.parked().await.is_empty());
    let recorded =
        "select count(*) from parked_act where act = 'replay' and cardinality(events) = 2";
    assert_eq!(s.log.count(&s.log.consumer_pool, recorded).await, 1);
    // A repeated replay finds nothing to do.
    let mut conn = s.log.consumer_pool.acquire().await.unwrap();
    assert_eq!(
        bus::replay(&mut conn, &s.handler, CONSUMER, PRODUCER, case, approval())
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_consumer_runs_a_requested_replay_or_records_why_it_failed() {
    let s = fixture().await;
    let case = Uuid::new_v4();
    s.handler.inject(&[InjectedError::Unprocessable(1)]);
    s.log.emit(&[event(case, 1), event(case, 2)]).await;
    s.consumer.run_once().await.unwrap();
    let mut conn = s.log.consumer_pool.acquire().await.unwrap();
    let unknown_case =
        bus::request_replay(&mut conn, CONSUMER, PRODUCER, Uuid::new_v4(), approval());
    assert_eq!(
        unknown_case.await.unwrap(),
        None,
        "nothing of that case is parked"
    );
    assert!(!s.consumer.run_requested_replay().await.unwrap());

    let request = async |conn: &mut sqlx::PgConnection| {
        bus::request_replay(conn, CONSUMER, PRODUCER, case, approval())
            .await
            .unwrap()
            .unwrap()
    };
    let id = request(&mut conn).await;
    assert_eq!(
        bus::replay_status(&mut conn, id).await.unwrap(),
        ReplayStatus::Pending
    );
    assert!(s.consumer.run_requested_replay().await.unwrap());
    let refused = ReplayStatus::Refused("it does not decode".to_owned());
    assert_eq!(bus::replay_status(&mut conn, id).await.unwrap(), refused);
    assert_eq!(s.parked().await.len(), 2);

    s.handler.inject(&[]);
    let id = request(&mut conn).await;
    assert!(s.consumer.run_requested_replay().await.unwrap());
    assert_eq!(
        bus::replay_status(&mut conn, id).await.unwrap(),
        ReplayStatus::Done
    );
    assert_eq!(s.received_of(case).await, [1, 2]);
    assert!(s.parked().await.is_empty());
}

#[tokio::test]
async fn two_people_drop_one_event_and_replay_the_events_behind_it() {
    let s = fixture().await;
    let case = Uuid::new_v4();
    s.handler.inject(&[InjectedError::Unprocessable(1)]);
    let events = [event(case, 1), event(case, 2)];
    s.log.emit(&events).await;
    s.consumer.run_once().await.unwrap();
    let mut tx = s.log.consumer_pool.begin().await.unwrap();
    let unprocessable = events[0].id;
    assert!(
        bus::discard(&mut tx, CONSUMER, PRODUCER, case, unprocessable, approval())
            .await
            .unwrap()
    );
    assert!(
        !bus::discard(&mut tx, CONSUMER, PRODUCER, case, unprocessable, approval())
            .await
            .unwrap()
    );
    assert_eq!(
        bus::replay(&mut tx, &s.handler, CONSUMER, PRODUCER, case, approval())
            .await
            .unwrap(),
        1
    );
    tx.commit().await.unwrap();
    assert_eq!(s.received_of(case).await, [2]);
    assert_eq!(
        s.log
            .count(&s.log.consumer_pool, "select count(*) from blocked_case")
            .await,
        0
    );
}

#[test]
fn an_approval_needs_two_different_people() {
    let person = Uuid::from_u128(1);
    let refused = Approval::new(Uuid::from_u128(9), person, person).unwrap_err();
    assert_eq!(refused.code, "second_person_needed");
}

#[tokio::test]
async fn an_event_that_violates_a_database_constraint_is_parked() {
    for state in ["23505", "22003"] {
        let s = fixture().await;
        let (rejected, healthy) = two_cases_of_one_shard();
        s.handler.inject(&[InjectedError::Database(1, state)]);
        s.log.emit(&[event(rejected, 1), event(healthy, 2)]).await;
        assert_eq!(s.consumer.run_once().await.unwrap(), 2);
        assert_eq!(s.received().await, [2]);
        assert_eq!(s.parked().await, [(1, format!("SQLSTATE {state}"))]);
    }
}

#[tokio::test]
async fn a_lost_conflict_is_retried_with_the_same_events() {
    for state in ["40001", "40P01"] {
        let s = fixture().await;
        s.handler.inject(&[InjectedError::DatabaseOnce(2, state)]);
        s.log
            .emit(&[event(Uuid::new_v4(), 1), event(Uuid::new_v4(), 2)])
            .await;
        assert_eq!(s.consumer.run_once().await.unwrap(), 2);
        let mut received = s.received().await;
        received.sort_unstable();
        assert_eq!(received, [1, 2]);
        assert!(s.parked().await.is_empty());
        let calls = s.handler.calls();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0], calls[1]);
    }
}

#[tokio::test]
async fn an_error_that_is_no_events_fault_parks_nothing_and_moves_no_cursor() {
    // Disk full, statement timeout, server shutdown; and a key that is not available yet.
    let errors = ["53100", "57014", "57P01"].map(|state| InjectedError::Database(2, state));
    for error in errors.into_iter().chain([InjectedError::RetryLater(2)]) {
        let s = fixture().await;
        s.log
            .emit(&[event(Uuid::new_v4(), 1), event(Uuid::new_v4(), 2)])
            .await;
        s.handler.inject(&[error]);
        let failure = s.consumer.run_once().await.unwrap_err();
        assert!(failure.is_transient(), "{failure}");
        assert!(s.received().await.is_empty() && s.parked().await.is_empty());
        s.handler.inject(&[]);
        assert_eq!(s.consumer.run_once().await.unwrap(), 2, "{error:?}");
    }
}

#[tokio::test]
async fn the_consumer_survives_a_transient_failure() {
    let s = fixture().await;
    s.handler.inject(&[InjectedError::DatabaseOnce(1, "53100")]);
    s.log.emit(&[event(Uuid::new_v4(), 1)]).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(consumer(&s.log, &s.handler).run(shutdown.clone()));
    until("the event is received", async || s.received().await == [1]).await;
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
            "the head is a different event",
        ),
        (
            "update log_shard set floor = position + 5, position = position + 9 where position > 0",
            "no longer kept",
        ),
    ];
    for (damage, why) in damages {
        let s = fixture().await;
        let case = Uuid::new_v4();
        s.log.emit(&[event(case, 1), event(case, 2)]).await;
        s.consumer.run_once().await.unwrap();
        s.damage(&s.log.producer_pool, damage).await;
        let stopped = consumer(&s.log, &s.handler)
            .run(CancellationToken::new())
            .await;
        assert!(
            matches!(&stopped, Err(Error::RestoredBackup { why: w, .. }) if w.contains(why)),
            "{damage}: {stopped:?}"
        );
    }
}

#[tokio::test]
async fn a_different_event_at_the_cursor_or_a_gap_stops_the_consumer() {
    // The log continued after the backup was restored, so the positions match; only the event at the cursor
    // differs.
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
        let s = fixture().await;
        let case = Uuid::new_v4();
        s.log.emit(&[event(case, 1), event(case, 2)]).await;
        s.consumer.run_once().await.unwrap();
        s.log
            .emit(&(3..=5).map(|n| event(case, n)).collect::<Vec<_>>())
            .await;
        s.damage(&s.log.producer_pool, damage).await;
        let stopped = s.consumer.run_once().await.unwrap_err();
        assert!(
            format!("{stopped:?}").starts_with(expected),
            "{damage}: {stopped:?}"
        );
        assert!(!stopped.is_transient());
        assert_eq!(s.received().await, [1, 2]);
    }
}
