//! Follows the run: shows how far it is, and knows when it is over or stuck.

use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::v1::{
    GetConservationRequest, GetDispatchCountsRequest, GetDispatchCountsResponse,
    GetIntakeCountsRequest, GetVerificationCountsRequest, StageCount,
};

use crate::client::Client;
use crate::output::tell;
use crate::street::expect::Expected;

const LOOK: Duration = Duration::from_millis(500);
/// A line for whoever has no terminal.
const TELL: Duration = Duration::from_secs(10);
/// Longer than any rung, pause or watch of the demo's policy: what has not moved by then is stuck.
const STUCK: Duration = Duration::from_secs(90);
/// Assessments that still wait for somebody.
const WAITING: [&str; 6] = [
    "queued",
    "claimed",
    "awaiting_second",
    "needs_information",
    "under_review",
    "police_hold",
];

pub struct Progress {
    bars: Option<[ProgressBar; 4]>,
    reported: AtomicU64,
    fed: AtomicBool,
}

/// How far the run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Standing {
    decided: u64,
    actionable: u64,
    waiting: u64,
    dispatched: u64,
    delivered: u64,
    acknowledged: u64,
    attempts: u64,
    removed: u64,
    unsettled: u64,
}

impl Progress {
    pub fn begin(expected: &Expected) -> Self {
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
            fed: AtomicBool::new(false),
        }
    }

    /// A report has its answer.
    pub fn reported(&self) {
        self.reported.fetch_add(1, Ordering::Relaxed);
    }

    /// Every report has its answer.
    pub fn fed(&self) {
        self.fed.store(true, Ordering::Release);
    }

    fn show(&self, now: Standing) {
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

    fn end(&self) {
        for bar in self.bars.iter().flatten() {
            bar.finish();
        }
    }
}

/// Returns when every report is answered, every case decided and nothing more is to come.
pub async fn to_the_end(client: &Client, progress: &Progress) -> Result<()> {
    let mut last = Standing::default();
    let mut moved = Instant::now();
    let mut told = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let fed = progress.fed.load(Ordering::Acquire);
        let now = standing(client).await?;
        progress.show(now);
        if now != last {
            moved = Instant::now();
        }
        if progress.bars.is_none() && told.elapsed() > TELL {
            told = Instant::now();
            tell(&line(progress, now));
        }
        // Twice the same, so that an event on its way between two services is not overlooked.
        let is_over =
            fed && now.waiting == 0 && now.dispatched >= now.actionable && now.unsettled == 0;
        if is_over && now == last && heard(client).await? {
            progress.end();
            return Ok(());
        }
        if moved.elapsed() > STUCK {
            progress.end();
            bail!(stuck(client, now).await?);
        }
        last = now;
    }
}

async fn standing(client: &Client) -> Result<Standing> {
    let request = GetVerificationCountsRequest {};
    let decided = client
        .verification()
        .get_verification_counts(request)
        .await?
        .into_inner();
    let sent = counts(client).await?;
    let of = |stages: &[StageCount], names: &[&str]| -> u64 {
        let named = stages
            .iter()
            .filter(|stage| names.contains(&stage.stage.as_str()));
        named.map(|stage| stage.count).sum()
    };
    let waiting = of(&decided.by_state, &WAITING);
    Ok(Standing {
        decided: decided.cases - waiting,
        actionable: of(&decided.by_state, &["actionable"]),
        waiting,
        dispatched: sent.cases,
        delivered: of(
            &sent.by_live_state,
            &["gone", "watched", "closed", "exhausted"],
        )
        .max(sent.delivered.min(sent.cases)),
        acknowledged: sent.acknowledged,
        attempts: sent.attempts,
        removed: of(&sent.by_live_state, &["gone", "watched", "closed"]),
        unsettled: sent.unsettled,
    })
}

/// Whether the ledger has heard of everything that intake accepted, by intake's word.
async fn heard(client: &Client) -> Result<bool> {
    let heard = client
        .ledger()
        .get_conservation(GetConservationRequest {})
        .await?
        .into_inner();
    let taken = client
        .intake()
        .get_intake_counts(GetIntakeCountsRequest {})
        .await?
        .into_inner();
    let standing: u64 = heard.stages.iter().map(|stage| stage.reports).sum();
    tracing::debug!(accepted = taken.accepted, standing, "ledger");
    Ok(heard.lost == 0 && standing == taken.accepted)
}

pub async fn counts(client: &Client) -> Result<GetDispatchCountsResponse> {
    Ok(client
        .dispatch()
        .get_dispatch_counts(GetDispatchCountsRequest {})
        .await?
        .into_inner())
}

fn line(progress: &Progress, now: Standing) -> String {
    format!(
        "{} reports answered, {} cases decided, {} with dispatch, {} removed, {} still under way",
        progress.reported.load(Ordering::Relaxed),
        now.decided,
        now.dispatched,
        now.removed,
        now.unsettled,
    )
}

/// Names what does not move.
async fn stuck(client: &Client, now: Standing) -> Result<String> {
    let request = GetVerificationCountsRequest {};
    let decided = client
        .verification()
        .get_verification_counts(request)
        .await?
        .into_inner();
    let sent = counts(client).await?;
    let heard = client
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
        "nothing has moved for {} s: {} assessments wait ({}); {} cases with dispatch are unsettled (cases: {}; notices: {}); the ledger misses {}",
        STUCK.as_secs(),
        now.waiting,
        list(&decided.by_state),
        sent.unsettled,
        list(&sent.by_live_state),
        list(&sent.by_notice_state),
        heard.lost,
    ))
}
