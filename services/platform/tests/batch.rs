//! The batch contract, one test per rule, with a small set of accounts.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use platform::batch::fold::{Repeat, by_key, find_repeats};
use platform::batch::{Command, GroupCommit, GroupCommitLimits, in_batches};
use platform::error::{Kind, Problem};
use sqlx::{PgConnection, PgPool};
use support::{LogFixture, until};
use tokio::sync::{Barrier, Notify, Semaphore};
use uuid::Uuid;

/// Adds to an account; `id` identifies the entry.
#[derive(Clone, Copy, Debug)]
struct Add {
    id: Uuid,
    account: i64,
    amount: i64,
}

fn add(account: i64, amount: i64) -> Add {
    Add {
        id: Uuid::new_v4(),
        account,
        amount,
    }
}

async fn account_tables() -> (LogFixture, PgPool) {
    let fixture = LogFixture::new().await;
    sqlx::raw_sql(
        "create table account (id bigint primary key, balance bigint not null check (balance < 1000));
        create table entry (id uuid primary key, account bigint not null);
        create table opened (tag text primary key, id uuid not null);
        create function refuse(state text) returns void language plpgsql as
        $$ begin raise exception 'refused' using errcode = state; end $$;
        insert into account select n, 0 from generate_series(1, 8) as n;",
    )
    .execute(&fixture.producer_pool)
    .await
    .unwrap();
    let pool = fixture.producer_pool.clone();
    (fixture, pool)
}

/// A command that keeps the contract: locks in ascending order, folds, writes each row once. Replies with the
/// balance after each item.
async fn apply(conn: &mut PgConnection, items: &[Add]) -> sqlx::Result<Vec<i64>> {
    let groups = by_key(items, |item| item.account);
    let accounts: Vec<i64> = groups.keys().copied().collect();
    let mut balances: Vec<i64> =
        sqlx::query_scalar("select balance from account where id = any($1) order by id for update")
            .bind(&accounts)
            .fetch_all(&mut *conn)
            .await?;
    let mut replies = vec![0; items.len()];
    for (balance, indices) in balances.iter_mut().zip(groups.values()) {
        for &index in indices {
            *balance += items[index].amount;
            replies[index] = *balance;
        }
    }
    sqlx::query(
        "update account a set balance = n.balance from unnest($1::bigint[], $2::bigint[]) as n (id, balance)
        where a.id = n.id",
    )
    .bind(&accounts)
    .bind(&balances)
    .execute(&mut *conn)
    .await?;
    sqlx::query("insert into entry (id, account) select * from unnest($1::uuid[], $2::bigint[])")
        .bind(items.iter().map(|i| i.id).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.account).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(replies)
}

/// [`apply`] as a command that counts its runs and then executes a statement that fails, if one is given.
#[derive(Default)]
struct Apply {
    runs: AtomicUsize,
    failing_statement: Option<&'static str>,
}

