//! What came out: the services' own figures, the clients' receipts and the hosts' logs, side by side.

use std::collections::BTreeMap;

use anyhow::Result;
use domain::word::{DeliveryChannel, Rung};
use proto::v1::{
    Assessment, ClockFigure, GetConservationRequest, GetIntakeCountsRequest, ListQueueRequest,
    NoticeSummary, Page, SearchNoticesRequest,
};
use serde_json::{Value, json};

use super::follow::counts;
use super::knowledge::{Knowledge, Receipts};
use crate::client::Client;
use crate::street::expect::{Expected, Span};
use crate::street::files::Verdict;
use crate::street::log::{HostLog, Logged};

const PAGE: u32 = 500;
/// Faults named in full; more are only counted.
const NAMED: usize = 5;
/// Of so many notices by webhook or mail some lose their reply (one in eight): that none does has a chance of 1 in 600,000.
const MISHAPS_ARE_SURE: u64 = 100;

pub struct Figures {
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
    pub hosts: Logged,
    receipts: Receipts,
    /// Cases whose verdict is not the truth's.
    verdicts: Vec<String>,
    /// Cases that needed two people and had one.
    one_look: Vec<String>,
}

impl Figures {
    pub async fn read(client: &Client, knowledge: &Knowledge, log: &HostLog) -> Result<Self> {
        let taken = client
            .intake()
            .get_intake_counts(GetIntakeCountsRequest {})
            .await?
            .into_inner();
        let heard = client
            .ledger()
            .get_conservation(GetConservationRequest {})
            .await?
            .into_inner();
        let sent = counts(client).await?;
        let receipts = knowledge.receipts();
        let assessed = assessments(client).await?;
        let in_state = |states: &[&str]| -> u64 {
            let stages = sent.by_live_state.iter();
            let these = stages.filter(|stage| states.contains(&stage.stage.as_str()));
            these.map(|stage| stage.count).sum()
        };
        let by_channel: BTreeMap<&'static str, u64> = sent
            .notices_by_channel
            .iter()
            .filter_map(|count| {
                let channel = DeliveryChannel::from_wire(count.channel).ok()?;
                Some((channel.as_str(), count.notices))
            })
            .collect();
        let actionable = assessed.iter().filter(|case| case.category != 0).count() as u64;
        let not_actionable = assessed.iter().filter(|case| case.reason != 0).count() as u64;
        let missing = [
            heard.lost.unsigned_abs(),
            receipts.accepted.saturating_sub(taken.accepted),
            receipts.accepted.abs_diff(heard.accepted),
            receipts.cases.saturating_sub(assessed.len() as u64),
            actionable.saturating_sub(sent.cases),
        ];
        Ok(Self {
            accepted: taken.accepted,
            refused: receipts.refused,
            cases: taken.cases,
            joined: taken.accepted.saturating_sub(taken.cases),
            actionable,
            not_actionable,
            notices: sent.notices,
            delivered: sent.delivered,
            acknowledged: sent.acknowledged,
            confirmed_removed: in_state(&["gone", "watched", "closed"]),
            false_claims: sent.false_claims,
            moved: sent.moved,
            reappeared: sent.reappeared,
            escalated_by_rung: sent
                .escalated_by_rung
                .iter()
                .filter_map(|count| Some((Rung::from_wire(count.rung).ok()?.as_str(), count.cases)))
                .collect(),
            open: in_state(&["up", "held", "exhausted"]),
            lost: missing.into_iter().max().unwrap_or_default(),
            attempts: notices(client).await?.iter().map(attempts).sum(),
            notices_by_channel: by_channel,
            clocks: sent.clocks,
            hosts: log.read(),
            verdicts: wrong_verdicts(&assessed, knowledge),
            one_look: one_look(&assessed, knowledge),
            receipts,
        })
    }

