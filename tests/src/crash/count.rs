//! The promises, each counted from what people outside hold in hand: receipts, hosts' logs, the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::id::CaseId;
use domain::word::{Answer, Rung};
use platform::sealed::Verifier;
use takedown::street::log::{Arrival, HostLog};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::load::Accepted;
use super::outside::{Escalated, Outside};
use super::proof::proven;
use super::town;

/// As they stand in the run's table.
pub const LOST: &str = "accepted lost";
pub const SECOND: &str = "second effective notices";
pub const UNPROVEN: &str = "notices without a proof";
pub const ESCALATIONS: &str = "escalations missed or early";
pub const AFTER: &str = "attempts claimed after an acknowledgement";

/// What a host's log names that makes a notice unbelievable.
const UNBELIEVED: [&str; 8] = [
    "malformed",
    "unknown_key",
    "forged",
    "not_for_us",
    "contradicts",
    "unknown_format",
    "webhook_forged",
    "webhook_unsigned",
];

/// What was found, by promise: each finding in words and ids.
#[derive(Debug, Default)]
pub struct Count(BTreeMap<&'static str, BTreeSet<String>>);

/// What is counted.
pub struct Evidence<'a> {
    pub receipts: &'a [Accepted],
    pub hosts: &'a HostLog,
    pub outside: &'a Outside,
    /// Of approval proofs.
    pub keys: &'a Verifier,
    /// When each rung is due after the notices were opened.
    pub ladder: &'a [(Rung, Duration)],
}

impl Count {
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let mut count = Self::default();
        for promise in [LOST, SECOND, UNPROVEN, ESCALATIONS, AFTER] {
            count.0.entry(promise).or_default();
        }
        let arrivals = evidence.hosts.arrivals();
        count.lost(evidence, &arrivals);
        count.second(&arrivals);
        count.unproven(evidence, &arrivals);
        count.escalations(evidence);
        count.after(evidence, &arrivals);
        count
    }

    /// By promise, in their order of name.
    pub fn by_promise(&self) -> impl Iterator<Item = (&'static str, &BTreeSet<String>)> {
        self.0.iter().map(|(promise, found)| (*promise, found))
    }

    pub fn is_clean(&self) -> bool {
        self.0.values().all(BTreeSet::is_empty)
    }

    fn found(&mut self, promise: &'static str, what: String) {
        self.0.entry(promise).or_default().insert(what);
    }

    /// Every receipt's report is known, its case decided, and where something is to be removed, followed to its end.
    fn lost(&mut self, evidence: &Evidence<'_>, arrivals: &[Arrival]) {
        let outside = evidence.outside;
        for receipt in evidence.receipts {
            let case = receipt.case;
            if !outside.told.reports.contains(&receipt.report.to_string()) {
                let report = receipt.report;
                self.found(
                    LOST,
                    format!("report {report}: the ledger never heard of it"),
                );
            }
            if let Some(missing) = stands(receipt, outside) {
                self.found(LOST, format!("case {case} at {}: {missing}", receipt.host));
            }
        }
        if outside.conserved != 0 {
            let lost = outside.conserved;
            self.found(
                LOST,
                format!("by the ledger's own sum {lost} are in no stage"),
            );
        }
        // What a host knows to have happened, the ledger knows.
        let mute = arrivals
            .iter()
            .filter(|a| a.taken && a.step.provider == town::MUTE);
        for arrival in mute.filter(|a| !outside.told.delivered.contains(&a.notice)) {
            let notice = arrival.notice;
            self.found(
                LOST,
                format!("notice {notice}: the ledger never heard that its host has it"),
            );
        }
        for (notice, case) in untaken(arrivals) {
            if !outside.told.removed.contains(&case) {
                self.found(
                    LOST,
                    format!("notice {notice}: its host did not take it, and was not sent it again"),
                );
            }
        }
        let by_host = by_notice(arrivals);
        for taken in evidence.hosts.answers() {
            let first = taken.answer == Answer::Acknowledged;
            let alone = by_host
                .get(&taken.notice)
                .is_some_and(|a| town::is_alone(&a.step.provider));
            if first
                && alone
                && !outside
                    .told
                    .answered
                    .contains(&(taken.notice, taken.answer))
            {
                let notice = taken.notice;
                self.found(
                    LOST,
                    format!("notice {notice}: the ledger never heard its answer"),
                );
            }
        }
    }

    fn second(&mut self, arrivals: &[Arrival]) {
        let mut steps: HashMap<_, BTreeSet<Uuid>> = HashMap::new();
        for arrival in arrivals {
            steps
                .entry(&arrival.step)
                .or_default()
                .insert(arrival.notice);
        }
        for (step, notices) in steps.into_iter().filter(|(_, notices)| notices.len() > 1) {
            let (case, provider, n) = (step.case, &step.provider, notices.len());
            self.found(
                SECOND,
                format!(
                    "case {case}: {n} notices to {provider} for step {}",
                    step.step
                ),
            );
        }
    }

    /// Each notice speaks of the URL that was reported, and verification has signed for just that case and URL.
    fn unproven(&mut self, evidence: &Evidence<'_>, arrivals: &[Arrival]) {
        let known: HashMap<CaseId, &Accepted> =
            evidence.receipts.iter().map(|r| (r.case, r)).collect();
        for arrival in arrivals {
            let case = CaseId::new(arrival.step.case);
            if let Err(why) = proven(evidence, known.get(&case).copied(), case, arrival) {
                self.found(
                    UNPROVEN,
                    format!("notice {} of case {case}: {why}", arrival.notice),
                );
            }
        }
        for (reason, times) in &evidence.hosts.read().refused {
            if UNBELIEVED.contains(reason) {
                self.found(
                    UNPROVEN,
                    format!("{times} messages were not believed: {reason}"),
                );
            }
        }
    }

    fn escalations(&mut self, evidence: &Evidence<'_>) {
        let told = &evidence.outside.told;
        let mut fired: BTreeMap<(CaseId, &str), usize> = BTreeMap::new();
        for one in &told.escalated {
            let (case, rung) = (one.case, one.rung.as_str());
            *fired.entry((case, rung)).or_default() += 1;
            let decided = told.actionable.get(&case).map(|decided| decided.at);
            if let Some(by) = early(one, decided, evidence.ladder) {
                self.found(
                    ESCALATIONS,
                    format!("case {case}: {rung} was {by:.1} s early"),
                );
            }
        }
        for ((case, rung), _) in fired.iter().filter(|(_, times)| **times > 1) {
            self.found(ESCALATIONS, format!("case {case}: {rung} fired twice"));
        }
        for receipt in evidence
            .receipts
            .iter()
            .filter(|r| r.verdict.is_actionable())
        {
            let case = receipt.case;
            for rung in town::rungs(&receipt.host) {
                if !fired.contains_key(&(case, rung.as_str())) {
                    self.found(ESCALATIONS, format!("case {case}: {rung} was missed"));
                }
            }
        }
    }

    /// An attempt is claimed at the time that it is signed with; the hotline's word that it has the answer was here
    /// before that.
    fn after(&mut self, evidence: &Evidence<'_>, arrivals: &[Arrival]) {
        let mut answered: HashMap<Uuid, OffsetDateTime> = HashMap::new();
        for taken in evidence.hosts.answers() {
            let at = answered.entry(taken.notice).or_insert(taken.at);
            *at = taken.at.min(*at);
        }
        for arrival in arrivals.iter().filter(|a| a.brought && a.sequence == 1) {
            if answered
                .get(&arrival.notice)
                .is_some_and(|at| arrival.issued > *at)
            {
                let (notice, provider) = (arrival.notice, &arrival.step.provider);
                self.found(AFTER, format!("notice {notice} to {provider}"));
            }
        }
    }
}

