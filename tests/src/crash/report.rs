//! The result of a run as text and as JSON, and whether enough events occurred to prove anything.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::enums::{Answer, DeliveryChannel, Rung};
use serde_json::{Value, json};
use simulator::log::HostLog;
use simulator::scenario::Scenario;

use super::chaos::Tally;
use super::observed::ObservedState;
use super::promises::PromiseReport;
use super::reporters::AcceptedReport;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashOutcome {
    /// Every promise was kept.
    Kept,
    Broken,
    /// Too few events occurred to prove anything.
    Void,
}

impl CrashOutcome {
    /// Exit code of the program.
    pub const fn code(self) -> u8 {
        match self {
            Self::Kept => 0,
            Self::Broken => 1,
            Self::Void => 3,
        }
    }
}

/// One figure with its required minimum.
struct FigureRow {
    name: String,
    actual: usize,
    least: usize,
}

pub struct CrashReport {
    kills: Vec<FigureRow>,
    activity: Vec<FigureRow>,
    promises: PromiseReport,
    /// Sorted.
    restart_times: Vec<Duration>,
    full_restart_time: Option<Duration>,
    retries: usize,
    /// Why the run ended early.
    stopped: Option<String>,
}

pub struct FinishedRun<'a> {
    pub kills: usize,
    pub victims: Vec<String>,
    pub scenario: &'a Scenario,
    pub receipts: &'a [AcceptedReport],
    pub retries: usize,
    pub hosts: &'a HostLog,
    pub observed: &'a ObservedState,
    pub tally: Tally,
    pub promises: PromiseReport,
    pub stopped: Option<String>,
}

impl CrashReport {
    pub fn new(run: FinishedRun<'_>) -> Self {
        let kills = kill_rows(&run);
        let activity = activity_rows(&run);
        let mut restart_times = run.tally.restart_times;
        restart_times.sort_unstable();
        Self {
            kills,
            activity,
            promises: run.promises,
            restart_times,
            full_restart_time: run.tally.full_restart_time,
            retries: run.retries,
            stopped: run.stopped,
        }
    }

    /// A broken promise counts even if few events occurred.
    pub fn outcome(&self) -> CrashOutcome {
        if !self.promises.all_kept() || self.stopped.is_some() {
            CrashOutcome::Broken
        } else if self.rows().any(|row| row.actual < row.least) {
            CrashOutcome::Void
        } else {
            CrashOutcome::Kept
        }
    }

    fn rows(&self) -> impl Iterator<Item = &FigureRow> {
        self.kills.iter().chain(&self.activity)
    }

    fn median_restart_time(&self) -> Option<&Duration> {
        self.restart_times.get(self.restart_times.len() / 2)
    }

    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for (title, rows) in [("killed", &self.kills), ("done", &self.activity)] {
            lines.push(format!("{title:<46}{:>8}{:>12}", "", "at least"));
            for row in rows {
                let note = if row.actual < row.least {
                    "  too few"
                } else {
                    ""
                };
                lines.push(format!(
                    "  {:<44}{:>8}{:>12}{note}",
                    row.name, row.actual, row.least
                ));
            }
        }
        lines.push(format!(
            "  {:<44}{:>8}",
            "submissions repeated because no receipt came", self.retries
        ));
        if let (Some(worst), Some(median)) = (self.restart_times.last(), self.median_restart_time())
        {
            let (worst, median) = (worst.as_secs_f64(), median.as_secs_f64());
            lines.push(format!(
                "recovery of one role: median {median:.2} s, worst {worst:.2} s (goal 5 s)"
            ));
        }
        if let Some(full) = self.full_restart_time {
            let full = full.as_secs_f64();
            lines.push(format!(
                "recovery of all roles, to the first delivered notice: {full:.2} s (goal 60 s)"
            ));
        }
        for (promise, violations) in self.promises.by_promise() {
            lines.push(format!("{promise:<46}{:>8}", violations.len()));
            let listed = violations.iter().take(LISTED_VIOLATIONS);
            lines.extend(listed.map(|violation| format!("    {violation}")));
        }
        for (promise, violations) in self.promises.by_promise() {
            if !violations.is_empty() {
                lines.push(format!("promise broken: {promise}"));
            }
        }
        if let Some(reason) = &self.stopped {
            lines.push(format!(
                "promise broken: a killed process did not recover: {reason}"
            ));
        }
        if self.outcome() == CrashOutcome::Void {
            lines.push("void: too few events occurred to prove anything".to_owned());
        }
        lines.join("\n")
    }

    pub fn json(&self) -> Value {
        let rows = |rows: &[FigureRow]| -> BTreeMap<String, Value> {
            let rows = rows.iter();
            rows.map(|row| {
                (
                    row.name.clone(),
                    json!({ "is": row.actual, "least": row.least }),
                )
            })
            .collect()
        };
        let found: BTreeMap<&str, usize> = self
            .promises
            .by_promise()
            .map(|(promise, violations)| (promise, violations.len()))
            .collect();
        json!({
            "kills": rows(&self.kills),
            "done": rows(&self.activity),
            "asked_again": self.retries,
            "one_role_back_s": self.restart_times.last().map(Duration::as_secs_f64),
            "one_role_back_median_s": self.median_restart_time().map(Duration::as_secs_f64),
            "all_roles_back_s": self.full_restart_time.map(|full| full.as_secs_f64()),
            "found": found,
            "stopped": self.stopped,
            "exit": self.outcome().code(),
        })
    }
}