    /// Everything that is not as the street says it must be, in words.
    pub fn differences(&self, expected: &Expected) -> Vec<String> {
        let mut found = Vec::new();
        let exactly = |figure: u64| Span {
            least: figure,
            most: figure,
        };
        let escalated: u64 = self.escalated_by_rung.values().sum();
        let wanted: u64 = expected.escalated_by_rung.values().sum();
        for (name, is, must) in [
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
            if !must.has(is) {
                found.push(format!("{name} is {is}, must be {must}"));
            }
        }
        let resent = self.attempts.saturating_sub(self.notices);
        for (name, is, least) in [
            ("attempts beyond the first of each notice", resent, 1),
            ("received again by the hosts", self.hosts.repeated, 1),
        ] {
            if is < least && self.pushes() {
                found.push(format!("{name}: {is}, must be {least} or more"));
            }
        }
        // Whoever has it before it may be told by the system a moment later, and never the other way round.
        if self.delivered > self.hosts.notices {
            found.push(format!(
                "delivered is {}, and the hosts have received {}",
                self.delivered, self.hosts.notices
            ));
        }
        for (rung, wanted) in &expected.escalated_by_rung {
            let is = self
                .escalated_by_rung
                .get(rung.as_str())
                .copied()
                .unwrap_or_default();
            if is != *wanted {
                found.push(format!("escalated at {rung} is {is}, must be {wanted}"));
            }
        }
        for (what, faults) in [
            (
                "accepted or refused against the truth",
                &self.receipts.faults.acceptance,
            ),
            (
                "in another case than the truth has it",
                &self.receipts.faults.partition,
            ),
            ("decided otherwise than the truth", &self.verdicts),
            ("decided without a second person's look", &self.one_look),
        ] {
            if !faults.is_empty() {
                let named = faults[..faults.len().min(NAMED)].join(", ");
                found.push(format!("{} {what}: {named} …", faults.len()));
            }
        }
        for (reason, count) in &self.hosts.refused {
            found.push(format!("{count} at the hosts: {reason}"));
        }
        found
    }

    /// Whether so much is pushed to the hosts that the mishaps of their street must have met some of it.
    fn pushes(&self) -> bool {
        let pushed = self.notices_by_channel.iter();
        let pushed = pushed.filter(|(channel, _)| **channel != DeliveryChannel::Api.as_str());
        pushed.map(|(_, notices)| notices).sum::<u64>() >= MISHAPS_ARE_SURE
    }

    pub fn json(&self) -> Value {
        let clocks: serde_json::Map<String, Value> = self
            .clocks
            .iter()
            .map(|clock| {
                let figures = json!({
                    "p50": clock.p50_seconds, "p99": clock.p99_seconds, "count": clock.count,
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

/// Every case that verification knows, in any state.
async fn assessments(client: &Client) -> Result<Vec<Assessment>> {
    use domain::word::AssessmentState;

    let states: Vec<i32> = AssessmentState::ALL
        .iter()
        .map(|state| state.wire())
        .collect();
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let request = ListQueueRequest {
            page: Some(Page { size: PAGE, cursor }),
            states: states.clone(),
        };
        let page = client
            .verification()
            .list_queue(request)
            .await?
            .into_inner();
        all.extend(page.cases);
        if page.next_cursor.is_empty() {
            return Ok(all);
        }
        cursor = page.next_cursor;
    }
}

/// Every notice.
async fn notices(client: &Client) -> Result<Vec<NoticeSummary>> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let request = SearchNoticesRequest {
            page: Some(Page { size: PAGE, cursor }),
            ..SearchNoticesRequest::default()
        };
        let page = client
            .dispatch()
            .search_notices(request)
            .await?
            .into_inner();
        all.extend(page.notices);
        if page.next_cursor.is_empty() {
            return Ok(all);
        }
        cursor = page.next_cursor;
    }
}

/// How often a notice was sent. What is put up for fetching is one attempt; what is pushed may take several, of which the
/// further messages about it (what was asked, that a verdict stands) are not its own.
fn attempts(notice: &NoticeSummary) -> u64 {
    let put_up = notice.channel == DeliveryChannel::Api.wire() && notice.attempts == 0;
    let further = notice.sequence.saturating_sub(1);
    u64::from(notice.attempts.saturating_sub(further)) + u64::from(put_up)
}

fn one_look(assessed: &[Assessment], knowledge: &Knowledge) -> Vec<String> {
    let is_short_of = |case: &&Assessment| {
        let id = case.case_id.parse().ok();
        id.is_some_and(|id| {
            knowledge.verdict(id) == Some(Verdict::SecondLook) && !knowledge.had_two_looks(id)
        })
    };
    let short = assessed.iter().filter(is_short_of);
    short.map(|case| case.case_id.clone()).collect()
}

fn wrong_verdicts(assessed: &[Assessment], knowledge: &Knowledge) -> Vec<String> {
    let is_right = |case: &Assessment| {
        let truth = case
            .case_id
            .parse()
            .ok()
            .and_then(|id| knowledge.verdict(id));
        match truth {
            Some(Verdict::Actionable(category)) => case.category == category.wire(),
            Some(Verdict::SecondLook) => case.category == domain::word::Category::B.wire(),
            Some(Verdict::NotActionable(reason)) => case.reason == reason.wire(),
            None => false,
        }
    };
    let wrong = assessed.iter().filter(|case| !is_right(case));
    wrong.map(|case| case.case_id.clone()).collect()
}
