//! Tables of counts by stage: how many, which share of all, and the age of the oldest.

use domain::wire::seconds;
use proto::v1;
use time::OffsetDateTime;

use crate::format::{NOT_AVAILABLE, TimeText, format_count, format_seconds, label, wire_name};

pub(super) struct StageTable {
    pub(super) caption: &'static str,
    pub(super) rows: Vec<StageRow>,
}

pub(super) struct StageRow {
    pub(super) name: String,
    pub(super) count: String,
    /// In percent, for the bar.
    pub(super) share: u64,
    /// Only where the stage is one that waits.
    pub(super) oldest: TimeText,
}

/// All stages of cases, notices, reports and verdicts.
pub(super) fn stage_tables(
    intake: Option<&v1::GetIntakeCountsResponse>,
    verification: Option<&v1::GetVerificationCountsResponse>,
    dispatch: Option<&v1::GetDispatchCountsResponse>,
    now: OffsetDateTime,
) -> Vec<StageTable> {
    let table = |caption, counts: &[v1::StageCount]| StageTable {
        caption,
        rows: rows(counts, now),
    };
    let mut tables = Vec::with_capacity(5);
    if let Some(counts) = verification {
        tables.push(table("Cases by assessment", &counts.by_state));
    }
    if let Some(counts) = dispatch {
        tables.push(table(
            "Actionable cases by content status",
            &counts.by_content_status,
        ));
        tables.push(table("Notices by state", &counts.by_notice_state));
    }
    if let Some(counts) = intake {
        tables.push(table("Reports by outcome", &counts.by_outcome));
    }
    if let Some(counts) = verification {
        tables.push(table("Verdicts by who decided", &counts.decided_by));
    }
    tables
}

/// The stages in which a case waits for staff, or a notice for its provider.
pub(super) fn waiting_tables(
    verification: Option<&v1::GetVerificationCountsResponse>,
    dispatch: Option<&v1::GetDispatchCountsResponse>,
    now: OffsetDateTime,
) -> Vec<StageTable> {
    let select = |counts: &[v1::StageCount], stages: &[&str]| -> Vec<v1::StageCount> {
        let counts = counts.iter();
        let selected = counts.filter(|count| stages.contains(&count.stage.as_str()));
        selected.cloned().collect()
    };
    let mut tables = Vec::with_capacity(2);
    if let Some(counts) = verification {
        let stages = [
            "queued",
            "claimed",
            "awaiting_second_opinion",
            "under_review",
            "needs_information",
            "police_hold",
        ];
        tables.push(StageTable {
            caption: "Cases waiting for us, by age since receipt",
            rows: rows(&select(&counts.by_state, &stages), now),
        });
    }
    if let Some(counts) = dispatch {
        let stages = [
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
        tables.push(StageTable {
            caption: "Open notices, by age since they were created",
            rows: rows(&select(&counts.by_notice_state, &stages), now),
        });
    }
    tables
}

/// Stages in which nothing more is expected: the age of their oldest member has no meaning.
const FINAL_STAGES: [&str; 16] = [
    "actionable",
    "analyst",
    "closed",
    "could_not_find",
    "offline",
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

fn rows(counts: &[v1::StageCount], now: OffsetDateTime) -> Vec<StageRow> {
    let all: u64 = counts.iter().map(|stage| stage.count).sum();
    let shown = counts.iter().filter(|stage| stage.count > 0);
    shown
        .map(|stage| StageRow {
            name: label(&stage.stage),
            count: format_count(stage.count),
            share: (stage.count * 100).div_ceil(all.max(1)),
            oldest: if FINAL_STAGES.contains(&stage.stage.as_str()) {
                TimeText::none(now)
            } else {
                TimeText::relative(stage.oldest.as_ref(), now)
            },
        })
        .collect()
}

/// Name, median, 99th percentile and count of each clock.
pub(super) fn clock_rows(figures: &[v1::ClockFigure]) -> Vec<[String; 4]> {
    let row = |figure: &v1::ClockFigure| {
        let measured = |length: &Option<_>| match length {
            Some(length) => format_seconds(seconds(Some(length))),
            None => NOT_AVAILABLE.to_owned(),
        };
        [
            label(&figure.clock),
            measured(&figure.p50),
            measured(&figure.p99),
            format_count(figure.count),
        ]
    };
    figures.iter().map(row).collect()
}

pub(super) fn rung_rows(counts: &v1::GetDispatchCountsResponse) -> Vec<(String, String)> {
    let row = |rung: &v1::RungCount| (label(wire_name!(Rung, rung.rung)), format_count(rung.cases));
    counts.escalated_by_rung.iter().map(row).collect()
}

pub(super) fn channel_rows(counts: &v1::GetDispatchCountsResponse) -> Vec<(String, String)> {
    let row = |channel: &v1::ChannelCount| {
        (
            label(wire_name!(DeliveryChannel, channel.channel)),
            format_count(channel.notices),
        )
    };
    counts.notices_by_channel.iter().map(row).collect()
}
