//! The batch contract, a test a rule, on a small ledger of accounts.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use platform::batch::fold::{Repeat, by_key, repeats};
use platform::batch::{Command, Gather, Limits, in_batches};
use platform::error::{Kind, Problem};
use sqlx::{PgConnection, PgPool};
use support::{World, until};
use tokio::sync::{Barrier, Notify, Semaphore};
use uuid::Uuid;

/// Adds to an account; `id` names the entry.
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

async fn bank() -> (World, PgPool) {
    let world = World::new().await;
    sqlx::raw_sql(
        "create table account (id bigint primary key, balance bigint not null check (balance < 1000));
        create table entry (id uuid primary key, account bigint not null);
        create table opened (tag text primary key, id uuid not null);
        create function refuse(state text) returns void language plpgsql as
        $$ begin raise exception 'refused' using errcode = state; end $$;
        insert into account select n, 0 from generate_series(1, 8) as n;",
    )
    .execute(&world.origin)
    .await
    .unwrap();
    let pool = world.origin.clone();
    (world, pool)
}

/// Keeps the contract: locks ascending, folds, writes each row once. Replies with the balance after each item.
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

/// [`apply`], counting its runs; afterwards it runs into `trouble`, a statement that fails.
#[derive(Default)]
struct Apply {
    runs: AtomicUsize,
    trouble: Option<&'static str>,
}