impl Apply {
    fn followed_by(statement: &'static str) -> Self {
        Self {
            runs: AtomicUsize::new(0),
            failing_statement: Some(statement),
        }
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

impl Command<Add> for Apply {
    type Reply = i64;
    type Error = sqlx::Error;

    async fn run(&self, conn: &mut PgConnection, items: &[Add]) -> sqlx::Result<Vec<i64>> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let replies = apply(conn, items).await?;
        if let Some(statement) = self.failing_statement {
            sqlx::query(statement).execute(conn).await?;
        }
        Ok(replies)
    }
}

async fn balance(pool: &PgPool, account: i64) -> i64 {
    sqlx::query_scalar("select balance from account where id = $1")
        .bind(account)
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn entries(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from entry")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Rule 1: lock in ascending order.
#[tokio::test(flavor = "multi_thread")]
async fn batches_that_lock_in_order_never_deadlock() {
    let (_fixture, pool) = account_tables().await;
    let command = Arc::new(Apply::default());
    let mut running = tokio::task::JoinSet::new();
    for n in 0..100_i64 {
        let (pool, command) = (pool.clone(), Arc::clone(&command));
        running.spawn(async move {
            let mut items: Vec<Add> = (1..=8).map(|account| add(account, 1)).collect();
            items.rotate_left((n % 8) as usize);
            if n % 2 == 0 {
                items.reverse();
            }
            in_batches(&pool, &items, &*command).await
        });
    }
    for replies in running.join_all().await {
        assert!(replies.iter().all(Result::is_ok));
    }
    assert_eq!(command.runs(), 100, "no batch was retried");
    assert_eq!(balance(&pool, 8).await, 100);
}

/// Rule 2: fold several commands for one row.
#[tokio::test]
async fn several_commands_for_one_row_are_folded_in_order() {
    let (_fixture, pool) = account_tables().await;
    let items = [add(2, 5), add(1, 1), add(2, 7), add(2, -2)];
    let replies = in_batches(&pool, &items, &Apply::default()).await;
    let replies: Vec<i64> = replies.into_iter().map(Result::unwrap).collect();
    assert_eq!(replies, [5, 1, 12, 10]);
    assert_eq!(balance(&pool, 2).await, 10);
}

struct FindOrOpen;

impl Command<(String, Uuid)> for FindOrOpen {
    type Reply = Uuid;
    type Error = sqlx::Error;

    async fn run(
        &self,
        conn: &mut PgConnection,
        tags: &[(String, Uuid)],
    ) -> sqlx::Result<Vec<Uuid>> {
        let by_tag = by_key(tags, |(tag, _)| tag.clone());
        let names: Vec<&String> = by_tag.keys().collect();
        let ids: Vec<Uuid> = by_tag.values().map(|first| tags[first[0]].1).collect();
        sqlx::query(
            "insert into opened (tag, id) select * from unnest($1::text[], $2::uuid[]) on conflict do nothing",
        )
        .bind(&names)
        .bind(&ids)
        .execute(&mut *conn)
        .await?;
        let found: std::collections::BTreeMap<String, Uuid> =
            sqlx::query_as("select tag, id from opened where tag = any($1)")
                .bind(&names)
                .fetch_all(conn)
                .await?
                .into_iter()
                .collect();
        Ok(tags.iter().map(|(tag, _)| found[tag]).collect())
    }
}

/// Rule 3: read again after `on conflict do nothing`.
#[tokio::test(flavor = "multi_thread")]
async fn the_loser_of_an_insert_reads_again_and_uses_the_winners_row() {
    let (_fixture, pool) = account_tables().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let pool = pool.clone();
        running.spawn(async move {
            let tags: Vec<_> = (0..5)
                .map(|n| (format!("tag {n}"), Uuid::new_v4()))
                .collect();
            in_batches(&pool, &tags, &FindOrOpen).await
        });
    }
    let results: Vec<Vec<Result<Uuid, Problem>>> = running.join_all().await;
    assert!(results.iter().flatten().all(Result::is_ok));
    assert!(
        results.windows(2).all(|two| two[0] == two[1]),
        "all got the winner's id"
    );
}

/// Violates rule 1 on purpose: locks in the order of the items, and waits half-way for another such command.
struct DeadlockingCommand {
    barrier: Arc<Barrier>,
    runs: AtomicUsize,
}

impl Command<Add> for DeadlockingCommand {
    type Reply = i64;
    type Error = sqlx::Error;

    async fn run(&self, conn: &mut PgConnection, items: &[Add]) -> sqlx::Result<Vec<i64>> {
        let mut replies = apply(conn, &items[..1]).await?;
        if self.runs.fetch_add(1, Ordering::SeqCst) == 0 {
            self.barrier.wait().await;
        }
        replies.extend(apply(conn, &items[1..]).await?);
        Ok(replies)
    }
}

/// Rule 4 (failures are handled by SQLSTATE): a real deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_retried_with_the_same_ids() {
    let (_fixture, pool) = account_tables().await;
    let barrier = Arc::new(Barrier::new(2));
    let mut running = tokio::task::JoinSet::new();
    for order in [[1_i64, 2], [2, 1]] {
        let pool = pool.clone();
        let command = DeadlockingCommand {
            barrier: Arc::clone(&barrier),
            runs: AtomicUsize::new(0),
        };
        running.spawn(async move {
            let items = [add(order[0], 1), add(order[1], 1)];
            let replies = in_batches(&pool, &items, &command).await;
            (replies, command.runs.into_inner())
        });
    }
    let done = running.join_all().await;
    assert!(
        done.iter()
            .all(|(replies, _)| replies.iter().all(Result::is_ok))
    );
    assert!(
        done.iter().map(|(_, runs)| runs).sum::<usize>() >= 3,
        "the batches deadlocked"
    );
    assert_eq!(entries(&pool).await, 4, "each entry once, under its id");
}

/// Rule 4: failures are handled by SQLSTATE.
#[tokio::test]
async fn only_the_item_at_fault_fails() {
    let (_fixture, pool) = account_tables().await;
    let existing = add(3, 1);
    in_batches(&pool, &[existing], &Apply::default())
        .await
        .remove(0)
        .unwrap();
    // A balance that a check constraint rejects, and an id that exists already.
    let items = [add(1, 1), add(2, 5000), existing, add(1, 1)];
    let replies = in_batches(&pool, &items, &Apply::default()).await;
    let ok: Vec<bool> = replies.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, false, false, true]);
    assert_eq!(
        [
            balance(&pool, 1).await,
            balance(&pool, 2).await,
            balance(&pool, 3).await
        ],
        [2, 0, 1]
    );
    assert_eq!(replies[1].as_ref().unwrap_err().kind, Kind::Internal);
}

