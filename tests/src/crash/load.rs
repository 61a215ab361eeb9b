//! Reporters in a closed loop: each waits for the receipt of one report before the next, and asks again under the same
//! key until it has it. What they were promised is written down here and nowhere in the system.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use domain::id::{CaseId, ReportId};
use domain::url::CanonicalUrl;
use domain::word::{HashKind, ReportChannel};
use proto::v1::item_result::Result as Outcome;
use proto::v1::{Hash, Receipt, ReportItem, SubmitReportsRequest};
use takedown::client::Client;
use takedown::demo::knowledge::Knowledge;
use takedown::street::files::{Entry, Street, Verdict};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

const REPORTERS: usize = 3;
/// Between two reports of one reporter, at least.
const PACE: Duration = Duration::from_millis(450);
/// For one answer; then it is asked for again.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(150);
/// Far beyond what takes longest to come back.
const GIVEN_UP: Duration = Duration::from_mins(2);

/// One promise: the system said that it has this report.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub report: ReportId,
    pub case: CaseId,
    pub url: CanonicalUrl,
    pub host: String,
    pub verdict: Verdict,
}

/// What the reporters hold in hand.
pub struct Reporters {
    client: Client,
    street: Arc<Street>,
    knowledge: Arc<Knowledge>,
    next: AtomicUsize,
    receipts: Mutex<Vec<Accepted>>,
    asked_again: AtomicUsize,
}

impl Reporters {
    pub fn new(client: Client, street: Arc<Street>, knowledge: Arc<Knowledge>) -> Arc<Self> {
        Arc::new(Self {
            client,
            street,
            knowledge,
            next: AtomicUsize::new(0),
            receipts: Mutex::default(),
            asked_again: AtomicUsize::new(0),
        })
    }

    pub fn receipts(&self) -> Vec<Accepted> {
        let receipts = self.receipts.lock();
        receipts.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many there are.
    pub fn accepted(&self) -> usize {
        let receipts = self.receipts.lock();
        receipts.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How often an answer did not come and was asked for again.
    pub fn asked_again(&self) -> usize {
        self.asked_again.load(Ordering::Relaxed)
    }

    /// Reports until told to stop; each report that was begun has its receipt then.
    pub async fn work(self: Arc<Self>, stop: CancellationToken) -> Result<()> {
        let mut reporters = JoinSet::new();
        for _ in 0..REPORTERS {
            let (all, stop) = (Arc::clone(&self), stop.clone());
            reporters.spawn(async move { all.report(&stop).await });
        }
        while let Some(ended) = reporters.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn report(&self, stop: &CancellationToken) -> Result<()> {
        let mut tick = tokio::time::interval(PACE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() && self.one().await?.is_some() {
        }
        Ok(())
    }

    /// One report from first word to receipt; none where the town has no more.
    pub async fn one(&self) -> Result<Option<Accepted>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(entry) = self.street.entries.get(number) else {
            return Ok(None);
        };
        let began = Instant::now();
        let receipt = loop {
            let refused = match self.ask(entry).await? {
                Ok(receipt) => break receipt,
                Err(refused) => refused,
            };
            if began.elapsed() > GIVEN_UP {
                bail!("no receipt for {GIVEN_UP:?}: {refused}");
            }
            self.asked_again.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(AGAIN).await;
        };
        self.knowledge.accepted(&entry.report.external_id, &receipt);
        let truth = entry
            .truth
            .as_ref()
            .context("the town knows every report")?;
        let accepted = Accepted {
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

    /// The receipt, or why it is not known what became of the report.
    async fn ask(&self, entry: &Entry) -> Result<Result<Receipt, String>> {
        let mut intake = self.client.intake();
        let asked = intake.submit_reports(submission(entry));
        let answer = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(status)) => return Ok(Err(status.to_string())),
            Err(_) => return Ok(Err("no answer in time".to_owned())),
        };
        let result = answer
            .into_inner()
            .results
            .pop()
            .and_then(|item| item.result);
        match result.context("an answer without a result")? {
            Outcome::Receipt(receipt) => Ok(Ok(receipt)),
            Outcome::Problem(problem) => {
                bail!("{} was refused: {}", entry.report.external_id, problem.code)
            }
        }
    }
}

fn submission(entry: &Entry) -> SubmitReportsRequest {
    let row = &entry.report;
    let hashes = (!row.sha256.is_empty()).then(|| Hash {
        kind: HashKind::Sha256.wire(),
        value: row.sha256.clone(),
    });
    SubmitReportsRequest {
        idempotency_key: row.external_id.clone(),
        channel: ReportChannel::Public.wire(),
        items: vec![ReportItem {
            external_id: row.external_id.clone(),
            url: row.url.clone(),
            hashes: hashes.into_iter().collect(),
            ..ReportItem::default()
        }],
        ..SubmitReportsRequest::default()
    }
}
