//! The check worker: claims due checks, makes them, and records the results in batches, with a limit for each
//! host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::batch::{Command, in_batches};
use platform::clock::Clock;
use platform::connector::Connector;
use platform::error::Problem;
use platform::sealed::{MacPurpose, WrappedKey};
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::CheckSettings;
use super::host_slots::{HostSlotGuard, HostSlots};
use super::http_check::check_url;
use super::queue::{self, UsedClaim};
use super::resolver_check::ResolverCheck;
use crate::Error;
use crate::cases::{CheckOutcome, CommandDeps, CompletedCheck, open_url, record_checks};
use crate::directory::DirectorySnapshot;

/// Maximum results recorded in one transaction.
const RECORD_BATCH: usize = 256;
/// A check that was claimed for a host at its limit is due again after this.
const DEFERRED: Duration = Duration::from_millis(250);
const RECORD_TRIES: u32 = 5;

/// Cheap to clone; clones share the checks in flight.
#[derive(Clone)]
pub struct CheckWorker(Arc<CheckWorkerInner>);

struct CheckWorkerInner {
    pool: PgPool,
    clock: Clock,
    deps: CommandDeps,
    connector: Connector,
    resolver_check: ResolverCheck,
    settings: CheckSettings,
    host_slots: HostSlots,
}

/// A claimed check.
struct CheckJob {
    claim: UsedClaim,
    url: Url,
    salt: [u8; 32],
    /// Occupied until the check is made.
    slot: HostSlotGuard,
}

/// A check that was made.
struct CheckResult {
    claim: UsedClaim,
    outcome: CheckOutcome,
}

impl CheckWorker {
    pub fn new(
        pool: PgPool,
        clock: Clock,
        deps: CommandDeps,
        connector: Connector,
        settings: CheckSettings,
    ) -> Self {
        Self(Arc::new(CheckWorkerInner {
            pool,
            clock,
            deps,
            connector,
            resolver_check: ResolverCheck::new(settings.control_name.clone()),
            host_slots: HostSlots::new(settings.each, settings.all),
            settings,
        }))
    }

    /// Processes one batch from claim to record. Returns the number of checks made.
    pub async fn run_once(&self) -> Result<usize, Error> {
        let jobs = self.claim().await?;
        let checks: JoinSet<CheckResult> = jobs.into_iter().map(|job| self.check(job)).collect();
        let results = checks.join_all().await;
        let made = results.len();
        self.record(results).await;
        Ok(made)
    }

    /// Checks until the shutdown; checks then in flight are finished and recorded.
    pub async fn run(self, shutdown: CancellationToken) {
        let (done, results) = mpsc::channel(RECORD_BATCH * 4);
        let recorder = tokio::spawn(self.clone().record_all(results));
        let mut checks = JoinSet::new();
        let poll = Duration::from_millis(self.0.settings.poll_millis.max(1));
        while !shutdown.is_cancelled() {
            let claimed = match self.claim().await {
                Ok(jobs) => jobs,
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "checks could not be claimed");
                    Vec::new()
                }
            };
            let idle = claimed.is_empty();
            for job in claimed {
                let (check, done) = (self.check(job), done.clone());
                checks.spawn(async move {
                    // The recorder receives as long as a sender exists.
                    let _ = done.send(check.await).await;
                });
            }
            while checks.try_join_next().is_some() {}
            if idle {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(poll) => {}
                }
            }
        }
        drop(done);
        while checks.join_next().await.is_some() {}
        // The recorder ends when the last sender is dropped; it has no panic of its own.
        let _ = recorder.await;
    }

    async fn claim(&self) -> Result<Vec<CheckJob>, Error> {
        let inner = &self.0;
        let settings = &inner.settings;
        let free = settings
            .all
            .saturating_sub(inner.host_slots.total())
            .min(settings.batch);
        if free == 0 {
            return Ok(Vec::new());
        }
        let token = Uuid::new_v4();
        let mut tx = inner.pool.begin().await?;
        let now = inner.clock.now(&mut tx).await?;
        // Long enough for a HEAD, a GET and recording the result.
        let until = now + settings.timeout() * 4;
        let directory = inner.deps.directory.current(&mut tx).await?;
        let due = queue::claim(&mut tx, now, until, token, &inner.host_slots.full(), free).await?;
        let (mut jobs, mut deferred) = (Vec::new(), Vec::new());
        for due in due {
            let case_id = due.case_id;
            let Ok((url, salt, host_hash)) = inner.open(&due, &directory) else {
                // Due again when the claim expires, so that a repaired row needs no further action.
                tracing::error!(alarm = "sealed_refused", case.id = %case_id, "a case's URL cannot be opened, so it is not checked");
                continue;
            };
            match inner.host_slots.try_occupy(host_hash) {
                Some(slot) => jobs.push(CheckJob {
                    claim: UsedClaim {
                        case_id,
                        token,
                        host_hash,
                        claimed_at: now,
                    },
                    url,
                    salt,
                    slot,
                }),
                None => deferred.push((case_id, host_hash)),
            }
        }
        queue::defer(&mut tx, &deferred, token, now + DEFERRED).await?;
        tx.commit().await?;
        Ok(jobs)
    }

    fn check(&self, job: CheckJob) -> impl Future<Output = CheckResult> + Send + 'static {
        let worker = self.clone();
        async move {
            let CheckJob {
                claim,
                url,
                salt,
                slot,
            } = job;
            let inner = &worker.0;
            let timeout = inner.settings.timeout();
            let started = Instant::now();
            let outcome = check_url(
                &inner.connector,
                &inner.resolver_check,
                &url,
                &salt,
                timeout,
            )
            .await;
            let was_silent = started.elapsed() >= timeout / 2 && outcome == CheckOutcome::Unknown;
            slot.release(!was_silent);
            CheckResult { claim, outcome }
        }
    }

    async fn record_all(self, mut results: mpsc::Receiver<CheckResult>) {
        let mut batch = Vec::new();
        while results.recv_many(&mut batch, RECORD_BATCH).await > 0 {
            self.record(std::mem::take(&mut batch)).await;
        }
    }

    /// Records results. A check whose result cannot be recorded is made again when its claim expires.
    async fn record(&self, mut results: Vec<CheckResult>) {
        let command = RecordChecks(&self.0);
        for _ in 0..RECORD_TRIES {
            if results.is_empty() {
                return;
            }
            let replies = in_batches(&self.0.pool, &results, &command).await;
            let mut left = Vec::new();
            for (item, reply) in results.into_iter().zip(replies) {
                match reply {
                    Ok(()) => {}
                    Err(problem) if problem.is_transient() => left.push(item),
                    Err(problem) => {
                        tracing::error!(alarm = "check_not_recorded", case.id = %item.claim.case_id, problem.code = %problem.code, "the result of a check could not be recorded");
                    }
                }
            }
            results = left;
            if !results.is_empty() {
                tokio::time::sleep(DEFERRED).await;
            }
        }
    }
}

