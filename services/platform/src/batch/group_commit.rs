//! Group commit: concurrent calls become one batch. A call is never delayed to fill a batch: a batch is what
//! was queued while the previous one committed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{Kind, Problem};

/// Limits of a [`GroupCommit`].
#[derive(Clone, Copy, Debug)]
pub struct GroupCommitLimits {
    /// Maximum number of queued calls; further calls are refused at once.
    pub queued: usize,
    /// Maximum number of calls in one batch.
    pub batch: usize,
    /// Maximum number of batches that commit at the same time.
    pub concurrent: usize,
}

/// A bounded queue whose worker commits queued calls in batches. After the last clone is dropped, the worker
/// finishes the queue and ends.
pub struct GroupCommit<T, R> {
    queue: mpsc::Sender<Call<T, R>>,
}

struct Call<T, R> {
    item: T,
    reply: oneshot::Sender<Result<R, Problem>>,
}

impl<T, R> Clone for GroupCommit<T, R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

impl<T: Send + 'static, R: Send + 'static> GroupCommit<T, R> {
    /// Starts the worker. `commit` takes a batch and returns one reply per item, in order.
    ///
    /// # Panics
    /// Outside a Tokio runtime, or when a limit is zero.
    pub fn start<F, Fut>(limits: GroupCommitLimits, commit: F) -> Self
    where
        F: Fn(Vec<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<R>> + Send + 'static,
    {
        assert!(
            limits.batch > 0 && limits.concurrent > 0,
            "limits must be positive"
        );
        let (queue, calls) = mpsc::channel(limits.queued);
        tokio::spawn(run_worker(calls, limits, commit));
        Self { queue }
    }

    /// Queues an item and waits for its reply. A caller that stops waiting does not stop the commit.
    ///
    /// # Errors
    /// `Exhausted` at once when the queue is full; `Unavailable` during a shutdown.
    pub async fn call(&self, item: T) -> Result<R, Problem> {
        let (reply, receiver) = oneshot::channel();
        self.queue
            .try_send(Call { item, reply })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    Problem::from_kind(Kind::Exhausted).retry_after(Duration::from_secs(1))
                }
                mpsc::error::TrySendError::Closed(_) => Problem::from_kind(Kind::Unavailable),
            })?;
        // The worker replies to every call unless the runtime is shutting down.
        receiver
            .await
            .unwrap_or_else(|_| Err(Problem::from_kind(Kind::Unavailable)))
    }
}

async fn run_worker<T, R, F, Fut>(
    mut calls: mpsc::Receiver<Call<T, R>>,
    limits: GroupCommitLimits,
    commit: F,
) where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(Vec<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<R>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limits.concurrent));
    let commit = Arc::new(commit);
    loop {
        // Acquire the permit before taking the batch: calls that arrive while all permits are in use join it.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let mut batch = Vec::new();
        if calls.recv_many(&mut batch, limits.batch).await == 0 {
            return;
        }
        let commit = Arc::clone(&commit);
        tokio::spawn(async move {
            let (items, waiting): (Vec<T>, Vec<_>) = batch
                .into_iter()
                .map(|call| (call.item, call.reply))
                .unzip();
            // In its own task, so that a panic of the command fails its callers and not the worker.
            let replies = tokio::spawn(async move { commit(items).await }).await;
            drop(permit);
            send_replies(replies.unwrap_or_default(), waiting);
        });
    }
}

/// Sends each caller its reply. A caller without one (the command panicked or returned the wrong number) gets
/// an internal error.
fn send_replies<R>(replies: Vec<R>, waiting: Vec<oneshot::Sender<Result<R, Problem>>>) {
    let miscounted = replies.len() != waiting.len();
    if miscounted {
        tracing::error!(
            batch.items = waiting.len(),
            batch.replies = replies.len(),
            "a group commit command panicked or returned the wrong number of replies"
        );
    }
    let mut replies = replies.into_iter();
    for caller in waiting {
        let reply = match replies.next() {
            Some(reply) if !miscounted => Ok(reply),
            _ => Err(Problem::from_kind(Kind::Internal)),
        };
        // The caller may have stopped waiting; the commit is unaffected.
        let _ = caller.send(reply);
    }
}
