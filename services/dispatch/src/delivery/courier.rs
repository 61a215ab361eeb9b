//! The courier: claims, sends and records, many messages at once and each endpoint in its own lane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::batch::in_batches;
use platform::clock::Clock;
use platform::connector::Connector;
use platform::log::Hint;
use platform::metrics::Counter;
use platform::sealed::{Signer, SigningContext};
use platform::trace::{Side, Work};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DeliverySettings;
use super::claim::{Claimer, Job, Target, term};
use super::lanes::Lanes;
use super::record::{Finished, Record};
use super::store;
use crate::channels::webhook::Answered;
use crate::channels::{Failure, Mail, Outcome, Parcel, Place, Webhook, mail, webhook};
use crate::checkpoint::Latest;
use crate::commands::Rules;
use crate::document::{self, Hotline, Issue};
use crate::{Error, link};

/// By channel and outcome.
static ATTEMPTS: Counter = Counter::new(
    "takedown.dispatch.attempts",
    "{attempt}",
    "Attempts to hand a message over.",
);

/// Outcomes recorded in one transaction, at most.
const RECORDED: usize = 256;
/// A record that the database refuses for its own reasons is tried so often; after that the lease lapses, and the
/// message is sent again under its id.
const RECORD_TRIES: u32 = 20;
/// Leases of attempts older than this are renewed, and so often.
const RENEWED: Duration = Duration::from_secs(1);

/// What a courier works with.
pub struct Parts {
    pub pool: PgPool,
    pub clock: Clock,
    pub rules: Rules,
    pub settings: DeliverySettings,
    pub hotline: Hotline,
    pub checkpoint: Latest,
    pub webhook: Webhook,
    /// For looking up where a host is.
    pub connector: Connector,
    /// None where no relay is set: mails then wait.
    pub mail: Option<Mail>,
    /// Rung by whoever has put something in line.
    pub bell: Hint,
}

/// Cheap to clone; clones share what is under way.
#[derive(Clone)]
pub struct Courier(Arc<Inner>);

struct Inner {
    parts: Parts,
    claimer: Claimer,
    /// Of notices.
    signer: Signer,
    lanes: Lanes,
}

impl Courier {
    pub fn new(parts: Parts) -> Self {
        let keyring = Arc::clone(&parts.rules.keyring);
        let claimer = Claimer {
            pool: parts.pool.clone(),
            clock: parts.clock.clone(),
            proofs: keyring.verifier(SigningContext::Proof),
            keyring: Arc::clone(&keyring),
        };
        Self(Arc::new(Inner {
            signer: keyring.signer(SigningContext::Notice),
            claimer,
            parts,
            lanes: Lanes::default(),
        }))
    }

    /// One batch from claim to record. Returns how many attempts were made.
    pub async fn run_once(&self) -> Result<usize, Error> {
        let jobs = self.claim().await?;
        let attempts: JoinSet<Finished> = jobs.into_iter().map(|job| self.attempt(job)).collect();
        let finished = attempts.join_all().await;
        let made = finished.len();
        self.record(finished).await;
        Ok(made)
    }