impl CheckWorkerInner {
    fn open(
        &self,
        due: &queue::DueCheck,
        directory: &DirectorySnapshot,
    ) -> Result<(Url, [u8; 32], i64), Error> {
        let wrapped = WrappedKey::parse(due.wrapped_key.clone())?;
        let keyring = &self.deps.keyring;
        let key = keyring.unwrap(due.case_id.uuid(), &wrapped)?;
        let url = open_url(&key, due.case_id, due.report_id, &due.sealed_content)?;
        let responsible = match directory.by_url(&url) {
            Some(provider) => provider.id.to_string(),
            None => registrable_domain(&url.host().reveal()).to_owned(),
        };
        let mac = keyring.mac(
            MacPurpose::Body,
            &[b"host of a check", responsible.as_bytes()],
        );
        let mut host_hash = [0; 8];
        host_hash.copy_from_slice(&mac[..8]);
        let damaged = || Error::Row {
            table: "case_seal",
            column: "sealed_content",
            id: due.case_id.uuid(),
        };
        let url = url.reveal().parse().map_err(|_| damaged())?;
        Ok((url, key.salt(), i64::from_be_bytes(host_hash)))
    }
}

/// The registrable domain of a host name, by its form only: two labels, or three under a country's own second
/// level (`co.uk`). All names that one person creates below a domain share it. An IP address is returned as
/// it is.
fn registrable_domain(host: &str) -> &str {
    if host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return host;
    }
    let dots: Vec<usize> = host.rmatch_indices('.').map(|(at, _)| at).collect();
    let start = match dots[..] {
        [last, second, ..] if is_second_level_registry(&host[second + 1..last]) => dots.get(2),
        _ => dots.get(1),
    };
    start.map_or(host, |at| &host[at + 1..])
}

fn is_second_level_registry(label: &str) -> bool {
    let labels = ["ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"];
    labels.contains(&label)
}

struct RecordChecks<'a>(&'a CheckWorkerInner);

impl Command<CheckResult> for RecordChecks<'_> {
    type Reply = ();
    type Error = Error;

    async fn run(&self, conn: &mut PgConnection, items: &[CheckResult]) -> Result<Vec<()>, Error> {
        let now = self.0.clock.now(conn).await?;
        let claims = items.iter().map(|result| &result.claim);
        let valid = queue::release(conn, claims).await?;
        let completed: Vec<CompletedCheck> = items
            .iter()
            .filter(|result| valid.contains(&result.claim.case_id.uuid()))
            .map(|result| CompletedCheck {
                case_id: result.claim.case_id,
                started_at: result.claim.claimed_at,
                outcome: result.outcome.clone(),
            })
            .collect();
        record_checks(conn, &self.0.deps, now, &completed).await?;
        let cases: Vec<Uuid> = valid.into_iter().collect();
        queue::remove_unscheduled(conn, &cases).await?;
        Ok(vec![(); items.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::registrable_domain;

    #[test]
    fn all_names_below_a_domain_share_its_registrable_domain() {
        for (host, expected) in [
            ("a.b.c.example.com", "example.com"),
            ("example.com", "example.com"),
            ("x.example.co.uk", "example.co.uk"),
            ("example.co.uk", "example.co.uk"),
            ("198.51.100.7", "198.51.100.7"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(registrable_domain(host), expected);
        }
    }
}