impl Apply {
    fn then(trouble: &'static str) -> Self {
        Self {
            runs: AtomicUsize::new(0),
            trouble: Some(trouble),
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
        if let Some(trouble) = self.trouble {
            sqlx::query(trouble).execute(conn).await?;
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

/// Rule 1.
#[tokio::test(flavor = "multi_thread")]
async fn batches_that_lock_in_order_never_meet_head_on() {
    let (_world, pool) = bank().await;
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
    assert_eq!(command.runs(), 100, "none was tried twice");
    assert_eq!(balance(&pool, 8).await, 100);
}

/// Rule 2.
#[tokio::test]
async fn several_commands_for_one_row_are_folded_in_order() {
    let (_world, pool) = bank().await;
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

/// Rule 3.
#[tokio::test(flavor = "multi_thread")]
async fn the_loser_of_an_insert_looks_again_and_takes_the_winners_row() {
    let (_world, pool) = bank().await;
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
    let answers: Vec<Vec<Result<Uuid, Problem>>> = running.join_all().await;
    assert!(answers.iter().flatten().all(Result::is_ok));
    assert!(
        answers.windows(2).all(|two| two[0] == two[1]),
        "all got the winner's id"
    );
}

/// Breaks rule 1 on purpose: locks in the order of the items, and meets another of its kind half-way.
struct HeadOn {
    met: Arc<Barrier>,
    runs: AtomicUsize,
}

impl Command<Add> for HeadOn {
    type Reply = i64;
    type Error = sqlx::Error;

    async fn run(&self, conn: &mut PgConnection, items: &[Add]) -> sqlx::Result<Vec<i64>> {
        let mut replies = apply(conn, &items[..1]).await?;
        if self.runs.fetch_add(1, Ordering::SeqCst) == 0 {
            self.met.wait().await;
        }
        replies.extend(apply(conn, &items[1..]).await?);
        Ok(replies)
    }
}

/// Rule 4: a real deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again_with_the_same_ids() {
    let (_world, pool) = bank().await;
    let met = Arc::new(Barrier::new(2));
    let mut running = tokio::task::JoinSet::new();
    for order in [[1_i64, 2], [2, 1]] {
        let pool = pool.clone();
        let command = HeadOn {
            met: Arc::clone(&met),
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
        "they did meet"
    );
    assert_eq!(entries(&pool).await, 4, "each entry once, under its id");
}

/// Rule 4.
#[tokio::test]
async fn only_the_rotten_item_fails() {
    let (_world, pool) = bank().await;
    let taken = add(3, 1);
    in_batches(&pool, &[taken], &Apply::default())
        .await
        .remove(0)
        .unwrap();
    // A balance that a check refuses, and an id that is there already.
    let items = [add(1, 1), add(2, 5000), taken, add(1, 1)];
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

/// Rule 4.
#[tokio::test]
async fn a_lost_connection_refuses_the_whole_batch() {
    let (_world, pool) = bank().await;
    let command = Apply::then("select pg_terminate_backend(pg_backend_pid())");
    for reply in in_batches(&pool, &[add(1, 1), add(2, 1)], &command).await {
        assert_eq!(reply.unwrap_err().kind, Kind::Unavailable);
    }
    assert_eq!(command.runs(), 1, "not redone one by one");
    assert_eq!(entries(&pool).await, 0);
}

/// Rule 4.
#[tokio::test]
async fn the_sqlstate_decides_what_the_caller_hears() {
    let (_world, pool) = bank().await;
    let cases = [
        ("select refuse('53100')", Kind::Exhausted, 1),
        ("select refuse('57014')", Kind::Unavailable, 1),
        ("select refuse('40001')", Kind::Unavailable, 8),
    ];
    for (trouble, kind, runs) in cases {
        let command = Apply::then(trouble);
        for reply in in_batches(&pool, &[add(1, 1), add(2, 1)], &command).await {
            assert_eq!(reply.unwrap_err().kind, kind, "{trouble}");
        }
        assert_eq!(command.runs(), runs, "{trouble}");
    }
    assert_eq!(entries(&pool).await, 0);
}

/// Rule 5.
#[tokio::test]
async fn a_gathered_commit_outlives_a_caller_that_went_away() {
    let (_world, pool) = bank().await;
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let gather = {
        let (pool, begun, go) = (pool.clone(), Arc::clone(&begun), Arc::clone(&go));
        Gather::start(
            Limits {
                waiting: 8,
                batch: 8,
                lanes: 1,
            },
            move |items: Vec<Add>| {
                let (pool, begun, go) = (pool.clone(), Arc::clone(&begun), Arc::clone(&go));
                async move {
                    begun.notify_one();
                    go.acquire().await.unwrap().forget();
                    in_batches(&pool, &items, &Apply::default()).await
                }
            },
        )
    };
    let caller = tokio::spawn({
        let gather = gather.clone();
        async move { gather.call(add(1, 1)).await }
    });
    begun.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go.add_permits(1);
    until("the entry is there", async || entries(&pool).await == 1).await;
}

/// Rule 5.
#[test]
fn equal_keys_share_a_receipt_and_another_body_fails_alone() {
    let items = [
        ("alice", "k1", "body"),
        ("alice", "k1", "body"),
        ("bob", "k1", "other"),
        ("alice", "k1", "changed"),
    ];
    let found = repeats(&items, |(who, key, _)| (*who, *key), |(_, _, body)| *body);
    assert_eq!(
        found,
        [
            Repeat::First,
            Repeat::Of(0),
            Repeat::First,
            Repeat::Clash(0)
        ]
    );
}

/// Rule 6; and neighbours become one batch.
#[tokio::test]
async fn a_full_queue_refuses_at_once_and_what_waited_is_one_batch() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let gather = {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        Gather::start(
            Limits {
                waiting: 3,
                batch: 8,
                lanes: 1,
            },
            move |items: Vec<u8>| {
                let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
                async move {
                    begun.notify_one();
                    go.acquire().await.unwrap().forget();
                    vec![items.len(); items.len()]
                }
            },
        )
    };
    let call = || {
        let gather = gather.clone();
        tokio::spawn(async move { gather.call(0).await })
    };
    let first = call();
    begun.notified().await;
    let waiting = [call(), call(), call()];
    // Spawned tasks run in turn on this thread: after a yield the three are queued.
    tokio::task::yield_now().await;
    let refused = gather.call(0).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Exhausted);
    assert!(refused.retry_after.is_some());
    go.add_permits(2);
    assert_eq!(first.await.unwrap(), Ok(1));
    for caller in waiting {
        assert_eq!(caller.await.unwrap(), Ok(3));
    }
}

#[tokio::test]
async fn a_panicking_command_is_an_answer_and_the_next_call_is_served() {
    let gather = Gather::start(
        Limits {
            waiting: 8,
            batch: 8,
            lanes: 1,
        },
        |items: Vec<u8>| async move {
            assert!(!items.contains(&13), "unlucky");
            items
        },
    );
    assert_eq!(gather.call(13).await.unwrap_err().kind, Kind::Internal);
    assert_eq!(gather.call(7).await, Ok(7));
}
