//! The result of a run: the services' own figures, the reporters' receipts and the hosts' logs.

use std::collections::BTreeMap;

use anyhow::Result;
use domain::enums::{DeliveryChannel, Rung};
use domain::wire::seconds;
use proto::v1::{
    Assessment, ClockFigure, GetConservationRequest, GetIntakeCountsRequest, ListQueueRequest,
    NoticeSummary, SearchNoticesRequest,
};
use serde_json::{Value, json};

use super::case_truths::{CaseTruths, ReceiptTotals};
use super::progress::dispatch_counts;
use crate::expected_figures::{CountRange, ExpectedFigures};
use crate::log::{HostLog, HostLogTotals};
use crate::scenario::TrueVerdict;
use roles::client::Client;

const PAGE_SIZE: i32 = 500;
/// Errors of one kind that are listed; the others are only counted.
const LISTED_ERRORS: usize = 5;
/// With this many notices by webhook or mail, at least one loses its reply: each does so with a probability of one in
/// eight, and none of them with 1 in 600,000.
const FAULTS_ARE_CERTAIN: u64 = 100;

pub struct DemoFigures {
    pub accepted: u64,
    pub refused: u64,
    pub cases: u64,
    pub joined: u64,
    pub actionable: u64,
    pub not_actionable: u64,
    pub notices: u64,
    pub notices_by_channel: BTreeMap<&'static str, u64>,
    pub delivered: u64,
    pub acknowledged: u64,
    pub confirmed_removed: u64,
    pub false_claims: u64,
    pub moved: u64,
    pub reappeared: u64,
    pub escalated_by_rung: BTreeMap<&'static str, u64>,
    pub open: u64,
    pub lost: u64,
    pub attempts: u64,
    pub clocks: Vec<ClockFigure>,
    pub hosts: HostLogTotals,
    receipts: ReceiptTotals,
    /// Cases with a wrong verdict.
    wrong_verdicts: Vec<String>,
    /// Cases that needed a second opinion and did not get one.
    without_second_opinion: Vec<String>,
}

impl DemoFigures {
    pub async fn read(client: &Client, truths: &CaseTruths, log: &HostLog) -> Result<Self> {
        let intake = client
            .intake()
            .get_intake_counts(GetIntakeCountsRequest {})
            .await?
            .into_inner();
        let conservation = client
            .ledger()
            .get_conservation(GetConservationRequest {})
            .await?
            .into_inner();
        let dispatch = dispatch_counts(client).await?;
        let receipts = truths.receipt_totals();
        let assessments = list_assessments(client).await?;
        let in_state = |states: &[&str]| -> u64 {
            let stages = dispatch.by_content_status.iter();
            let these = stages.filter(|stage| states.contains(&stage.stage.as_str()));
            these.map(|stage| stage.count).sum()
        };
        let by_channel: BTreeMap<&'static str, u64> = dispatch
            .notices_by_channel
            .iter()
            .filter_map(|count| {
                let channel = DeliveryChannel::from_wire(count.channel).ok()?;
                Some((channel.as_str(), count.notices))
            })
            .collect();
        let actionable = assessments.iter().filter(|case| case.category != 0).count() as u64;
        let not_actionable = assessments.iter().filter(|case| case.reason != 0).count() as u64;
        let missing = [
            conservation.lost.unsigned_abs(),
            receipts.accepted.saturating_sub(intake.accepted),
            receipts.accepted.abs_diff(conservation.accepted),
            receipts.cases.saturating_sub(assessments.len() as u64),
            actionable.saturating_sub(dispatch.cases),
        ];
        Ok(Self {
            accepted: intake.accepted,
            refused: receipts.refused,
            cases: intake.cases,
            joined: intake.accepted.saturating_sub(intake.cases),
            actionable,
            not_actionable,
            notices: dispatch.notices,
            delivered: dispatch.delivered,
            acknowledged: dispatch.acknowledged,
            confirmed_removed: in_state(&["offline", "watched", "closed"]),
            false_claims: dispatch.false_claims,
            moved: dispatch.moved,
            reappeared: dispatch.reappeared,
            escalated_by_rung: dispatch
                .escalated_by_rung
                .iter()
                .filter_map(|count| Some((Rung::from_wire(count.rung).ok()?.as_str(), count.cases)))
                .collect(),
            open: in_state(&["online", "held", "exhausted"]),
            lost: missing.into_iter().max().unwrap_or_default(),
            attempts: list_notices(client).await?.iter().map(attempts).sum(),
            notices_by_channel: by_channel,
            clocks: dispatch.clocks,
            hosts: log.totals(),
            wrong_verdicts: wrong_verdicts(&assessments, truths),
            without_second_opinion: without_second_opinion(&assessments, truths),
            receipts,
        })
    }

