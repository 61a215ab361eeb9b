//! The watcher: claims what is due, looks, and records in batches; each host gets a few looks at a time.

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

use super::ProbeSettings;
use super::control::Control;
use super::hosts::{Hosts, Place};
use super::look::look;
use super::queue::{self, Used};
use crate::Error;
use crate::commands::{Outcome, ProbeSeen, Rules, record_probes};
use crate::directory::Snapshot;
use crate::store::open_url;

/// Looks recorded in one transaction, at most.
const RECORDED: usize = 256;
/// What is claimed for a host at its bound comes back after this.
const DEFERRED: Duration = Duration::from_millis(250);
const RECORD_TRIES: u32 = 5;

/// Cheap to clone; clones share what is under way.
#[derive(Clone)]
pub struct Watcher(Arc<Inner>);

struct Inner {
    pool: PgPool,
    clock: Clock,
    rules: Rules,
    connector: Connector,
    control: Control,
    settings: ProbeSettings,
    hosts: Hosts,
}

/// A look to make.
struct Job {
    used: Used,
    url: Url,
    salt: [u8; 32],
    /// Held while it is made.
    place: Place,
}

/// A look that was made.
struct Looked {
    used: Used,
    outcome: Outcome,
}

impl Watcher {
    pub fn new(
        pool: PgPool,
        clock: Clock,
        rules: Rules,
        connector: Connector,
        settings: ProbeSettings,
    ) -> Self {
        Self(Arc::new(Inner {
            pool,
            clock,
            rules,
            connector,
            control: Control::new(settings.control_name.clone()),
            hosts: Hosts::new(settings.each, settings.all),
            settings,
        }))
    }

    /// One batch from claim to record. Returns how many looks were made.
    pub async fn run_once(&self) -> Result<usize, Error> {
        let jobs = self.claim().await?;
        let looks: JoinSet<Looked> = jobs.into_iter().map(|job| self.look(job)).collect();
        let looked = looks.join_all().await;
        let made = looked.len();
        self.record(looked).await;
        Ok(made)
    }

    /// Looks until it is shut down; what is under way then is finished and recorded.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let (done, results) = mpsc::channel(RECORDED * 4);
        let recorder = tokio::spawn(self.clone().record_all(results));
        let mut looks = JoinSet::new();
        let poll = Duration::from_millis(self.0.settings.poll_millis.max(1));
        while !shutdown.is_cancelled() {
            let claimed = match self.claim().await {
                Ok(jobs) => jobs,
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "looks could not be claimed");
                    Vec::new()
                }
            };
            let idle = claimed.is_empty();
            for job in claimed {
                let (look, done) = (self.look(job), done.clone());
                looks.spawn(async move {
                    // The recorder listens for as long as there is a sender.
                    let _ = done.send(look.await).await;
                });
            }
            while looks.try_join_next().is_some() {}
            if idle {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(poll) => {}
                }
            }
        }
        drop(done);
        while looks.join_next().await.is_some() {}
        // Ends when the last sender is gone; it does not panic by itself.
        let _ = recorder.await;
        Ok(())
    }

    async fn claim(&self) -> Result<Vec<Job>, Error> {
        let inner = &self.0;
        let settings = &inner.settings;
        let room = settings
            .all
            .saturating_sub(inner.hosts.total())
            .min(settings.batch);
        if room == 0 {
            return Ok(Vec::new());
        }
        let token = Uuid::new_v4();
        let mut tx = inner.pool.begin().await?;
        let now = inner.clock.now(&mut tx).await?;
        // Long enough for a HEAD, a GET and the record.
        let until = now + settings.timeout() * 4;
        let directory = inner.rules.directory.current(&mut tx).await?;
        let due = queue::claim(&mut tx, now, until, token, &inner.hosts.full(), room).await?;
        let (mut jobs, mut deferred) = (Vec::new(), Vec::new());
        for due in due {
            let case_id = due.case_id;
            let Ok((url, salt, lane)) = inner.open(&due, &directory) else {
                // Comes back when the claim is over; whoever mends the row need do nothing else.
                tracing::error!(alarm = "sealed_refused", case.id = %case_id, "a case cannot be opened, so it is not looked at");
                continue;
            };
            match inner.hosts.enter(lane) {
                Some(place) => jobs.push(Job {
                    used: Used {
                        case_id,
                        token,
                        lane,
                        since: now,
                    },
                    url,
                    salt,
                    place,
                }),
                None => deferred.push((case_id, lane)),
            }
        }
        queue::defer(&mut tx, &deferred, token, now + DEFERRED).await?;
        tx.commit().await?;
        Ok(jobs)
    }

    fn look(&self, job: Job) -> impl Future<Output = Looked> + Send + 'static {
        let watcher = self.clone();
        async move {
            let Job {
                used,
                url,
                salt,
                place,
            } = job;
            let inner = &watcher.0;
            let within = inner.settings.timeout();
            let began = Instant::now();
            let outcome = look(&inner.connector, &inner.control, &url, &salt, within).await;
            let waited = began.elapsed() >= within / 2;
            place.leave(waited && outcome == Outcome::Unknown);
            Looked { used, outcome }
        }
    }

    async fn record_all(self, mut results: mpsc::Receiver<Looked>) {
        let mut batch = Vec::new();
        while results.recv_many(&mut batch, RECORDED).await > 0 {
            self.record(std::mem::take(&mut batch)).await;
        }
    }

    /// Writes looks down. One that cannot be is made again when its claim is over.
    async fn record(&self, mut looked: Vec<Looked>) {
        let command = Record(&self.0);
        for _ in 0..RECORD_TRIES {
            if looked.is_empty() {
                return;
            }
            let replies = in_batches(&self.0.pool, &looked, &command).await;
            let mut left = Vec::new();
            for (item, reply) in looked.into_iter().zip(replies) {
                match reply {
                    Ok(()) => {}
                    Err(problem) if problem.is_transient() => left.push(item),
                    Err(problem) => {
                        tracing::error!(alarm = "probe_not_recorded", case.id = %item.used.case_id, problem.code = %problem.code, "a look could not be recorded");
                    }
                }
            }
            looked = left;
            if !looked.is_empty() {
                tokio::time::sleep(DEFERRED).await;
            }
        }
    }
}