    /// Sends until it is shut down; what is under way then is finished and recorded.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let (done, results) = mpsc::channel(RECORDED * 4);
        let recorder = tokio::spawn(self.clone().record_all(results));
        let renewer = tokio::spawn(self.clone().renew_all());
        let mut attempts = JoinSet::new();
        let mut ear = self.0.parts.bell.listen();
        let poll = Duration::from_millis(self.0.parts.settings.poll_millis.max(1));
        while !shutdown.is_cancelled() {
            let claimed = match self.claim().await {
                Ok(jobs) => jobs,
                Err(error) => {
                    let problem = platform::error::Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "messages could not be claimed");
                    tokio::time::sleep(poll).await;
                    continue;
                }
            };
            let idle = claimed.is_empty();
            for job in claimed {
                let (attempt, done) = (self.attempt(job), done.clone());
                attempts.spawn(async move {
                    // The recorder listens for as long as there is a sender.
                    let _ = done.send(attempt.await).await;
                });
            }
            while attempts.try_join_next().is_some() {}
            if idle {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = ear.within(poll) => {}
                }
            }
        }
        drop(done);
        while attempts.join_next().await.is_some() {}
        // Ends when the last sender is gone; it does not panic by itself.
        let _ = recorder.await;
        renewer.abort();
        Ok(())
    }

    async fn claim(&self) -> Result<Vec<Job>, Error> {
        let inner = &self.0;
        let settings = &inner.parts.settings;
        let room = settings.all.saturating_sub(inner.lanes.total());
        if room == 0 {
            return Ok(Vec::new());
        }
        let busy = inner.lanes.busy();
        let limit = room.min(settings.batch);
        inner.claimer.claim(settings, &busy, limit).await
    }

    /// Counts the message as under way at once; what is returned makes the attempt.
    fn attempt(&self, job: Job) -> impl Future<Output = Finished> + Send + 'static {
        let courier = self.clone();
        let lane = (job.content.provider_id.clone(), job.channel);
        let ticket = self.0.lanes.enter(lane, job.content.notice_id, job.token);
        async move {
            // Above what the channels allow themselves; a channel that forgets its own end still has one.
            let limit = courier.0.parts.settings.timeout() * 2;
            let work = work(&job);
            let sending = work.scope(courier.send(&job));
            let started = Instant::now();
            let answered = tokio::time::timeout(limit, sending).await;
            let Answered { outcome, status } = answered.unwrap_or_else(|_| {
                Outcome::Failed(Failure::of_endpoint("timed_out", true)).into()
            });
            if let Some(code) = outcome.code() {
                work.failed(code);
            }
            ATTEMPTS.add(
                1,
                &[
                    ("channel", job.channel.as_str()),
                    ("outcome", outcome.code().unwrap_or("delivered")),
                ],
            );
            Finished {
                ticket,
                sequence: job.sequence,
                message_id: courier.message_id(&job),
                attempt: job.attempt,
                in_doubt: job.in_doubt,
                claimed_at: job.claimed_at,
                endpoint_id: match job.target {
                    Some(Target::Webhook(endpoint_id, _)) => Some(endpoint_id),
                    Some(Target::Mailbox(_)) | None => None,
                },
                took: started.elapsed(),
                outcome,
                status,
            }
        }
    }

    async fn send(&self, job: &Job) -> Answered {
        let parts = &self.0.parts;
        let Some(target) = &job.target else {
            return Outcome::Unreachable("gone").into();
        };
        let content = &job.content;
        let checkpoint = parts.checkpoint.note();
        let issue = Issue {
            at: job.claimed_at,
            legal_basis: &parts.rules.policy.regime(&content.regime).legal_basis,
            hotline: &parts.hotline,
            checkpoint: checkpoint.as_deref(),
            signer: &self.0.signer,
        };
        let signed = document::build(content, &issue);
        match (target, &parts.mail) {
            (Target::Webhook(_, target), _) => parts.webhook.send(target, content, &signed).await,
            (Target::Mailbox(mailbox), Some(mail)) => {
                let Ok(mailbox) = mailbox.text() else {
                    return Outcome::Unreachable("gone").into();
                };
                let parcel = Parcel {
                    content,
                    signed: &signed,
                    link: &self.link(job),
                    place: &self.place(job).await,
                    attempt: job.attempt,
                };
                mail.send(mailbox, &parcel).await.into()
            }
            (Target::Mailbox(_), None) => Outcome::Failed(Failure::ours("no_relay")).into(),
        }
    }

    /// Where the host is now, for people who look up addresses. That nobody can say delays no mail for long.
    async fn place(&self, job: &Job) -> Place {
        let url = job.content.url.reveal().parse();
        let addresses = match url {
            Ok(url) => self.0.parts.connector.addresses(&url).await,
            Err(_) => Ok(Vec::new()),
        };
        Place {
            addresses: addresses.unwrap_or_default(),
            at: job.claimed_at,
        }
    }

    fn message_id(&self, job: &Job) -> String {
        let (notice, sequence) = (job.content.notice_id, job.content.sequence);
        match job.target {
            Some(Target::Mailbox(_)) => {
                mail::message_id(notice, sequence, &self.0.parts.hotline.domain)
            }
            Some(Target::Webhook(..)) | None => webhook::message_id(notice, sequence),
        }
    }

    fn link(&self, job: &Job) -> String {
        let parts = &self.0.parts;
        let days = time::Duration::days(parts.hotline.notice_days.into());
        let token = link::token(
            &parts.rules.keyring,
            job.content.notice_id,
            &job.content.provider_id,
            job.claimed_at + days,
        );
        format!("{}/n/{token}", parts.hotline.public_base)
    }

    async fn record_all(self, mut results: mpsc::Receiver<Finished>) {
        let mut batch = Vec::new();
        while results.recv_many(&mut batch, RECORDED).await > 0 {
            self.record(std::mem::take(&mut batch)).await;
            // A lane that was full has room again.
            self.0.parts.bell.ring();
        }
    }

    /// Writes outcomes down; what the database refuses for its own reasons is tried again.
    async fn record(&self, mut finished: Vec<Finished>) {
        let parts = &self.0.parts;
        for _ in 0..RECORD_TRIES {
            let record = Record {
                clock: &parts.clock,
                rules: &parts.rules,
                settings: &parts.settings,
            };
            let replies = in_batches(&parts.pool, &finished, &record).await;
            let mut left = Vec::new();
            let mut recovered = BTreeMap::new();
            for (item, reply) in finished.into_iter().zip(replies) {
                match reply {
                    Ok(Some((lane, now))) => {
                        recovered.insert(lane, now);
                    }
                    Ok(None) => {}
                    Err(problem) if problem.is_transient() => left.push(item),
                    Err(problem) => {
                        tracing::error!(alarm = "delivery_not_recorded", notice.id = %item.ticket.notice_id(), problem.code = %problem.code, "an outcome could not be recorded; the message will be sent again");
                    }
                }
            }
            for (lane, now) in recovered {
                if let Err(error) = store::wake(&parts.pool, &lane, now).await {
                    // They come at their own time.
                    let problem = platform::error::Problem::from(error);
                    tracing::warn!(provider.id = %lane.0, problem.code = %problem.code, "what waits for an endpoint could not be woken");
                }
            }
            if left.is_empty() {
                return;
            }
            finished = left;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        tracing::warn!(
            left = finished.len(),
            "outcomes could not be recorded; the messages will be sent again"
        );
    }

    async fn renew_all(self) {
        let parts = &self.0.parts;
        let mut tick = tokio::time::interval(RENEWED);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let old = self.0.lanes.older_than(RENEWED);
            if old.is_empty() {
                continue;
            }
            let renewed = async {
                let mut conn = parts.pool.acquire().await?;
                let until = parts.clock.now(&mut conn).await? + term();
                store::renew(&mut conn, &old, until).await
            };
            if let Err(error) = renewed.await {
                let problem = platform::error::Problem::from(error);
                tracing::warn!(problem.code = %problem.code, "leases of deliveries could not be renewed");
            }
        }
    }
}

/// The first delivery of a case goes on in the trace of its report; what comes later has a trace of its own.
fn work(job: &Job) -> Work {
    let content = &job.content;
    let of_report = content.traceparent.as_deref();
    let name = format!("deliver by {}", job.channel);
    let is_first = content.episode == 1 && content.step == 1 && !content.is_delivered;
    let work = if is_first {
        Work::after(of_report, Side::Client, name)
    } else {
        Work::linked(of_report.into_iter(), Side::Client, name)
    };
    work.note("case.id", content.case_id);
    work.note("notice.id", content.notice_id);
    work.note("provider.id", &content.provider_id);
    work.note("delivery.attempt", job.attempt);
    work
}
