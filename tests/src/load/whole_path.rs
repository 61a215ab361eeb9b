//! Measures the whole path of a case: report accepted, decided by a hash list, delivered by webhook, acknowledged, removal
//! claimed and confirmed. All simulated hosts are prompt.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use domain::enums::{DeliveryChannel, HashKind};
use futures::StreamExt as _;
use futures::channel::mpsc::UnboundedSender;
use proto::v1::hash_entry::Verdict;
use proto::v1::{
    ApproveHashListRequest, Category, CreateProviderKeyRequest, GetDispatchCountsRequest, Hash,
    HashEntry, ImportHashesRequest, ListHashListsRequest, NewReport, Provider, ReportChannel,
    StageCount, StreamReportsRequest, SubmitReportsRequest, UpsertProvidersRequest,
};
use roles::client::Client;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use simulator::generator::generate;
use simulator::hosts::{Listeners, webhook_url};
use simulator::scenario::{Behaviour, Scenario, ScenarioReport, TrueVerdict};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::resource_usage::{MeasuredProcesses, ResourceUsage};
use super::system::{MeasuredSystem, create_approver};

const LIST: &str = "load";
const HASHES_PER_CALL: usize = 5000;
const REPORTS_PER_SUBMISSION: usize = 100;
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// Cases that are accepted and not yet confirmed as removed, at every moment.
const OPEN_CASES: usize = 2000;
/// A stream is replaced after this time, because intake checks a stream's credential again after a minute.
const STREAM_LIFETIME: Duration = Duration::from_secs(40);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy)]
pub struct WholePathFigures {
    pub cases: usize,
    /// Confirmed removals per second, without the first fifth of the cases.
    pub cases_per_s: f64,
    /// Over the whole run.
    pub usage: ResourceUsage,
    /// Resident memory of the roles after the first fifth.
    pub rss_first: f64,
}

/// A scenario of prompt hosts with this many cases of one report each, and the hash of each report.
pub fn scenario(cases: usize) -> Result<(Scenario, Vec<String>)> {
    let mut scenario = generate(cases * 2 + 100, 5)?;
    for provider in &mut scenario.providers {
        provider.behaviour = Behaviour::Prompt;
        provider.channel = DeliveryChannel::Webhook;
        provider.origin = None;
    }
    let mut seen = std::collections::HashSet::new();
    scenario.reports.retain(|entry| {
        entry
            .truth
            .as_ref()
            .is_some_and(|truth| seen.insert(truth.case.clone()))
    });
    ensure!(
        scenario.reports.len() >= cases,
        "the scenario has too few cases"
    );
    scenario.reports.truncate(cases);
    let hash =
        |entry: &ScenarioReport| hex::encode(Sha256::digest(entry.report.external_id.as_bytes()));
    for entry in &mut scenario.reports {
        if let Some(truth) = &mut entry.truth {
            truth.verdict = TrueVerdict::Actionable(domain::enums::Category::B);
        }
    }
    let hashes = scenario.reports.iter().map(hash).collect();
    Ok((scenario, hashes))
}

/// Runs the scenario and measures it.
pub async fn measure(
    running: &MeasuredSystem,
    scenario: Scenario,
    hashes: Vec<String>,
    listeners: Listeners,
    processes: &MeasuredProcesses,
) -> Result<WholePathFigures> {
    let client = &running.client;
    approve_hashes(client, &hashes).await?;
    let keys = register_providers(client, &scenario).await?;
    let shutdown = CancellationToken::new();
    let hosts = listeners
        .start(&scenario, &running.addresses.gateway, &keys, shutdown)
        .await?;
    hosts.start_outages();

    let before = processes.usage()?;
    let reports: Vec<(String, String)> = scenario
        .reports
        .iter()
        .map(|entry| entry.report.url.clone())
        .zip(hashes)
        .collect();
    let mut load = ClosedLoop::new(client, &reports);
    let fifth = load.run_until(reports.len() / 5).await?;
    let (started, rss_first) = (Instant::now(), processes.usage()?.system_rss);
    let all = load.run_until(reports.len()).await?;
    let cases_per_s = (all - fifth) as f64 / started.elapsed().as_secs_f64();
    let usage = processes.usage()?.since(before);
    hosts.stop().await;
    Ok(WholePathFigures {
        cases: reports.len(),
        cases_per_s,
        usage,
        rss_first,
    })
}

/// A closed loop with a constant number of open cases, so that memory at the end differs from memory at the start only
/// because of finished cases.
struct ClosedLoop<'a> {
    client: &'a Client,
    unsent: std::vec::IntoIter<StreamReportsRequest>,
    sent: usize,
    stream: ReportStream,
}