impl Inner {
    fn open(&self, due: &queue::Due, directory: &Snapshot) -> Result<(Url, [u8; 32], i64), Error> {
        let wrapped = WrappedKey::parse(due.wrapped_key.clone())?;
        let keyring = &self.rules.keyring;
        let key = keyring.unwrap(due.case_id.uuid(), &wrapped)?;
        let url = open_url(&key, due.case_id, due.report_id, &due.sealed_item)?;
        let answers_for_it = match directory.by_url(&url) {
            Some(provider) => provider.id.to_string(),
            None => site(&url.host().reveal()).to_owned(),
        };
        let mac = keyring.mac(
            MacPurpose::Body,
            &[b"host of a look", answers_for_it.as_bytes()],
        );
        let mut lane = [0; 8];
        lane.copy_from_slice(&mac[..8]);
        let damaged = || Error::Row {
            table: "case_seal",
            column: "sealed_item",
            id: due.case_id.uuid(),
        };
        let url = url.reveal().parse().map_err(|_| damaged())?;
        Ok((url, key.salt(), i64::from_be_bytes(lane)))
    }
}

/// What somebody registers of a host's name, as far as its form tells: two labels, or three under a country's own
/// second level (`co.uk`). Names that one person makes without end share it. An address stands for itself.
fn site(host: &str) -> &str {
    if host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return host;
    }
    let dots: Vec<usize> = host.rmatch_indices('.').map(|(at, _)| at).collect();
    let start = match dots[..] {
        [last, second, ..] if is_registry(&host[second + 1..last]) => dots.get(2),
        _ => dots.get(1),
    };
    start.map_or(host, |at| &host[at + 1..])
}

fn is_registry(label: &str) -> bool {
    let labels = ["ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"];
    labels.contains(&label)
}

struct Record<'a>(&'a Inner);

impl Command<Looked> for Record<'_> {
    type Reply = ();
    type Error = Error;

    async fn run(&self, conn: &mut PgConnection, items: &[Looked]) -> Result<Vec<()>, Error> {
        let now = self.0.clock.now(conn).await?;
        let used = items.iter().map(|looked| &looked.used);
        let held = queue::settle(conn, used).await?;
        let seen: Vec<ProbeSeen> = items
            .iter()
            .filter(|looked| held.contains(&looked.used.case_id.uuid()))
            .map(|looked| ProbeSeen {
                case_id: looked.used.case_id,
                since: looked.used.since,
                outcome: looked.outcome.clone(),
            })
            .collect();
        record_probes(conn, &self.0.rules, now, &seen).await?;
        let cases: Vec<Uuid> = held.into_iter().collect();
        queue::sweep(conn, &cases).await?;
        Ok(vec![(); items.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::site;

    #[test]
    fn names_without_end_are_one_site() {
        for (host, expected) in [
            ("a.b.c.example.com", "example.com"),
            ("example.com", "example.com"),
            ("x.example.co.uk", "example.co.uk"),
            ("example.co.uk", "example.co.uk"),
            ("198.51.100.7", "198.51.100.7"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(site(host), expected);
        }
    }
}
