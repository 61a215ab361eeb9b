//! The whole path: accepted, decided by a hash list, delivered by webhook, acknowledged, claimed and confirmed removed.
//! The hosts are the street's own, all of them prompt.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use domain::word::{DeliveryChannel, HashKind};
use futures::StreamExt as _;
use futures::channel::mpsc::UnboundedSender;
use proto::v1::hash_entry::Verdict;
use proto::v1::{
    ApproveHashListRequest, Category, CreateProviderKeyRequest, GetDispatchCountsRequest, Hash,
    HashEntry, ImportHashesRequest, ListHashListsRequest, Provider, PutProvidersRequest,
    ReportChannel, ReportItem, StageCount, StreamReportsRequest, SubmitReportsRequest,
};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use takedown::client::Client;
use takedown::street::files::{Behaviour, Street};
use takedown::street::generator::generate;
use takedown::street::residents::{Premises, webhook_url};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::process::{Parts, Used};
use super::system::{Running, somebody_else};

const LIST: &str = "load";
const HASHES_A_CALL: usize = 5000;
const REPORTS_A_SUBMISSION: usize = 100;
const STUCK: Duration = Duration::from_mins(1);
/// Cases that are accepted and not yet confirmed removed.
const ON_THEIR_WAY: usize = 2000;
/// How long a stream is used: intake looks at its credential again after a minute.
const LAP: Duration = Duration::from_secs(40);
/// How often they are counted.
const LOOK: Duration = Duration::from_millis(200);

/// What the run showed.
#[derive(Debug, Clone, Copy)]
pub struct Whole {
    pub cases: usize,
    /// Confirmed removals a second, from the first fifth to the last.
    pub cases_per_s: f64,
    /// Of the whole run.
    pub used: Used,
    /// Resident memory of the roles after the first fifth.
    pub rss_first: f64,
}

/// A street of prompt hosts with so many cases, one report each, and the hash that each report carries.
pub fn street(cases: usize) -> Result<(Street, Vec<String>)> {
    let mut street = generate(cases * 2 + 100, 5)?;
    for provider in &mut street.providers {
        provider.behaviour = Behaviour::Prompt;
        provider.channel = DeliveryChannel::Webhook;
        provider.origin = None;
    }
    let mut seen = std::collections::HashSet::new();
    street.entries.retain(|entry| {
        entry
            .truth
            .as_ref()
            .is_some_and(|truth| seen.insert(truth.case.clone()))
    });
    ensure!(
        street.entries.len() >= cases,
        "the street has too few cases"
    );
    street.entries.truncate(cases);
    let hash = |entry: &takedown::street::files::Entry| {
        hex::encode(Sha256::digest(entry.report.external_id.as_bytes()))
    };
    for entry in &mut street.entries {
        if let Some(truth) = &mut entry.truth {
            truth.verdict = takedown::street::files::Verdict::Actionable(domain::word::Category::B);
        }
    }
    let hashes = street.entries.iter().map(hash).collect();
    Ok((street, hashes))
}

/// Plays it.
pub async fn measure(
    running: &Running,
    street: Street,
    hashes: Vec<String>,
    premises: Premises,
    parts: &Parts,
) -> Result<Whole> {
    let client = &running.client;
    known(client, &hashes).await?;
    let keys = providers(client, &street).await?;
    let shutdown = CancellationToken::new();
    let residents = premises
        .open(&street, &running.addresses.gateway, &keys, shutdown)
        .await?;
    residents.begin();

    let before = parts.used()?;
    let reports: Vec<(String, String)> = street
        .entries
        .iter()
        .map(|entry| entry.report.url.clone())
        .zip(hashes)
        .collect();
    let mut load = Load::begin(client, &reports);
    let fifth = load.until(reports.len() / 5).await?;
    let (begin, rss_first) = (Instant::now(), parts.used()?.system_rss);
    let all = load.until(reports.len()).await?;
    let cases_per_s = (all - fifth) as f64 / begin.elapsed().as_secs_f64();
    let used = parts.used()?.since(before);
    residents.close().await;
    Ok(Whole {
        cases: reports.len(),
        cases_per_s,
        used,
        rss_first,
    })
}

/// A closed loop: as many cases as fit are on their way at every moment, so that the end differs from the beginning by
/// what has passed and by nothing else.
struct Load<'a> {
    client: &'a Client,
    waiting: std::vec::IntoIter<StreamReportsRequest>,
    sent: usize,
    stream: Stream,
}

/// A stream of reports, and whoever reads its answers.
struct Stream {
    to_intake: UnboundedSender<StreamReportsRequest>,
    answered: JoinHandle<Result<()>>,
    since: Instant,
}

impl Stream {
    fn open(client: &Client) -> Self {
        let (to_intake, submissions) = futures::channel::mpsc::unbounded();
        let mut intake = client.intake();
        let answered = tokio::spawn(async move {
            let mut answers = intake.stream_reports(submissions).await?.into_inner();
            while let Some(answer) = answers.next().await {
                answer?;
            }
            Ok(())
        });
        Self {
            to_intake,
            answered,
            since: Instant::now(),
        }
    }

