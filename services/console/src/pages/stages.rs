//! Counts by stage as tables: how many, which share, how old the oldest is.

use proto::v1;
use time::OffsetDateTime;

use crate::show::{When, count, label, length, word};

/// In place of a figure that nobody has.
pub(super) const MISSING: &str = "–";

pub(super) struct Stages {
    pub(super) caption: &'static str,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) count: String,
    /// Of 100, for the bar.
    pub(super) share: u64,
    /// Shown only where something waits.
    pub(super) oldest: When,
}

pub(super) fn stages(
    intake: Option<&v1::GetIntakeCountsResponse>,
    verification: Option<&v1::GetVerificationCountsResponse>,
    dispatch: Option<&v1::GetDispatchCountsResponse>,
    now: OffsetDateTime,
) -> Vec<Stages> {
    let table = |caption, counts: &[v1::StageCount]| Stages {
        caption,
        rows: rows(counts, now),
    };
    let mut tables = Vec::with_capacity(4);
    if let Some(of) = verification {
        tables.push(table("Cases by assessment", &of.by_state));
    }
    if let Some(of) = dispatch {
        tables.push(table(
            "Actionable cases by what is online",
            &of.by_live_state,
        ));
        tables.push(table("Notices by state", &of.by_notice_state));
    }
    if let Some(of) = intake {
        tables.push(table("Reports by outcome", &of.by_outcome));
    }
    if let Some(of) = verification {
        tables.push(table("Verdicts by who decided", &of.decided_by));
    }
    tables
}

/// Where something waits for a person, or for a provider's word: the ages that a supervisor watches.
pub(super) fn waiting(
    verification: Option<&v1::GetVerificationCountsResponse>,
    dispatch: Option<&v1::GetDispatchCountsResponse>,
    now: OffsetDateTime,
) -> Vec<Stages> {
    let only = |counts: &[v1::StageCount], these: &[&str]| -> Vec<v1::StageCount> {
        let counts = counts.iter();
        let these = counts.filter(|of| these.contains(&of.stage.as_str()));
        these.cloned().collect()
    };
    let mut tables = Vec::with_capacity(2);
    if let Some(of) = verification {
        let these = [
            "queued",
            "claimed",
            "awaiting_second",
            "under_review",
            "needs_information",
            "police_hold",
        ];
        tables.push(Stages {
            caption: "Cases that wait for us, since they were received",
            rows: rows(&only(&of.by_state, &these), now),
        });
    }
    if let Some(of) = dispatch {
        let these = [
            "queued",
            "sent",
            "delivered",
            "acknowledged",
            "removal_claimed",
            "need_information",
            "need_time",
            "disputed",
            "bounced",
        ];
        tables.push(Stages {
            caption: "Notices that are open, since they were opened",
            rows: rows(&only(&of.by_notice_state, &these), now),
        });
    }
    tables
}

/// Stages in which nothing is left to wait for: how old their oldest member is tells nobody anything.
const AT_REST: [&str; 16] = [
    "actionable",
    "analyst",
    "closed",
    "could_not_find",
    "gone",
    "list",
    "moved",
    "no_action",
    "not_actionable",
    "not_against_the_law",
    "not_ours",
    "removed",
    "rule",
    "watched",
    "withdrawn",
    "escalated",
];

fn rows(counts: &[v1::StageCount], now: OffsetDateTime) -> Vec<Row> {
    let all: u64 = counts.iter().map(|stage| stage.count).sum();
    let shown = counts.iter().filter(|stage| stage.count > 0);
    shown
        .map(|stage| Row {
            name: label(&stage.stage),
            count: count(stage.count),
            share: (stage.count * 100).div_ceil(all.max(1)),
            oldest: if AT_REST.contains(&stage.stage.as_str()) {
                When::age(None, now)
            } else {
                When::age(stage.oldest.as_ref(), now)
            },
        })
        .collect()
}

pub(super) fn clocks(figures: &[v1::ClockFigure]) -> Vec<[String; 4]> {
    let line = |figure: &v1::ClockFigure| {
        let measured = |seconds| {
            if figure.count == 0 {
                MISSING.to_owned()
            } else {
                length(seconds)
            }
        };
        [
            label(&figure.clock),
            measured(figure.p50_seconds),
            measured(figure.p99_seconds),
            count(figure.count),
        ]
    };
    figures.iter().map(line).collect()
}

pub(super) fn rungs(of: &v1::GetDispatchCountsResponse) -> Vec<(String, String)> {
    let line = |rung: &v1::RungCount| (label(word!(Rung, rung.rung)), count(rung.cases));
    of.escalated_by_rung.iter().map(line).collect()
}

pub(super) fn channels(of: &v1::GetDispatchCountsResponse) -> Vec<(String, String)> {
    let line = |channel: &v1::ChannelCount| {
        (
            label(word!(DeliveryChannel, channel.channel)),
            count(channel.notices),
        )
    };
    of.notices_by_channel.iter().map(line).collect()
}
