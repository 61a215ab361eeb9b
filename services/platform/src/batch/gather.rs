//! Group commit: calls that wait at the same time become one batch.
//! Must not delay a call to make a batch fuller: a batch is what has queued while the last one committed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{Kind, Problem};

/// The bounds of a [`Gather`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls that may wait; the next is refused at once.
    pub waiting: usize,
    /// Calls in one batch at most.
    pub batch: usize,
    /// Batches that may be committing at the same time.
    pub lanes: usize,
}

/// The front of a bounded queue whose worker commits what has gathered. The worker ends, after what is queued,
/// when the last clone is dropped.
pub struct Gather<T, R> {
    queue: mpsc::Sender<Call<T, R>>,
}

struct Call<T, R> {
    item: T,
    answer: oneshot::Sender<Result<R, Problem>>,
}

impl<T, R> Clone for Gather<T, R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

impl<T: Send + 'static, R: Send + 'static> Gather<T, R> {
    /// Starts the worker. `commit` takes a batch and returns one answer for each item, in order.
    ///
    /// # Panics
    /// Outside a Tokio runtime, or when a limit is zero.
    pub fn start<F, Fut>(limits: Limits, commit: F) -> Self
    where
        F: Fn(Vec<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<R>> + Send + 'static,
    {
        assert!(limits.batch > 0 && limits.lanes > 0, "limits are positive");
        let (queue, calls) = mpsc::channel(limits.waiting);
        tokio::spawn(work(calls, limits, commit));
        Self { queue }
    }

    /// Waits for the item's answer. Whoever stops waiting does not stop the commit.
    ///
    /// Refused with `Exhausted` at once when the queue is full.
    pub async fn call(&self, item: T) -> Result<R, Problem> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(Call { item, answer })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    Problem::of(Kind::Exhausted).retry_after(Duration::from_secs(1))
                }
                mpsc::error::TrySendError::Closed(_) => Problem::of(Kind::Unavailable),
            })?;
        // The worker answers every call unless the runtime is going down.
        answered
            .await
            .unwrap_or_else(|_| Err(Problem::of(Kind::Unavailable)))
    }
}

async fn work<T, R, F, Fut>(mut calls: mpsc::Receiver<Call<T, R>>, limits: Limits, commit: F)
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(Vec<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<R>> + Send + 'static,
{
    let lanes = Arc::new(Semaphore::new(limits.lanes));
    let commit = Arc::new(commit);
    loop {
        // A free lane first, the batch after: what arrives while all lanes are busy goes into it.
        let Ok(lane) = Arc::clone(&lanes).acquire_owned().await else {
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
                .map(|call| (call.item, call.answer))
                .unzip();
            // A task of its own, so that a panic in the command is an answer and not the end of the worker.
            let replies = tokio::spawn(async move { commit(items).await }).await;
            drop(lane);
            answer(replies.unwrap_or_default(), waiting);
        });
    }
}

/// Tells each caller its reply; a caller without one (the command panicked, or miscounted) hears of our fault.
fn answer<R>(replies: Vec<R>, waiting: Vec<oneshot::Sender<Result<R, Problem>>>) {
    let miscounted = replies.len() != waiting.len();
    if miscounted {
        tracing::error!(
            batch.items = waiting.len(),
            batch.replies = replies.len(),
            "a gathered command did not answer its batch"
        );
    }
    let mut replies = replies.into_iter();
    for caller in waiting {
        let reply = match replies.next() {
            Some(reply) if !miscounted => Ok(reply),
            _ => Err(Problem::of(Kind::Internal)),
        };
        // The caller may be gone; the commit stands all the same.
        let _ = caller.send(reply);
    }
}
