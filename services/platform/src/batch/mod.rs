//! The batch contract: every command takes a batch, and a single item is a batch of one.
//!
//! [`in_batches`] runs a command over a slice in one transaction and handles its failure by SQLSTATE: some
//! failures retry the whole batch with the same ids, some redo it item by item, and the others fail the whole
//! batch, because no item is at fault. [`GroupCommit`] forms batches from concurrent calls; [`fold`] finds
//! the items of a batch that belong together. Nothing here knows what a command does.
//!
//! What a command must do: lock case rows in ascending order, then children in ascending order (`order by id
//! for update`), and insert sorted by key; fold several commands for one row and write the row once; read
//! again after `on conflict do nothing`.

pub mod fold;
mod group_commit;

use std::time::Duration;

use rand::RngExt;
use sqlx::{PgConnection, PgPool};

use crate::error::{Kind, Problem};

pub use group_commit::{GroupCommit, GroupCommitLimits};

/// Attempts at a batch that loses deadlocks or serialization conflicts, before it fails as unavailable.
const MAX_ATTEMPTS: u32 = 8;

/// How a failed batch is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// A lost conflict: the same batch again, with the same ids.
    Retry,
    /// An item is at fault: the items one by one, each in its own transaction.
    Item,
    /// The cause is outside the batch: the whole batch fails, and may be sent again later.
    WholeBatch,
}

impl ErrorClass {
    /// By SQLSTATE (PostgreSQL manual, appendix A): 40001 and 40P01 retry; classes 22 (data) and 23
    /// (integrity) concern an item; all others, and every failure without an SQLSTATE, concern the whole
    /// batch.
    pub fn from_sqlx(error: &sqlx::Error) -> Self {
        let Some(code) = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
        else {
            return Self::WholeBatch;
        };
        match code.as_ref() {
            "40001" | "40P01" => Self::Retry,
            code if code.starts_with("22") || code.starts_with("23") => Self::Item,
            _ => Self::WholeBatch,
        }
    }
}

/// The error of a command. An item that the command itself refuses is not an error but a reply.
pub trait BatchError: Into<Problem> {
    fn class(&self) -> ErrorClass;
}

impl BatchError for sqlx::Error {
    fn class(&self) -> ErrorClass {
        ErrorClass::from_sqlx(self)
    }
}

/// A command for [`in_batches`]: one function of a service's `commands`, with its dependencies.
pub trait Command<T>: Sync {
    type Reply: Send;
    type Error: BatchError + From<sqlx::Error> + Send;

    /// Locks, applies, stores and appends; neither begins nor commits. Returns one reply per item, in order.
    fn run(
        &self,
        conn: &mut PgConnection,
        items: &[T],
    ) -> impl Future<Output = Result<Vec<Self::Reply>, Self::Error>> + Send;
}

/// Runs `command` over `items` in one transaction. The replies are in the order of the items.
///
/// Ids of new rows must be part of the items, so that a retry writes the same ones. A problem is returned
/// only for the items that it concerns.
pub async fn in_batches<T: Sync, C: Command<T>>(
    pool: &PgPool,
    items: &[T],
    command: &C,
) -> Vec<Result<C::Reply, Problem>> {
    match transact(pool, items, command).await {
        Ok(replies) => replies.into_iter().map(Ok).collect(),
        Err(error) if error.class() == ErrorClass::Item && items.len() > 1 => {
            one_by_one(pool, items, command).await
        }
        Err(error) => {
            let problem = to_problem(error);
            items.iter().map(|_| Err(problem.clone())).collect()
        }
    }
}

async fn one_by_one<T: Sync, C: Command<T>>(
    pool: &PgPool,
    items: &[T],
    command: &C,
) -> Vec<Result<C::Reply, Problem>> {
    let mut replies = Vec::with_capacity(items.len());
    for item in items {
        let reply = match transact(pool, std::slice::from_ref(item), command).await {
            Ok(mut one) => one.pop().ok_or_else(|| Problem::from_kind(Kind::Internal)),
            Err(error) => {
                let whole = error.class() == ErrorClass::WholeBatch;
                let problem = to_problem(error);
                if whole {
                    // The database is unavailable and no item is at fault: the remaining items fail in the
                    // same way.
                    replies.resize_with(items.len(), || Err(problem.clone()));
                    return replies;
                }
                Err(problem)
            }
        };
        replies.push(reply);
    }
    replies
}

/// Runs one transaction over `items`, retrying lost conflicts.
async fn transact<T: Sync, C: Command<T>>(
    pool: &PgPool,
    items: &[T],
    command: &C,
) -> Result<Vec<C::Reply>, C::Error> {
    let mut attempts = 1;
    loop {
        match attempt(pool, items, command).await {
            Err(error) if error.class() == ErrorClass::Retry && attempts < MAX_ATTEMPTS => {
                tokio::time::sleep(retry_pause(attempts)).await;
                attempts += 1;
            }
            done => return done,
        }
    }
}

async fn attempt<T: Sync, C: Command<T>>(
    pool: &PgPool,
    items: &[T],
    command: &C,
) -> Result<Vec<C::Reply>, C::Error> {
    let mut tx = pool.begin().await?;
    let replies = match command.run(&mut tx, items).await {
        Ok(replies) => replies,
        Err(error) => {
            // Release the locks before the caller pauses; a lost connection has none.
            let _ = tx.rollback().await;
            return Err(error);
        }
    };
    if replies.len() != items.len() {
        return Err(
            sqlx::Error::Protocol("a command returned the wrong number of replies".into()).into(),
        );
    }
    tx.commit().await?;
    Ok(replies)
}

/// Random pause before a retry: a few milliseconds, increasing, so that two batches that collided do not
/// collide again.
pub(crate) fn retry_pause(attempt: u32) -> Duration {
    let max_millis = 4_u64 << attempt.min(7);
    Duration::from_millis(rand::rng().random_range(1..=max_millis))
}

/// A conflict that is still lost after all retries is reported as unavailable, never as internal.
fn to_problem<E: BatchError>(error: E) -> Problem {
    let lost_conflict = error.class() == ErrorClass::Retry;
    let problem = error.into();
    if lost_conflict {
        Problem::from_kind(Kind::Unavailable)
    } else {
        problem
    }
}