/// What is missing on the way of an accepted report.
fn stands(receipt: &Accepted, outside: &Outside) -> Option<&'static str> {
    let (case, told) = (receipt.case, &outside.told);
    if !outside.assessed.contains_key(&case) {
        return Some("verification does not know it");
    }
    if !receipt.verdict.is_actionable() {
        return (!told.not_actionable.contains(&case)).then_some("its verdict was never heard");
    }
    if !told.actionable.contains_key(&case) {
        return Some("its verdict was never heard");
    }
    if !outside.noticed.contains(&case) {
        return Some("dispatch does not know it");
    }
    if receipt.host == town::MUTE {
        return (!outside.exhausted.contains(&case)).then_some("it came to no end");
    }
    (!told.removed.contains(&case)).then_some("its host would have removed it, and did not")
}

/// By how many seconds a rung came before its time: by its own word, or by the ledger's clock, counted from the verdict,
/// which no notice was opened before.
fn early(
    one: &Escalated,
    decided: Option<OffsetDateTime>,
    ladder: &[(Rung, Duration)],
) -> Option<f64> {
    let after = ladder.iter().find(|(rung, _)| *rung == one.rung)?.1;
    let by_word = one.due - one.fired;
    let by_ledger = decided.map_or(Duration::ZERO, |at| at + after - one.heard);
    let by = by_word.max(by_ledger);
    by.is_positive().then(|| by.as_seconds_f64())
}

fn by_notice(arrivals: &[Arrival]) -> HashMap<Uuid, &Arrival> {
    arrivals
        .iter()
        .map(|arrival| (arrival.notice, arrival))
        .collect()
}

/// Notices that no host has taken in the end.
fn untaken(arrivals: &[Arrival]) -> BTreeMap<Uuid, CaseId> {
    let mut left = BTreeMap::new();
    for arrival in arrivals {
        left.insert(arrival.notice, CaseId::new(arrival.step.case));
    }
    for arrival in arrivals.iter().filter(|arrival| arrival.taken) {
        left.remove(&arrival.notice);
    }
    left
}
