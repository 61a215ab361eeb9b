//! The delivery worker: claims, sends and records messages, many concurrently, with a limit for each
//! endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::batch::in_batches;
use platform::clock::Clock;
use platform::connector::Connector;
use platform::log::Wakeup;
use platform::metrics::Counter;
use platform::sealed::{Signer, SigningContext};
use platform::trace::{Side, Span};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DeliverySettings;
use super::claim::{Claimer, DeliveryJob, Destination, lease_duration};
use super::endpoint_slots::EndpointSlots;
use super::record::{FinishedAttempt, RecordAttempts};
use super::store;
use crate::Error;
use crate::cases::CommandDeps;
use crate::delivery::channels::webhook::{self, WebhookAttempt};
use crate::delivery::channels::{
    DeliveryOutcome, Failure, HostLookup, MailSender, OutgoingMail, WebhookSender, mail,
};
use crate::delivery::checkpoint::LatestCheckpoint;
use crate::delivery::document::{self, Hotline, IssueDetails};
use crate::delivery::link;

/// By delivery channel and outcome.
static ATTEMPTS: Counter = Counter::new(
    "takedown.dispatch.attempts",
    "{attempt}",
    "Attempts to deliver a message.",
);

/// Maximum outcomes recorded in one transaction.
const RECORD_BATCH: usize = 256;
/// How often recording an outcome is retried while the database is unavailable; then the lease expires and
/// the message is sent again under the same id.
const RECORD_TRIES: u32 = 20;
/// Leases of attempts older than this are renewed, at this interval.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// Dependencies of the delivery worker.
pub struct DeliveryDeps {
    pub pool: PgPool,
    pub clock: Clock,
    pub command_deps: CommandDeps,
    pub settings: DeliverySettings,
    pub hotline: Hotline,
    pub checkpoint: LatestCheckpoint,
    pub webhook: WebhookSender,
    /// Resolves the addresses of hosts.
    pub connector: Connector,
    /// None where no mail relay is configured: mails then wait.
    pub mail: Option<MailSender>,
    /// Notified when a message was enqueued.
    pub wakeup: Wakeup,
}

/// Cheap to clone; clones share the attempts in flight.
#[derive(Clone)]
pub struct DeliveryWorker(Arc<DeliveryWorkerInner>);

struct DeliveryWorkerInner {
    deps: DeliveryDeps,
    claimer: Claimer,
    /// Signs notices.
    signer: Signer,
    endpoint_slots: EndpointSlots,
}

impl DeliveryWorker {
    pub fn new(deps: DeliveryDeps) -> Self {
        let keyring = Arc::clone(&deps.command_deps.keyring);
        let claimer = Claimer {
            pool: deps.pool.clone(),
            clock: deps.clock.clone(),
            proofs: keyring.verifier(SigningContext::Proof),
            keyring: Arc::clone(&keyring),
        };
        Self(Arc::new(DeliveryWorkerInner {
            signer: keyring.signer(SigningContext::Notice),
            claimer,
            deps,
            endpoint_slots: EndpointSlots::default(),
        }))
    }

    /// Processes one batch from claim to record. Returns the number of attempts made.
    pub async fn run_once(&self) -> Result<usize, Error> {
        let jobs = self.claim().await?;
        let attempts: JoinSet<FinishedAttempt> =
            jobs.into_iter().map(|job| self.attempt(job)).collect();
        let finished = attempts.join_all().await;
        let made = finished.len();
        self.record(finished).await;
        Ok(made)
    }

