//! A host's outgoing answers: sent in bulk by the API, or one at a time by a mail's link. Retries while the hotline is
//! overloaded or unreachable, so that no answer is lost.

use std::sync::Arc;
use std::time::Duration;

use host_client::gateway_client::{AnswerResult, GatewayClient, GatewayError, SubmittedAnswer};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::simulated_host::DeliveredBy;

/// Answers per bulk request.
const BULK_SIZE: usize = 200;
/// Answers that may wait for the request before theirs.
const QUEUE_SIZE: usize = 4096;
/// How long the first answer of a bulk request waits for others.
const BULK_WINDOW: Duration = Duration::from_millis(40);
/// Mails that are answered concurrently.
const CONCURRENT_LINKS: usize = 8;
/// One link in this many is opened in a browser before it is answered.
const OPENED_ONE_IN: u8 = 8;
const MAX_ATTEMPTS: u32 = 40;

pub struct OutgoingAnswer {
    pub answer: SubmittedAnswer,
    pub delivered_by: Arc<DeliveredBy>,
}

type PendingAnswer = (SubmittedAnswer, oneshot::Sender<Result<(), &'static str>>);

pub struct Outbox {
    gateway: GatewayClient,
    queue: mpsc::Sender<PendingAnswer>,
    links: Semaphore,
}

impl Outbox {
    pub fn start(gateway: GatewayClient, tasks: &TaskTracker) -> Self {
        let (queue, pending) = mpsc::channel(QUEUE_SIZE);
        tasks.spawn(send_in_bulk(gateway.clone(), pending));
        Self {
            gateway,
            queue,
            links: Semaphore::new(CONCURRENT_LINKS),
        }
    }

    /// Sends one answer and waits until the hotline has confirmed it.
    ///
    /// # Errors
    /// A stable code for the host's log: the hotline refused the answer, or the retries are exhausted.
    pub async fn send(&self, outgoing: OutgoingAnswer) -> Result<(), &'static str> {
        match &*outgoing.delivered_by {
            DeliveredBy::Mail(link) => {
                let _permit = self.links.acquire().await;
                let mut retries = RetryBudget::default();
                let answer = &outgoing.answer;
                if answer.notice_id.as_bytes()[2].is_multiple_of(OPENED_ONE_IN) {
                    while let Err(error) = self.gateway.open_link(link).await {
                        retries.wait_before_retry(&error).await?;
                    }
                }
                while let Err(error) = self.gateway.answer_by_link(link, answer).await {
                    retries.wait_before_retry(&error).await?;
                }
                Ok(())
            }
            DeliveredBy::PullApi | DeliveredBy::Webhook => {
                let (done, outcome) = oneshot::channel();
                if self.queue.send((outgoing.answer, done)).await.is_err() {
                    return Err("answer_dropped");
                }
                outcome.await.unwrap_or(Err("answer_dropped"))
            }
        }
    }
}

async fn send_in_bulk(gateway: GatewayClient, mut pending: mpsc::Receiver<PendingAnswer>) {
    let mut bulk = Vec::new();
    while pending.recv_many(&mut bulk, BULK_SIZE).await > 0 {
        tokio::time::sleep(BULK_WINDOW).await;
        while bulk.len() < BULK_SIZE {
            match pending.try_recv() {
                Ok(more) => bulk.push(more),
                Err(_) => break,
            }
        }
        let (answers, done): (Vec<SubmittedAnswer>, Vec<_>) = bulk.drain(..).unzip();
        let results = submit_with_retries(&gateway, &answers).await;
        for (index, done) in done.into_iter().enumerate() {
            let outcome = match &results {
                Err(reason) => Err(*reason),
                Ok(results)
                    if results
                        .get(index)
                        .is_some_and(|result| result.problem.is_none()) =>
                {
                    Ok(())
                }
                Ok(_) => Err("answer_refused"),
            };
            // The receiver may have stopped waiting.
            let _ = done.send(outcome);
        }
    }
}

/// Sends one bulk request, with the same idempotency key at every attempt.
async fn submit_with_retries(
    gateway: &GatewayClient,
    answers: &[SubmittedAnswer],
) -> Result<Vec<AnswerResult>, &'static str> {
    let idempotency_key = Uuid::new_v4();
    let mut retries = RetryBudget::default();
    loop {
        match gateway.submit_answers(answers, idempotency_key).await {
            Ok(results) => return Ok(results),
            Err(error) => retries.wait_before_retry(&error).await?,
        }
    }
}

/// The retries that are left, and the pause before the next one.
struct RetryBudget {
    left: u32,
    pause: Duration,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            left: MAX_ATTEMPTS,
            pause: Duration::from_millis(100),
        }
    }
}

impl RetryBudget {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The error is permanent, or the budget is used up.
    async fn wait_before_retry(&mut self, error: &GatewayError) -> Result<(), &'static str> {
        if !error.is_retryable() {
            tracing::debug!(%error, "the hotline refused an answer");
            return Err("answer_refused");
        }
        self.left = self.left.checked_sub(1).ok_or("answer_given_up")?;
        tokio::time::sleep(error.retry_after().unwrap_or(self.pause)).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(2));
        Ok(())
    }
}