/// Rule 4: failures are handled by SQLSTATE.
#[tokio::test]
async fn a_lost_connection_fails_the_whole_batch() {
    let (_fixture, pool) = account_tables().await;
    let command = Apply::followed_by("select pg_terminate_backend(pg_backend_pid())");
    for reply in in_batches(&pool, &[add(1, 1), add(2, 1)], &command).await {
        assert_eq!(reply.unwrap_err().kind, Kind::Unavailable);
    }
    assert_eq!(command.runs(), 1, "not redone one by one");
    assert_eq!(entries(&pool).await, 0);
}

/// Rule 4: failures are handled by SQLSTATE.
#[tokio::test]
async fn the_sqlstate_decides_which_problem_the_caller_gets() {
    let (_fixture, pool) = account_tables().await;
    let cases = [
        ("select refuse('53100')", Kind::Exhausted, 1),
        ("select refuse('57014')", Kind::Unavailable, 1),
        ("select refuse('40001')", Kind::Unavailable, 8),
    ];
    for (statement, kind, runs) in cases {
        let command = Apply::followed_by(statement);
        for reply in in_batches(&pool, &[add(1, 1), add(2, 1)], &command).await {
            assert_eq!(reply.unwrap_err().kind, kind, "{statement}");
        }
        assert_eq!(command.runs(), runs, "{statement}");
    }
    assert_eq!(entries(&pool).await, 0);
}

/// Rule 5: a commit does not depend on its caller.
#[tokio::test]
async fn a_group_commit_completes_after_its_caller_has_disconnected() {
    let (_fixture, pool) = account_tables().await;
    let (started, permit) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let group_commit = {
        let (pool, started, permit) = (pool.clone(), Arc::clone(&started), Arc::clone(&permit));
        GroupCommit::start(
            GroupCommitLimits {
                queued: 8,
                batch: 8,
                concurrent: 1,
            },
            move |items: Vec<Add>| {
                let (pool, started, permit) =
                    (pool.clone(), Arc::clone(&started), Arc::clone(&permit));
                async move {
                    started.notify_one();
                    permit.acquire().await.unwrap().forget();
                    in_batches(&pool, &items, &Apply::default()).await
                }
            },
        )
    };
    let caller = tokio::spawn({
        let group_commit = group_commit.clone();
        async move { group_commit.call(add(1, 1)).await }
    });
    started.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    permit.add_permits(1);
    until("the entry is committed", async || entries(&pool).await == 1).await;
}

/// Rule 5: repeats of an idempotency key share a reply.
#[test]
fn equal_keys_share_a_receipt_and_another_body_fails_alone() {
    let items = [
        ("alice", "k1", "body"),
        ("alice", "k1", "body"),
        ("bob", "k1", "other"),
        ("alice", "k1", "changed"),
    ];
    let found = find_repeats(&items, |(who, key, _)| (*who, *key), |(_, _, body)| *body);
    assert_eq!(
        found,
        [
            Repeat::First,
            Repeat::SameAs(0),
            Repeat::First,
            Repeat::Conflict(0)
        ]
    );
}

/// Rule 6: the queue is bounded; and concurrent calls become one batch.
#[tokio::test]
async fn a_full_queue_refuses_at_once_and_queued_calls_become_one_batch() {
    let (started, permit) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let group_commit = {
        let (started, permit) = (Arc::clone(&started), Arc::clone(&permit));
        GroupCommit::start(
            GroupCommitLimits {
                queued: 3,
                batch: 8,
                concurrent: 1,
            },
            move |items: Vec<u8>| {
                let (started, permit) = (Arc::clone(&started), Arc::clone(&permit));
                async move {
                    started.notify_one();
                    permit.acquire().await.unwrap().forget();
                    vec![items.len(); items.len()]
                }
            },
        )
    };
    let call = || {
        let group_commit = group_commit.clone();
        tokio::spawn(async move { group_commit.call(0).await })
    };
    let first = call();
    started.notified().await;
    let waiting = [call(), call(), call()];
    // Spawned tasks run in turn on this thread, so after a yield the three are queued.
    tokio::task::yield_now().await;
    let refused = group_commit.call(0).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Exhausted);
    assert!(refused.retry_after.is_some());
    permit.add_permits(2);
    assert_eq!(first.await.unwrap(), Ok(1));
    for caller in waiting {
        assert_eq!(caller.await.unwrap(), Ok(3));
    }
}

#[tokio::test]
async fn a_panicking_command_fails_its_call_and_the_next_call_is_served() {
    let group_commit = GroupCommit::start(
        GroupCommitLimits {
            queued: 8,
            batch: 8,
            concurrent: 1,
        },
        |items: Vec<u8>| async move {
            assert!(!items.contains(&13), "unlucky");
            items
        },
    );
    assert_eq!(
        group_commit.call(13).await.unwrap_err().kind,
        Kind::Internal
    );
    assert_eq!(group_commit.call(7).await, Ok(7));
}