    /// Sends until the shutdown; attempts then in flight are finished and recorded.
    pub async fn run(self, shutdown: CancellationToken) {
        let (done, results) = mpsc::channel(RECORD_BATCH * 4);
        let recorder = tokio::spawn(self.clone().record_all(results));
        let renewer = tokio::spawn(self.clone().renew_all());
        let mut attempts = JoinSet::new();
        let mut wakeup = self.0.deps.wakeup.listen();
        let poll = Duration::from_millis(self.0.deps.settings.poll_millis.max(1));
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
                    // The recorder receives as long as a sender exists.
                    let _ = done.send(attempt.await).await;
                });
            }
            while attempts.try_join_next().is_some() {}
            if idle {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = wakeup.within(poll) => {}
                }
            }
        }
        drop(done);
        while attempts.join_next().await.is_some() {}
        // The recorder ends when the last sender is dropped; it does not panic.
        let _ = recorder.await;
        renewer.abort();
    }

    async fn claim(&self) -> Result<Vec<DeliveryJob>, Error> {
        let inner = &self.0;
        let settings = &inner.deps.settings;
        let free = settings.all.saturating_sub(inner.endpoint_slots.total());
        if free == 0 {
            return Ok(Vec::new());
        }
        let in_flight = inner.endpoint_slots.in_flight();
        let limit = free.min(settings.batch);
        inner.claimer.claim(settings, &in_flight, limit).await
    }

    /// Occupies a slot at once; the returned future makes the attempt.
    fn attempt(&self, job: DeliveryJob) -> impl Future<Output = FinishedAttempt> + Send + 'static {
        let worker = self.clone();
        let endpoint = (job.content.provider_id.clone(), job.channel);
        let slot = self
            .0
            .endpoint_slots
            .occupy(endpoint, job.content.notice_id, job.token);
        async move {
            // Above the timeouts of the delivery channels, in case a channel does not enforce its own.
            let limit = worker.0.deps.settings.timeout() * 2;
            let span = delivery_span(&job);
            let sending = span.scope(worker.send(&job));
            let started = Instant::now();
            let result = tokio::time::timeout(limit, sending).await;
            let WebhookAttempt { outcome, status } = result.unwrap_or_else(|_| {
                DeliveryOutcome::Failed(Failure::endpoint_fault("timed_out", true)).into()
            });
            if let Some(code) = outcome.code() {
                span.set_error(code);
            }
            ATTEMPTS.add(
                1,
                &[
                    ("channel", job.channel.as_str()),
                    ("outcome", outcome.code().unwrap_or("delivered")),
                ],
            );
            FinishedAttempt {
                slot,
                sequence: job.sequence,
                message_id: worker.message_id(&job),
                attempt: job.attempt,
                in_doubt: job.in_doubt,
                claimed_at: job.claimed_at,
                endpoint_id: match job.destination {
                    Some(Destination::Webhook(endpoint_id, _)) => Some(endpoint_id),
                    Some(Destination::Mailbox(_)) | None => None,
                },
                took: started.elapsed(),
                outcome,
                status,
            }
        }
    }

    async fn send(&self, job: &DeliveryJob) -> WebhookAttempt {
        let deps = &self.0.deps;
        let Some(destination) = &job.destination else {
            return DeliveryOutcome::Unreachable("gone").into();
        };
        let content = &job.content;
        let checkpoint = deps.checkpoint.note();
        let issue = IssueDetails {
            at: job.claimed_at,
            legal_basis: &deps.command_deps.policy.regime(&content.regime).legal_basis,
            hotline: &deps.hotline,
            checkpoint: checkpoint.as_deref(),
            signer: &self.0.signer,
        };
        let signed = document::sign_notice(content, &issue);
        match (destination, &deps.mail) {
            (Destination::Webhook(_, target), _) => {
                deps.webhook.send(target, content, &signed).await
            }
            (Destination::Mailbox(mailbox), Some(sender)) => {
                let Ok(mailbox) = mailbox.text() else {
                    return DeliveryOutcome::Unreachable("gone").into();
                };
                let mail = OutgoingMail {
                    content,
                    signed: &signed,
                    link: &self.link(job),
                    host_lookup: &self.look_up_host(job).await,
                    attempt: job.attempt,
                };
                sender.send(mailbox, &mail).await.into()
            }
            (Destination::Mailbox(_), None) => {
                DeliveryOutcome::Failed(Failure::not_endpoint("no_relay")).into()
            }
        }
    }

    /// The host's present addresses, for readers who search by address. A failed lookup is bounded by
    /// the connector's timeout and does not stop the mail.
    async fn look_up_host(&self, job: &DeliveryJob) -> HostLookup {
        let url = job.content.url.reveal().parse();
        let addresses = match url {
            Ok(url) => self.0.deps.connector.addresses(&url).await,
            Err(_) => Ok(Vec::new()),
        };
        HostLookup {
            addresses: addresses.unwrap_or_default(),
            at: job.claimed_at,
        }
    }

    fn message_id(&self, job: &DeliveryJob) -> String {
        let (notice, sequence) = (job.content.notice_id, job.content.sequence);
        match job.destination {
            Some(Destination::Mailbox(_)) => {
                mail::message_id(notice, sequence, &self.0.deps.hotline.domain)
            }
            Some(Destination::Webhook(..)) | None => webhook::message_id(notice, sequence),
        }
    }

    fn link(&self, job: &DeliveryJob) -> String {
        let deps = &self.0.deps;
        let days = time::Duration::days(deps.hotline.notice_days.into());
        let token = link::token(
            &deps.command_deps.keyring,
            job.content.notice_id,
            &job.content.provider_id,
            job.claimed_at + days,
        );
        format!("{}/n/{token}", deps.hotline.public_base)
    }

    async fn record_all(self, mut results: mpsc::Receiver<FinishedAttempt>) {
        let mut batch = Vec::new();
        while results.recv_many(&mut batch, RECORD_BATCH).await > 0 {
            self.record(std::mem::take(&mut batch)).await;
            // An endpoint that was at its limit has a free slot again.
            self.0.deps.wakeup.notify();
        }
    }

    /// Records outcomes; retries those that failed with a transient error.
    async fn record(&self, mut finished: Vec<FinishedAttempt>) {
        let deps = &self.0.deps;
        for _ in 0..RECORD_TRIES {
            let record = RecordAttempts {
                clock: &deps.clock,
                deps: &deps.command_deps,
                settings: &deps.settings,
            };
            let replies = in_batches(&deps.pool, &finished, &record).await;
            let mut left = Vec::new();
            let mut recovered = BTreeMap::new();
            for (item, reply) in finished.into_iter().zip(replies) {
                match reply {
                    Ok(Some((endpoint, now))) => {
                        recovered.insert(endpoint, now);
                    }
                    Ok(None) => {}
                    Err(problem) if problem.is_transient() => left.push(item),
                    Err(problem) => {
                        tracing::error!(alarm = "delivery_not_recorded", notice.id = %item.slot.notice_id(), problem.code = %problem.code, "an outcome could not be recorded; the message will be sent again");
                    }
                }
            }
            for (endpoint, now) in recovered {
                if let Err(error) = store::make_due(&deps.pool, &endpoint, now).await {
                    // Its messages stay due at the times that were set for them.
                    let problem = platform::error::Problem::from(error);
                    tracing::warn!(provider.id = %endpoint.0, problem.code = %problem.code, "the messages that wait for a recovered endpoint could not be made due");
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
        let deps = &self.0.deps;
        let mut tick = tokio::time::interval(RENEW_AFTER);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let old = self.0.endpoint_slots.older_than(RENEW_AFTER);
            if old.is_empty() {
                continue;
            }
            let renewed = async {
                let mut conn = deps.pool.acquire().await?;
                let until = deps.clock.now(&mut conn).await? + lease_duration();
                store::renew(&mut conn, &old, until).await
            };
            if let Err(error) = renewed.await {
                let problem = platform::error::Problem::from(error);
                tracing::warn!(problem.code = %problem.code, "leases of deliveries could not be renewed");
            }
        }
    }
}

/// The first delivery of a case continues the trace of its report; later deliveries have their own trace,
/// linked to it.
fn delivery_span(job: &DeliveryJob) -> Span {
    let content = &job.content;
    let report_trace = content.traceparent.as_deref();
    let name = format!("deliver by {}", job.channel);
    let is_first = content.episode == 1 && content.step == 1 && !content.is_delivered;
    let span = if is_first {
        Span::child_of(report_trace, Side::Client, name)
    } else {
        Span::linked_to(report_trace.into_iter(), Side::Client, name)
    };
    span.set_attribute("case.id", content.case_id);
    span.set_attribute("notice.id", content.notice_id);
    span.set_attribute("provider.id", &content.provider_id);
    span.set_attribute("delivery.attempt", job.attempt);
    span
}