    /// Takes the answers that are still to come.
    async fn close(self) -> Result<()> {
        drop(self.to_intake);
        self.answered.await?
    }
}

impl<'a> Load<'a> {
    fn begin(client: &'a Client, reports: &[(String, String)]) -> Self {
        let requests: Vec<StreamReportsRequest> = reports
            .chunks(REPORTS_A_SUBMISSION)
            .enumerate()
            .map(|(number, some)| StreamReportsRequest {
                submission: number as u64,
                request: Some(SubmitReportsRequest {
                    channel: ReportChannel::Proactive.into(),
                    items: some.iter().map(item).collect(),
                    ..SubmitReportsRequest::default()
                }),
            })
            .collect();
        Self {
            client,
            waiting: requests.into_iter(),
            sent: 0,
            stream: Stream::open(client),
        }
    }

    /// Sends as there is room until so many cases are confirmed removed; returns how many are.
    async fn until(&mut self, wanted: usize) -> Result<usize> {
        let mut last = (0, Instant::now());
        loop {
            let counts = self
                .client
                .dispatch()
                .get_dispatch_counts(GetDispatchCountsRequest {})
                .await?;
            let counts = counts.get_ref();
            let confirmed = counts.confirmed_removed as usize;
            if confirmed >= wanted {
                return Ok(confirmed);
            }
            if confirmed != last.0 {
                last = (confirmed, Instant::now());
            }
            self.fill(confirmed).await?;
            let standing = |stages: &[StageCount]| -> Vec<String> {
                let stages = stages.iter();
                stages.map(|s| format!("{} {}", s.count, s.stage)).collect()
            };
            ensure!(
                last.1.elapsed() < STUCK,
                "{confirmed} of {wanted} cases were confirmed, and no more; cases: {}; notices: {}",
                standing(&counts.by_live_state).join(", "),
                standing(&counts.by_notice_state).join(", "),
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn fill(&mut self, confirmed: usize) -> Result<()> {
        if self.stream.since.elapsed() >= LAP {
            let next = Stream::open(self.client);
            std::mem::replace(&mut self.stream, next).close().await?;
        }
        while self.sent < confirmed + ON_THEIR_WAY
            && let Some(submission) = self.waiting.next()
        {
            self.sent += submission.request.as_ref().map_or(0, |r| r.items.len());
            if self.stream.to_intake.unbounded_send(submission).is_err() {
                // Intake ended the stream: its answer says why.
                (&mut self.stream.answered).await??;
                bail!("intake ended the stream of reports before its end");
            }
        }
        Ok(())
    }
}

fn item((url, hash): &(String, String)) -> ReportItem {
    ReportItem {
        url: url.clone(),
        hashes: vec![Hash {
            kind: HashKind::Sha256.wire(),
            value: hash.clone(),
        }],
        ..ReportItem::default()
    }
}

async fn known(client: &Client, hashes: &[String]) -> Result<()> {
    for some in hashes.chunks(HASHES_A_CALL) {
        let entries = some.iter().map(|value| HashEntry {
            hash: Some(Hash {
                kind: HashKind::Sha256.wire(),
                value: value.clone(),
            }),
            verdict: Some(Verdict::Actionable(Category::B.into())),
        });
        let request = ImportHashesRequest {
            list: LIST.into(),
            entries: entries.collect(),
        };
        client.verification().import_hashes(request).await?;
    }
    let mut approver = somebody_else(client).await?.verification();
    let lists = approver.list_hash_lists(ListHashListsRequest {}).await?;
    for read in lists.into_inner().lists {
        if read.list == LIST && read.approved_by.is_empty() {
            let approve = ApproveHashListRequest {
                list: read.list,
                version: read.version,
                entries: read.entries,
            };
            approver.approve_hash_list(approve).await?;
        }
    }
    Ok(())
}

async fn providers(client: &Client, street: &Street) -> Result<HashMap<String, SecretString>> {
    let providers = street.providers.iter().map(|provider| Provider {
        provider_id: provider.id.clone(),
        role: provider.role.wire(),
        country: provider.country.clone(),
        asn: provider.asn,
        cidrs: provider.cidrs.clone(),
        domains: provider.domains.clone(),
        channel: provider.channel.wire(),
        abuse_contact: provider.abuse_contact.clone(),
        webhook_url: webhook_url(&provider.id),
        ..Provider::default()
    });
    let request = PutProvidersRequest {
        providers: providers.collect(),
    };
    let answer = client.dispatch().put_providers(request).await?.into_inner();
    ensure!(
        answer.problems.is_empty(),
        "a provider was refused: {}",
        answer.problems[0].detail
    );
    let mut keys = BTreeMap::new();
    for provider in &street.providers {
        let request = CreateProviderKeyRequest {
            provider_id: provider.id.clone(),
            ..CreateProviderKeyRequest::default()
        };
        let key = client
            .dispatch()
            .create_provider_key(request)
            .await
            .context("a provider's key")?;
        keys.insert(provider.id.clone(), key.into_inner().key.into());
    }
    Ok(keys.into_iter().collect())
}
