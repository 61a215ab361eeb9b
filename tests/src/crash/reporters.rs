//! Reporters in a closed loop: each waits for the receipt of a report before it sends the next one, and retries with the
//! same idempotency key until it has the receipt. The receipts are kept here, outside of the system.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use domain::enums::{HashKind, ReportChannel};
use domain::id::{CaseId, ReportId};
use domain::url::CanonicalUrl;
use proto::v1::report_result::Result as ReportOutcome;
use proto::v1::{Hash, NewReport, Receipt, SubmitReportsRequest};
use roles::client::Client;
use simulator::run::case_truths::CaseTruths;
use simulator::scenario::{Scenario, ScenarioReport, TrueVerdict};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const REPORTERS: usize = 3;
/// Minimum time between two reports of one reporter.
const REPORT_INTERVAL: Duration = Duration::from_millis(450);
/// Longest wait for a reply before the next attempt.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(150);
/// Far above the longest recovery time.
const RECEIPT_TIMEOUT: Duration = Duration::from_mins(2);

/// A report whose receipt promises that the system has it.
#[derive(Debug, Clone)]
pub struct AcceptedReport {
    pub report: ReportId,
    pub case: CaseId,
    pub url: CanonicalUrl,
    pub host: String,
    pub verdict: TrueVerdict,
}

pub struct Reporters {
    client: Client,
    scenario: Arc<Scenario>,
    truths: Arc<CaseTruths>,
    next: AtomicUsize,
    receipts: Mutex<Vec<AcceptedReport>>,
    retries: AtomicUsize,
}

impl Reporters {
    pub fn new(client: Client, scenario: Arc<Scenario>, truths: Arc<CaseTruths>) -> Arc<Self> {
        Arc::new(Self {
            client,
            scenario,
            truths,
            next: AtomicUsize::new(0),
            receipts: Mutex::default(),
            retries: AtomicUsize::new(0),
        })
    }

    pub fn receipts(&self) -> Vec<AcceptedReport> {
        let receipts = self.receipts.lock();
        receipts.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Number of receipts.
    pub fn receipt_count(&self) -> usize {
        let receipts = self.receipts.lock();
        receipts.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Number of attempts that were repeated because no receipt came.
    pub fn retries(&self) -> usize {
        self.retries.load(Ordering::Relaxed)
    }

    /// Submits reports until `stop` is cancelled; returns when each submitted report has its receipt.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<()> {
        let mut reporters = JoinSet::new();
        for _ in 0..REPORTERS {
            let (all, stop) = (Arc::clone(&self), stop.clone());
            reporters.spawn(async move { all.run_reporter(&stop).await });
        }
        while let Some(ended) = reporters.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn run_reporter(&self, stop: &CancellationToken) -> Result<()> {
        let mut tick = tokio::time::interval(REPORT_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some()
            && self.submit_next().await?.is_some()
        {}
        Ok(())
    }

    /// Submits the next report and waits for its receipt; `None` if the scenario has no more reports.
    pub async fn submit_next(&self) -> Result<Option<AcceptedReport>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(entry) = self.scenario.reports.get(number) else {
            return Ok(None);
        };
        let started = Instant::now();
        let receipt = loop {
            let error = match self.try_submit(entry).await? {
                Ok(receipt) => break receipt,
                Err(error) => error,
            };
            if started.elapsed() > RECEIPT_TIMEOUT {
                bail!("no receipt for {RECEIPT_TIMEOUT:?}: {error}");
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(RETRY_PAUSE).await;
        };
        self.truths
            .record_receipt(&entry.report.external_id, &receipt);
        let truth = entry
            .truth
            .as_ref()
            .context("every report of this scenario must be accepted")?;
        let accepted = AcceptedReport {
            report: receipt.report_id.parse()?,
            case: receipt.case_id.parse()?,
            url: CanonicalUrl::parse(&entry.report.url)?,
            host: truth.provider.clone(),
            verdict: truth.verdict,
        };
        let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        receipts.push(accepted.clone());
        Ok(Some(accepted))
    }

    /// The receipt, or why it is unknown whether the report was accepted.
    async fn try_submit(&self, entry: &ScenarioReport) -> Result<Result<Receipt, String>> {
        let mut intake = self.client.intake();
        let call = intake.submit_reports(submission(entry));
        let response = match tokio::time::timeout(REPLY_TIMEOUT, call).await {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => return Ok(Err(status.to_string())),
            Err(_) => return Ok(Err("no reply in time".to_owned())),
        };
        let result = response
            .into_inner()
            .results
            .pop()
            .and_then(|report| report.result);
        match result.context("the response has no result")? {
            ReportOutcome::Receipt(receipt) => Ok(Ok(receipt)),
            ReportOutcome::Problem(problem) => {
                bail!("{} was refused: {}", entry.report.external_id, problem.code)
            }
        }
    }
}

fn submission(entry: &ScenarioReport) -> SubmitReportsRequest {
    let row = &entry.report;
    let hashes = (!row.sha256.is_empty()).then(|| Hash {
        kind: HashKind::Sha256.wire(),
        value: row.sha256.clone(),
    });
    SubmitReportsRequest {
        idempotency_key: row.external_id.clone(),
        channel: ReportChannel::Public.wire(),
        reports: vec![NewReport {
            external_id: row.external_id.clone(),
            url: row.url.clone(),
            hashes: hashes.into_iter().collect(),
            ..NewReport::default()
        }],
        ..SubmitReportsRequest::default()
    }
}