/// Violations of one promise that are listed; the others are only counted.
const LISTED_VIOLATIONS: usize = 5;

fn kill_rows(run: &FinishedRun<'_>) -> Vec<FigureRow> {
    let row = |name: &str, actual, least| FigureRow {
        name: name.to_owned(),
        actual,
        least,
    };
    let tally = &run.tally;
    // A round has about twenty kills and contains each victim.
    let each = (run.kills / 30).max(1);
    let mut rows: Vec<FigureRow> = run
        .victims
        .iter()
        .map(|victim| {
            let kills = tally.kills.get(victim).copied().unwrap_or_default();
            row(victim, kills, each)
        })
        .collect();
    let others = (run.kills / 20).max(2);
    rows.push(row("dispatchers frozen past a lease", tally.frozen, others));
    rows.push(row(
        "answers held open before their commit",
        tally.blocked_answers,
        others.div_ceil(2),
    ));
    rows.push(row(
        "roles killed midway through an effect",
        tally.killed_during_write,
        each,
    ));
    rows.push(row(
        "dispatchers hit while a host kept them waiting",
        tally.hit_during_delivery,
        each,
    ));
    rows
}

fn activity_rows(run: &FinishedRun<'_>) -> Vec<FigureRow> {
    let row = |name: &str, actual, least: usize| FigureRow {
        name: name.to_owned(),
        actual,
        least: least.max(1),
    };
    let kills = run.kills;
    let basis = run.observed.by_basis();
    let basis = |kind| basis.get(kind).copied().unwrap_or_default();
    let by_channel = |channel| {
        let messages = run.hosts.messages();
        let uses_channel = |id: &str| {
            run.scenario
                .provider(id)
                .is_some_and(|p| p.channel == channel)
        };
        messages
            .iter()
            .filter(|m| m.accepted && uses_channel(&m.step.provider))
            .count()
    };
    let answers = run.hosts.answers();
    let answered = |answer| answers.iter().filter(|a| a.answer == answer).count();
    vec![
        row("reports accepted", run.receipts.len(), kills * 2),
        row("decided by a rule", basis("rule"), kills / 2),
        row("decided by a hash list", basis("list"), kills / 20),
        row("decided by an analyst", basis("analyst"), kills / 20),
        row(
            "notices by webhook",
            by_channel(DeliveryChannel::Webhook),
            kills,
        ),
        row(
            "notices by mail",
            by_channel(DeliveryChannel::Email),
            kills / 5,
        ),
        row(
            "notices fetched",
            by_channel(DeliveryChannel::Api),
            kills / 5,
        ),
        row("acknowledged", answered(Answer::Acknowledged), kills),
        row(
            "removals confirmed",
            run.observed.ledger.removed.len(),
            kills,
        ),
        row(
            "escalated to the upstream",
            run.observed.escalated_to(Rung::Upstream),
            kills / 20,
        ),
        row(
            "escalated to the registrar",
            run.observed.escalated_to(Rung::Registrar),
            kills / 50,
        ),
        row(
            "escalated to the regulator",
            run.observed.escalated_to(Rung::Regulator),
            kills / 20,
        ),
    ]
}
