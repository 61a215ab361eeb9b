//! The whole path: accepted, decided by a hash list, delivered by webhook, acknowledged, claimed and confirmed removed.
//! The hosts are the street's own, all of them prompt.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use domain::word::{DeliveryChannel, HashKind};
use futures::StreamExt as _;
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
use tokio_util::sync::CancellationToken;

use super::process::{Parts, Used};
use super::system::{Running, somebody_else};

const LIST: &str = "load";
const HASHES_A_CALL: usize = 5000;
const REPORTS_A_SUBMISSION: usize = 100;
const STUCK: Duration = Duration::from_mins(1);

/// What the run showed.
#[derive(Debug, Clone, Copy)]
pub struct Whole {
    pub cases: usize,
    /// From the first report to the last confirmed removal, of the last four fifths.
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
    let first = street.entries.len() / 5;
    let reports: Vec<(String, String)> = street
        .entries
        .iter()
        .map(|entry| entry.report.url.clone())
        .zip(hashes)
        .collect();
    play(client, &reports[..first], first).await?;
    let rss_first = parts.used()?.system_rss;
    let begin = Instant::now();
    play(client, &reports[first..], reports.len()).await?;
    let cases_per_s = (reports.len() - first) as f64 / begin.elapsed().as_secs_f64();
    let used = parts.used()?.since(before);
    residents.close().await;
    Ok(Whole {
        cases: reports.len(),
        cases_per_s,
        used,
        rss_first,
    })
}

/// Sends these reports as fast as they are taken and waits until so many cases are confirmed removed.
async fn play(client: &Client, reports: &[(String, String)], total: usize) -> Result<()> {
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
    let mut intake = client.intake();
    let mut answers = intake
        .stream_reports(futures::stream::iter(requests))
        .await?
        .into_inner();
    while let Some(answer) = answers.next().await {
        answer?;
    }
    let mut last = (0, Instant::now());
    loop {
        let counts = client
            .dispatch()
            .get_dispatch_counts(GetDispatchCountsRequest {})
            .await?;
        let confirmed = counts.get_ref().confirmed_removed;
        if confirmed as usize >= total {
            return Ok(());
        }
        if confirmed != last.0 {
            last = (confirmed, Instant::now());
        }
        let standing = |stages: &[StageCount]| -> Vec<String> {
            let stages = stages.iter();
            stages.map(|s| format!("{} {}", s.count, s.stage)).collect()
        };
        ensure!(
            last.1.elapsed() < STUCK,
            "{confirmed} of {total} cases were confirmed, and no more; cases: {}; notices: {}",
            standing(&counts.get_ref().by_live_state).join(", "),
            standing(&counts.get_ref().by_notice_state).join(", "),
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
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
            scopes: vec![],
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
