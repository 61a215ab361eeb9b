//! What a run came to, for people and for programs, and whether enough happened in it to mean anything.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::word::{Answer, DeliveryChannel, Rung};
use serde_json::{Value, json};
use takedown::street::files::Street;
use takedown::street::log::HostLog;

use super::chaos::Tally;
use super::count::Count;
use super::load::Accepted;
use super::outside::Outside;

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Kept,
    Broken,
    /// Too little happened: nothing is shown.
    Void,
}

impl Ending {
    pub const fn code(self) -> u8 {
        match self {
            Self::Kept => 0,
            Self::Broken => 1,
            Self::Void => 3,
        }
    }
}

/// One figure with what it must reach.
struct Row {
    name: String,
    is: usize,
    least: usize,
}

pub struct Report {
    kills: Vec<Row>,
    done: Vec<Row>,
    count: Count,
    back: Vec<Duration>,
    all_back: Option<Duration>,
    asked_again: usize,
    /// Why the run did not come to its end.
    stopped: Option<String>,
}

/// What a report is made of.
pub struct Run<'a> {
    pub kills: usize,
    pub victims: Vec<String>,
    pub street: &'a Street,
    pub receipts: &'a [Accepted],
    pub asked_again: usize,
    pub hosts: &'a HostLog,
    pub outside: &'a Outside,
    pub tally: Tally,
    pub count: Count,
    pub stopped: Option<String>,
}

impl Report {
    pub fn of(run: Run<'_>) -> Self {
        let kills = killed(&run);
        let done = done(&run);
        let mut back = run.tally.back;
        back.sort_unstable();
        Self {
            kills,
            done,
            count: run.count,
            back,
            all_back: run.tally.all_back,
            asked_again: run.asked_again,
            stopped: run.stopped,
        }
    }

    /// A broken promise is one also where little happened.
    pub fn ending(&self) -> Ending {
        if !self.count.is_clean() || self.stopped.is_some() {
            Ending::Broken
        } else if self.rows().any(|row| row.is < row.least) {
            Ending::Void
        } else {
            Ending::Kept
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.kills.iter().chain(&self.done)
    }

    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for (title, rows) in [("killed", &self.kills), ("done", &self.done)] {
            lines.push(format!("{title:<46}{:>8}{:>12}", "", "at least"));
            for row in rows {
                let short = if row.is < row.least { "  too few" } else { "" };
                lines.push(format!(
                    "  {:<44}{:>8}{:>12}{short}",
                    row.name, row.is, row.least
                ));
            }
        }
        lines.push(format!(
            "  {:<44}{:>8}",
            "receipts that were asked for again", self.asked_again
        ));
        if let (Some(worst), Some(median)) = (self.back.last(), self.back.get(self.back.len() / 2))
        {
            let (worst, median) = (worst.as_secs_f64(), median.as_secs_f64());
            lines.push(format!(
                "one role back: {median:.2} s as a rule, {worst:.2} s at worst (goal 5 s)"
            ));
        }
        if let Some(all) = self.all_back {
            let all = all.as_secs_f64();
            lines.push(format!(
                "all roles back, to the first notice delivered: {all:.2} s (goal 60 s)"
            ));
        }
        for (promise, found) in self.count.by_promise() {
            lines.push(format!("{promise:<46}{:>8}", found.len()));
            lines.extend(found.iter().take(NAMED).map(|what| format!("    {what}")));
        }
        for (promise, _) in self
            .count
            .by_promise()
            .filter(|(_, found)| !found.is_empty())
        {
            lines.push(format!("promise broken: {promise}"));
        }
        if let Some(why) = &self.stopped {
            lines.push(format!(
                "promise broken: what was killed comes back by itself: {why}"
            ));
        }
        if self.ending() == Ending::Void {
            lines.push("void: too little happened to show anything".to_owned());
        }
        lines.join("\n")
    }

    pub fn json(&self) -> Value {
        let rows = |rows: &[Row]| -> BTreeMap<String, Value> {
            let rows = rows.iter();
            rows.map(|row| {
                (
                    row.name.clone(),
                    json!({ "is": row.is, "least": row.least }),
                )
            })
            .collect()
        };
        let found: BTreeMap<&str, usize> = self
            .count
            .by_promise()
            .map(|(promise, found)| (promise, found.len()))
            .collect();
        json!({
            "kills": rows(&self.kills),
            "done": rows(&self.done),
            "asked_again": self.asked_again,
            "one_role_back_s": self.back.last().map(Duration::as_secs_f64),
            "one_role_back_median_s": self.back.get(self.back.len() / 2).map(Duration::as_secs_f64),
            "all_roles_back_s": self.all_back.map(|all| all.as_secs_f64()),
            "found": found,
            "stopped": self.stopped,
            "exit": self.ending().code(),
        })
    }
}

/// Findings named in full; more are only counted.
const NAMED: usize = 5;

fn killed(run: &Run<'_>) -> Vec<Row> {
    let row = |name: &str, is, least| Row {
        name: name.to_owned(),
        is,
        least,
    };
    let tally = &run.tally;
    // A round of kills is some twenty long, and each has its place in it.
    let each = (run.kills / 30).max(1);
    let mut rows: Vec<Row> = run
        .victims
        .iter()
        .map(|who| row(who, tally.kills.get(who).copied().unwrap_or_default(), each))
        .collect();
    let beside = (run.kills / 20).max(2);
    rows.push(row("dispatchers frozen past a lease", tally.frozen, beside));
    rows.push(row(
        "answers held open before their commit",
        tally.held_open,
        beside.div_ceil(2),
    ));
    rows.push(row(
        "roles killed midway through an effect",
        tally.midway,
        each,
    ));
    rows.push(row(
        "dispatchers hit while a host kept them waiting",
        tally.while_waiting,
        each,
    ));
    rows
}

fn done(run: &Run<'_>) -> Vec<Row> {
    let row = |name: &str, is, least: usize| Row {
        name: name.to_owned(),
        is,
        least: least.max(1),
    };
    let kills = run.kills;
    let basis = run.outside.by_basis();
    let basis = |kind| basis.get(kind).copied().unwrap_or_default();
    let by_channel = |channel| {
        let arrivals = run.hosts.arrivals();
        let lives = |id: &str| {
            run.street
                .provider(id)
                .is_some_and(|p| p.channel == channel)
        };
        arrivals
            .iter()
            .filter(|a| a.taken && lives(&a.step.provider))
            .count()
    };
    let answers = run.hosts.answers();
    let said = |answer| {
        answers
            .iter()
            .filter(|taken| taken.answer == answer)
            .count()
    };
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
        row("acknowledged", said(Answer::Acknowledged), kills),
        row("removals confirmed", run.outside.told.removed.len(), kills),
        row(
            "escalated to the upstream",
            run.outside.escalated_to(Rung::Upstream),
            kills / 20,
        ),
        row(
            "escalated to the registrar",
            run.outside.escalated_to(Rung::Registrar),
            kills / 50,
        ),
        row(
            "escalated to the regulator",
            run.outside.escalated_to(Rung::Regulator),
            kills / 20,
        ),
    ]
}
