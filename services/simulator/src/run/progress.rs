//! Follows the run: shows its progress, and detects its end or a stall.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::v1::{
    GetConservationRequest, GetDispatchCountsRequest, GetDispatchCountsResponse,
    GetIntakeCountsRequest, GetVerificationCountsRequest, StageCount,
};

use crate::expected_figures::ExpectedFigures;
use roles::client::Client;

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Interval of progress lines when stderr is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Without progress for this long, the run has stalled. Longer than any rung, pause or watch of the demo's policy.
const STALL_TIMEOUT: Duration = Duration::from_secs(90);
/// States of assessments without a final verdict.
const UNDECIDED_STATES: [&str; 6] = [
    "queued",
    "claimed",
    "awaiting_second_opinion",
    "needs_information",
    "under_review",
    "police_hold",
];

pub struct DemoProgress {
    bars: Option<[ProgressBar; 4]>,
    reported: AtomicU64,
    all_reported: AtomicBool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ProgressSnapshot {
    decided: u64,
    actionable: u64,
    undecided: u64,
    dispatched: u64,
    delivered: u64,
    acknowledged: u64,
    attempts: u64,
    removed: u64,
    unsettled: u64,
}

impl DemoProgress {
    pub fn new(expected: &ExpectedFigures) -> Self {
        let reports = expected.accepted + expected.refused;
        let bars = stderr().is_terminal().then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            let style = ProgressStyle::with_template("{msg:>10} {bar:40} {human_pos}/{human_len}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = |name, length| {
                let bar = all.add(ProgressBar::new(length).with_style(style.clone()));
                bar.with_message(name)
            };
            [
                bar("reports", reports),
                bar("decided", expected.cases),
                bar("delivered", expected.actionable),
                bar("removed", expected.confirmed_removed),
            ]
        });
        Self {
            bars,
            reported: AtomicU64::new(0),
            all_reported: AtomicBool::new(false),
        }
    }

    /// Counts a report that intake has accepted or refused.
    pub fn count_report(&self) {
        self.reported.fetch_add(1, Ordering::Relaxed);
    }

    /// Call when every report has been accepted or refused.
    pub fn set_all_reported(&self) {
        self.all_reported.store(true, Ordering::Release);
    }

    fn update_bars(&self, now: ProgressSnapshot) {
        let reported = self.reported.load(Ordering::Relaxed);
        let Some(bars) = &self.bars else { return };
        for (bar, at) in bars
            .iter()
            .zip([reported, now.decided, now.delivered, now.removed])
        {
            bar.set_length(bar.length().unwrap_or_default().max(at));
            bar.set_position(at);
        }
    }

    fn finish_bars(&self) {
        for bar in self.bars.iter().flatten() {
            bar.finish();
        }
    }
}

/// Returns when every report has a result, every case has a verdict and no work is left.
///
/// # Errors
/// The run has stalled; the error lists what is unfinished.
pub async fn wait_until_settled(client: &Client, progress: &DemoProgress) -> Result<()> {
    let mut last = ProgressSnapshot::default();
    let mut last_change = Instant::now();
    let mut last_line = Instant::now();
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let all_reported = progress.all_reported.load(Ordering::Acquire);
        let now = read_snapshot(client).await?;
        progress.update_bars(now);
        if now != last {
            last_change = Instant::now();
        }
        if progress.bars.is_none() && last_line.elapsed() > LINE_INTERVAL {
            last_line = Instant::now();
            // Nothing can be shown if stderr is closed.
            let _ = writeln!(stderr(), "{}", line(progress, now));
        }
        // Two equal snapshots, so that an event in transit between two services is not missed.
        let is_over = all_reported
            && now.undecided == 0
            && now.dispatched >= now.actionable
            && now.unsettled == 0;
        if is_over && now == last && ledger_is_complete(client).await? {
            progress.finish_bars();
            return Ok(());
        }
        if last_change.elapsed() > STALL_TIMEOUT {
            progress.finish_bars();
            bail!(describe_stall(client, now).await?);
        }
        last = now;
    }
}

async fn read_snapshot(client: &Client) -> Result<ProgressSnapshot> {
    let request = GetVerificationCountsRequest {};
    let decided = client
        .verification()
        .get_verification_counts(request)
        .await?
        .into_inner();
    let sent = dispatch_counts(client).await?;
    let sum = |stages: &[StageCount], names: &[&str]| -> u64 {
        let named = stages
            .iter()
            .filter(|stage| names.contains(&stage.stage.as_str()));
        named.map(|stage| stage.count).sum()
    };
    let undecided = sum(&decided.by_state, &UNDECIDED_STATES);
    Ok(ProgressSnapshot {
        decided: decided.cases - undecided,
        actionable: sum(&decided.by_state, &["actionable"]),
        undecided,
        dispatched: sent.cases,
        delivered: sum(
            &sent.by_content_status,
            &["offline", "watched", "closed", "exhausted"],
        )
        .max(sent.delivered.min(sent.cases)),
        acknowledged: sent.acknowledged,
        attempts: sent.attempts,
        removed: sum(&sent.by_content_status, &["offline", "watched", "closed"]),
        unsettled: sent.unsettled,
    })
}

/// True if the ledger has recorded every report that intake counts as accepted.
async fn ledger_is_complete(client: &Client) -> Result<bool> {
    let conservation = client
        .ledger()
        .get_conservation(GetConservationRequest {})
        .await?
        .into_inner();
    let intake = client
        .intake()
        .get_intake_counts(GetIntakeCountsRequest {})
        .await?
        .into_inner();
    let recorded: u64 = conservation.stages.iter().map(|stage| stage.reports).sum();
    tracing::debug!(
        accepted = intake.accepted,
        recorded,
        "reports in the ledger"
    );
    Ok(conservation.lost == 0 && recorded == intake.accepted)
}

pub async fn dispatch_counts(client: &Client) -> Result<GetDispatchCountsResponse> {
    Ok(client
        .dispatch()
        .get_dispatch_counts(GetDispatchCountsRequest {})
        .await?
        .into_inner())
}

fn line(progress: &DemoProgress, now: ProgressSnapshot) -> String {
    format!(
        "{} reports accepted or refused, {} cases decided, {} in dispatch, {} removed, {} unsettled",
        progress.reported.load(Ordering::Relaxed),
        now.decided,
        now.dispatched,
        now.removed,
        now.unsettled,
    )
}

/// Lists the unfinished assessments, cases and notices.
async fn describe_stall(client: &Client, now: ProgressSnapshot) -> Result<String> {
    let request = GetVerificationCountsRequest {};
    let decided = client
        .verification()
        .get_verification_counts(request)
        .await?
        .into_inner();
    let sent = dispatch_counts(client).await?;
    let conservation = client
        .ledger()
        .get_conservation(GetConservationRequest {})
        .await?
        .into_inner();
    let list = |stages: &[StageCount]| -> String {
        let stages = stages
            .iter()
            .map(|stage| format!("{} {}", stage.count, stage.stage));
        stages.collect::<Vec<_>>().join(", ")
    };
    Ok(format!(
        "no progress for {} s: {} assessments are undecided ({}); {} cases in dispatch are unsettled (cases: {}; notices: {}); the ledger lacks {} reports",
        STALL_TIMEOUT.as_secs(),
        now.undecided,
        list(&decided.by_state),
        sent.unsettled,
        list(&sent.by_content_status),
        list(&sent.by_notice_state),
        conservation.lost,
    ))
}
