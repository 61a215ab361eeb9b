//! What a host answers: gathered and sent in bulk by the API, or one at a time by a mail's link. Sends again when the
//! hotline has no time; an answer is never lost because it was said at a bad moment.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Error;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::gateway::{AnswerResult, Gateway, Refused, Said};
use super::player::Came;

/// Answers in one request.
const BULK: usize = 200;
/// Answers that wait for the request before them.
const QUEUE: usize = 4096;
/// How long the first answer of a request waits for company.
const GATHER: Duration = Duration::from_millis(40);
/// Mails that are answered at the same moment.
const LINKS: usize = 8;
/// One link in so many is opened in a browser before it is answered.
const OPENED: u8 = 8;
const ATTEMPTS: u32 = 40;

pub struct Reply {
    pub said: Said,
    pub came: Arc<Came>,
}

type Waiting = (Said, oneshot::Sender<Result<(), &'static str>>);

pub struct Outbox {
    gateway: Gateway,
    queue: mpsc::Sender<Waiting>,
    links: Semaphore,
}

impl Outbox {
    pub fn start(gateway: Gateway, tasks: &TaskTracker) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tasks.spawn(send_bulk(gateway.clone(), waiting));
        Self {
            gateway,
            queue,
            links: Semaphore::new(LINKS),
        }
    }

    /// Sends one answer and waits until the hotline has it; the error is a stable code for the host's log.
    pub async fn say(&self, reply: Reply) -> Result<(), &'static str> {
        match &*reply.came {
            Came::Mail(link) => {
                let _permit = self.links.acquire().await;
                let mut patience = Patience::default();
                if reply.said.notice_id.as_bytes()[2].is_multiple_of(OPENED) {
                    while let Err(error) = self.gateway.open_link(link).await {
                        patience.bear(&error).await?;
                    }
                }
                while let Err(error) = self.gateway.answer_link(link, &reply.said).await {
                    patience.bear(&error).await?;
                }
                Ok(())
            }
            Came::Pulled | Came::Pushed => {
                let (done, outcome) = oneshot::channel();
                if self.queue.send((reply.said, done)).await.is_err() {
                    return Err("answer_dropped");
                }
                outcome.await.unwrap_or(Err("answer_dropped"))
            }
        }
    }
}

async fn send_bulk(gateway: Gateway, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BULK).await > 0 {
        tokio::time::sleep(GATHER).await;
        while batch.len() < BULK {
            match waiting.try_recv() {
                Ok(more) => batch.push(more),
                Err(_) => break,
            }
        }
        let (said, done): (Vec<Said>, Vec<_>) = batch.drain(..).unzip();
        let results = answer(&gateway, &said).await;
        for (number, done) in done.into_iter().enumerate() {
            let outcome = match &results {
                Err(reason) => Err(*reason),
                Ok(results) if results.get(number).is_some_and(|one| one.problem.is_none()) => {
                    Ok(())
                }
                Ok(_) => Err("answer_refused"),
            };
            // Whoever asked may have stopped waiting.
            let _ = done.send(outcome);
        }
    }
}

/// Sends one bulk of answers, under one key however often it has to be sent.
async fn answer(gateway: &Gateway, said: &[Said]) -> Result<Vec<AnswerResult>, &'static str> {
    let once = Uuid::new_v4();
    let mut patience = Patience::default();
    loop {
        match gateway.answer(said, once).await {
            Ok(results) => return Ok(results),
            Err(error) => patience.bear(&error).await?,
        }
    }
}

/// How long a host goes on asking.
struct Patience {
    left: u32,
    pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            left: ATTEMPTS,
            pause: Duration::from_millis(100),
        }
    }
}

impl Patience {
    /// Waits before the next attempt, where there is to be one: the hotline has no time, or cannot be reached.
    async fn bear(&mut self, error: &Error) -> Result<(), &'static str> {
        let refused = error.downcast_ref::<Refused>();
        if refused.is_some_and(|refused| !refused.is_for_now()) {
            tracing::debug!(%error, "an answer was refused");
            return Err("answer_refused");
        }
        self.left = self.left.checked_sub(1).ok_or("answer_given_up")?;
        let wanted = refused.and_then(|refused| refused.retry_after);
        tokio::time::sleep(wanted.unwrap_or(self.pause)).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(2));
        Ok(())
    }
}
