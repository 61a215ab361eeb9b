//! The batch contract: everything is a batch, and one is a batch of one.
//!
//! [`in_batches`] runs a command over a slice in one transaction and deals with its failure by SQLSTATE: some are
//! retried whole with the same ids, some redone one by one, the rest refused whole, because they are no item's
//! fault. [`Gather`] makes batches out of neighbouring calls (group commit); [`fold`] finds what in a batch belongs
//! together. Nothing here knows what a command does.
//!
//! What the command owes: lock case rows ascending, then children ascending (`order by id for update`), insert
//! sorted by key; fold several commands for one row and write it once; look again after `on conflict do nothing`.

pub mod fold;
mod gather;

use std::time::Duration;

use rand::RngExt;
use sqlx::{PgConnection, PgPool};

use crate::error::{Kind, Problem};

pub use gather::{Gather, Limits};

/// How often a batch that lost a deadlock or a serialisation conflict is tried before it is refused as unavailable.
const TRIES: u32 = 8;

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nobody is at fault: the same batch again, with the same ids.
    Retry,
    /// Some item is at fault: the items one by one, each in its own transaction.
    Item,
    /// Something outside the batch is at fault: the whole batch later, or not at all.
    Whole,
}

impl Class {
    /// By SQLSTATE (appendix A of the Postgres manual): 40001 and 40P01 retry; classes 22 (data) and 23 (integrity)
    /// are an item's; all others, and every failure without an SQLSTATE, are the whole batch's.
    pub fn of(error: &sqlx::Error) -> Self {
        let Some(code) = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
        else {
            return Self::Whole;
        };
        match code.as_ref() {
            "40001" | "40P01" => Self::Retry,
            code if code.starts_with("22") || code.starts_with("23") => Self::Item,
            _ => Self::Whole,
        }
    }
}

/// A command's failure, as far as the batch must know it. An item that the command itself refuses is not a failure
/// but an answer: it belongs into the command's replies.
pub trait Fault: Into<Problem> {
    fn class(&self) -> Class;
}

impl Fault for sqlx::Error {
    fn class(&self) -> Class {
        Class::of(self)
    }
}

/// What [`in_batches`] runs: one function of a service's `commands`, with what it needs besides the items.
pub trait Command<T>: Sync {
    type Reply: Send;
    type Error: Fault + From<sqlx::Error> + Send;

    /// Locks, applies, stores and appends; neither begins nor commits. One reply for each item, in order.
    fn run(
        &self,
        conn: &mut PgConnection,
        items: &[T],
    ) -> impl Future<Output = Result<Vec<Self::Reply>, Self::Error>> + Send;
}

/// Runs `command` over `items` in one transaction; the replies are in the order of the items.
///
/// The ids that the command writes come in with the items, so that a retry writes the same ones. A problem is told
/// to those items only that it concerns.
pub async fn in_batches<T: Sync, C: Command<T>>(
    pool: &PgPool,
    items: &[T],
    command: &C,
) -> Vec<Result<C::Reply, Problem>> {
    match transact(pool, items, command).await {
        Ok(replies) => replies.into_iter().map(Ok).collect(),
        Err(error) if error.class() == Class::Item && items.len() > 1 => {
            one_by_one(pool, items, command).await
        }
        Err(error) => {
            let problem = refusal(error);
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
            Ok(mut one) => one.pop().ok_or_else(|| Problem::of(Kind::Internal)),
            Err(error) => {
                let whole = error.class() == Class::Whole;
                let problem = refusal(error);
                if whole {
                    // The database is gone, not the item: what is left is refused as the batch would have been.
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

/// One transaction over `items`, tried again while it loses to its neighbours.
async fn transact<T: Sync, C: Command<T>>(
    pool: &PgPool,
    items: &[T],
    command: &C,
) -> Result<Vec<C::Reply>, C::Error> {
    let mut tries = 1;
    loop {
        match attempt(pool, items, command).await {
            Err(error) if error.class() == Class::Retry && tries < TRIES => {
                tokio::time::sleep(pause(tries)).await;
                tries += 1;
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
            // Its locks go now, before anybody pauses; a connection that is gone has none.
            let _ = tx.rollback().await;
            return Err(error);
        }
    };
    if replies.len() != items.len() {
        return Err(
            sqlx::Error::Protocol("a command answered another number of items".into()).into(),
        );
    }
    tx.commit().await?;
    Ok(replies)
}

/// Between two tries: a few milliseconds, so drawn that two batches which met do not meet again.
pub(crate) fn pause(tries: u32) -> Duration {
    let most = 4_u64 << tries.min(7);
    Duration::from_millis(rand::rng().random_range(1..=most))
}

/// Outside a retry loop a lost conflict is only bad luck: unavailable, never internal.
fn refusal<E: Fault>(error: E) -> Problem {
    let unlucky = error.class() == Class::Retry;
    let problem = error.into();
    if unlucky {
        Problem::of(Kind::Unavailable)
    } else {
        problem
    }
}