    /// Every deviation from the scenario's expected figures, as one sentence each.
    pub fn differences(&self, expected: &ExpectedFigures) -> Vec<String> {
        let mut found = Vec::new();
        let exactly = CountRange::exactly;
        let escalated: u64 = self.escalated_by_rung.values().sum();
        let wanted: u64 = expected.escalated_by_rung.values().sum();
        for (name, actual, required) in [
            ("accepted", self.accepted, exactly(expected.accepted)),
            ("refused", self.refused, exactly(expected.refused)),
            ("cases", self.cases, exactly(expected.cases)),
            ("joined", self.joined, exactly(expected.joined)),
            ("actionable", self.actionable, exactly(expected.actionable)),
            (
                "not_actionable",
                self.not_actionable,
                exactly(expected.not_actionable),
            ),
            (
                "confirmed_removed",
                self.confirmed_removed,
                exactly(expected.confirmed_removed),
            ),
            ("open", self.open, exactly(expected.open)),
            ("false_claims", self.false_claims, expected.false_claims),
            ("moved", self.moved, expected.moved),
            ("reappeared", self.reappeared, expected.reappeared),
            ("escalated_by_rung", escalated, exactly(wanted)),
            ("lost", self.lost, exactly(0)),
            (
                "duplicate_effective_notices",
                self.hosts.duplicates,
                exactly(0),
            ),
            ("receipts", self.receipts.accepted, exactly(self.accepted)),
            (
                "cases opened by receipts",
                self.receipts.opened,
                exactly(self.cases),
            ),
        ] {
            if !required.contains(actual) {
                found.push(format!("{name} is {actual}, must be {required}"));
            }
        }
        let resent = self.attempts.saturating_sub(self.notices);
        for (name, actual) in [
            ("attempts beyond the first of each notice", resent),
            ("resends received by the hosts", self.hosts.repeated),
        ] {
            if actual == 0 && self.has_certain_faults() {
                found.push(format!("{name}: 0, must be 1 or more"));
            }
        }
        // A host receives a notice before the system counts it as delivered.
        if self.delivered > self.hosts.notices {
            found.push(format!(
                "delivered is {}, and the hosts have received {}",
                self.delivered, self.hosts.notices
            ));
        }
        for (rung, wanted) in &expected.escalated_by_rung {
            let actual = self
                .escalated_by_rung
                .get(rung.as_str())
                .copied()
                .unwrap_or_default();
            if actual != *wanted {
                found.push(format!("escalated at {rung} is {actual}, must be {wanted}"));
            }
        }
        for (error, ids) in [
            (
                "wrongly accepted or refused",
                &self.receipts.errors.acceptance,
            ),
            (
                "assigned to the wrong case",
                &self.receipts.errors.case_assignment,
            ),
            ("decided with a wrong verdict", &self.wrong_verdicts),
            (
                "decided without a second opinion",
                &self.without_second_opinion,
            ),
        ] {
            if !ids.is_empty() {
                let listed = ids[..ids.len().min(LISTED_ERRORS)].join(", ");
                found.push(format!("{} {error}: {listed} …", ids.len()));
            }
        }
        for (reason, count) in &self.hosts.refused {
            found.push(format!("{count} messages refused by hosts: {reason}"));
        }
        found
    }