/// A stream of reports, and the task that reads its responses.
struct ReportStream {
    to_intake: UnboundedSender<StreamReportsRequest>,
    responses: JoinHandle<Result<()>>,
    since: Instant,
}

impl ReportStream {
    fn open(client: &Client) -> Self {
        let (to_intake, submissions) = futures::channel::mpsc::unbounded();
        let mut intake = client.intake();
        let responses = tokio::spawn(async move {
            let mut responses = intake.stream_reports(submissions).await?.into_inner();
            while let Some(response) = responses.next().await {
                response?;
            }
            Ok(())
        });
        Self {
            to_intake,
            responses,
            since: Instant::now(),
        }
    }

    /// Ends the stream and waits for the remaining responses.
    async fn close(self) -> Result<()> {
        drop(self.to_intake);
        self.responses.await?
    }
}

impl<'a> ClosedLoop<'a> {
    fn new(client: &'a Client, reports: &[(String, String)]) -> Self {
        let requests: Vec<StreamReportsRequest> = reports
            .chunks(REPORTS_PER_SUBMISSION)
            .enumerate()
            .map(|(number, chunk)| StreamReportsRequest {
                submission: number as u64,
                request: Some(SubmitReportsRequest {
                    channel: ReportChannel::Proactive.into(),
                    reports: chunk.iter().map(new_report).collect(),
                    ..SubmitReportsRequest::default()
                }),
            })
            .collect();
        Self {
            client,
            unsent: requests.into_iter(),
            sent: 0,
            stream: ReportStream::open(client),
        }
    }

    /// Sends reports until this many removals are confirmed; returns the number of confirmed removals.
    async fn run_until(&mut self, wanted: usize) -> Result<usize> {
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
            self.send_more(confirmed).await?;
            let counts_by_stage = |stages: &[StageCount]| -> Vec<String> {
                let stages = stages.iter();
                stages.map(|s| format!("{} {}", s.count, s.stage)).collect()
            };
            ensure!(
                last.1.elapsed() < STALL_TIMEOUT,
                "stalled with {confirmed} of {wanted} removals confirmed; cases: {}; notices: {}",
                counts_by_stage(&counts.by_content_status).join(", "),
                counts_by_stage(&counts.by_notice_state).join(", "),
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn send_more(&mut self, confirmed: usize) -> Result<()> {
        if self.stream.since.elapsed() >= STREAM_LIFETIME {
            let next = ReportStream::open(self.client);
            std::mem::replace(&mut self.stream, next).close().await?;
        }
        while self.sent < confirmed + OPEN_CASES
            && let Some(submission) = self.unsent.next()
        {
            self.sent += submission.request.as_ref().map_or(0, |r| r.reports.len());
            if self.stream.to_intake.unbounded_send(submission).is_err() {
                // Intake has closed the stream; the task returns its error.
                (&mut self.stream.responses).await??;
                bail!("intake closed the stream of reports early");
            }
        }
        Ok(())
    }
}

fn new_report((url, hash): &(String, String)) -> NewReport {
    NewReport {
        url: url.clone(),
        hashes: vec![Hash {
            kind: HashKind::Sha256.wire(),
            value: hash.clone(),
        }],
        ..NewReport::default()
    }
}

async fn approve_hashes(client: &Client, hashes: &[String]) -> Result<()> {
    for chunk in hashes.chunks(HASHES_PER_CALL) {
        let entries = chunk.iter().map(|value| HashEntry {
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
    let mut approver = create_approver(client).await?.verification();
    let lists = approver.list_hash_lists(ListHashListsRequest {}).await?;
    for list in lists.into_inner().lists {
        if list.list == LIST && list.approved_by.is_empty() {
            let approve = ApproveHashListRequest {
                list: list.list,
                version: list.version,
                entries: list.entries,
            };
            approver.approve_hash_list(approve).await?;
        }
    }
    Ok(())
}

async fn register_providers(
    client: &Client,
    scenario: &Scenario,
) -> Result<HashMap<String, SecretString>> {
    let providers = scenario.providers.iter().map(|provider| Provider {
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
    let request = UpsertProvidersRequest {
        providers: providers.collect(),
    };
    let response = client
        .dispatch()
        .upsert_providers(request)
        .await?
        .into_inner();
    ensure!(
        response.problems.is_empty(),
        "a provider was refused: {}",
        response.problems[0].detail
    );
    let mut keys = BTreeMap::new();
    for provider in &scenario.providers {
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