    /// True if enough notices were pushed that some of them met a network fault.
    fn has_certain_faults(&self) -> bool {
        let pushed = self.notices_by_channel.iter();
        let pushed = pushed.filter(|(channel, _)| **channel != DeliveryChannel::Api.as_str());
        pushed.map(|(_, notices)| notices).sum::<u64>() >= FAULTS_ARE_CERTAIN
    }

    pub fn json(&self) -> Value {
        let clocks: serde_json::Map<String, Value> = self
            .clocks
            .iter()
            .map(|clock| {
                let figures = json!({
                    "p50": seconds(clock.p50.as_ref()), "p99": seconds(clock.p99.as_ref()), "count": clock.count,
                });
                (clock.clock.clone(), figures)
            })
            .collect();
        json!({
            "accepted": self.accepted,
            "refused": self.refused,
            "cases": self.cases,
            "joined": self.joined,
            "actionable": self.actionable,
            "not_actionable": self.not_actionable,
            "notices_by_channel": self.notices_by_channel,
            "delivered": self.delivered,
            "acknowledged": self.acknowledged,
            "confirmed_removed": self.confirmed_removed,
            "false_claims": self.false_claims,
            "moved": self.moved,
            "reappeared": self.reappeared,
            "escalated_by_rung": self.escalated_by_rung,
            "open": self.open,
            "lost": self.lost,
            "duplicate_effective_notices": self.hosts.duplicates,
            "attempts": self.attempts,
            "clocks": clocks,
        })
    }
}

/// Every assessment, in any state.
async fn list_assessments(client: &Client) -> Result<Vec<Assessment>> {
    use domain::enums::AssessmentState;

    let states: Vec<i32> = AssessmentState::ALL
        .iter()
        .map(|state| state.wire())
        .collect();
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListQueueRequest {
            page_size: PAGE_SIZE,
            page_token,
            states: states.clone(),
        };
        let page = client
            .verification()
            .list_queue(request)
            .await?
            .into_inner();
        all.extend(page.cases);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        page_token = page.next_page_token;
    }
}

/// Every notice.
async fn list_notices(client: &Client) -> Result<Vec<NoticeSummary>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = SearchNoticesRequest {
            page_size: PAGE_SIZE,
            page_token,
            ..SearchNoticesRequest::default()
        };
        let page = client
            .dispatch()
            .search_notices(request)
            .await?
            .into_inner();
        all.extend(page.notices);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        page_token = page.next_page_token;
    }
}

/// How often the notice itself was sent. A notice for the pull API counts as one attempt; a pushed notice may take
/// several, and attempts of its later messages (information, verdict upheld) are not counted.
fn attempts(notice: &NoticeSummary) -> u64 {
    let is_listed = notice.channel == DeliveryChannel::Api.wire() && notice.attempts == 0;
    let later_messages = notice.sequence.saturating_sub(1);
    u64::from(notice.attempts.saturating_sub(later_messages)) + u64::from(is_listed)
}

fn without_second_opinion(assessments: &[Assessment], truths: &CaseTruths) -> Vec<String> {
    let lacks_second_opinion = |case: &&Assessment| {
        let id = case.case_id.parse().ok();
        id.is_some_and(|id| {
            truths.verdict(id) == Some(TrueVerdict::SecondOpinion) && !truths.had_second_opinion(id)
        })
    };
    let cases = assessments.iter().filter(lacks_second_opinion);
    cases.map(|case| case.case_id.clone()).collect()
}

fn wrong_verdicts(assessments: &[Assessment], truths: &CaseTruths) -> Vec<String> {
    let is_right = |case: &Assessment| {
        let truth = case.case_id.parse().ok().and_then(|id| truths.verdict(id));
        match truth {
            Some(TrueVerdict::Actionable(category)) => case.category == category.wire(),
            Some(TrueVerdict::SecondOpinion) => case.category == domain::enums::Category::B.wire(),
            Some(TrueVerdict::NotActionable(reason)) => case.reason == reason.wire(),
            None => false,
        }
    };
    let wrong = assessments.iter().filter(|case| !is_right(case));
    wrong.map(|case| case.case_id.clone()).collect()
}
