//! The system's promises, checked against what outsiders have: receipts, the hosts' logs and the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::enums::{Answer, Rung};
use domain::id::CaseId;
use platform::sealed::Verifier;
use simulator::log::{HostLog, ReceivedMessage};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::approval_proof::check_proof;
use super::observed::{ObservedState, RecordedEscalation};
use super::reporters::AcceptedReport;
use super::scenario;

/// Names of the promises, as the result shows them.
pub const LOST: &str = "accepted lost";
pub const DUPLICATE: &str = "second effective notices";
pub const UNPROVEN: &str = "notices without a proof";
pub const ESCALATIONS: &str = "escalations missed or early";
pub const AFTER_ANSWER: &str = "attempts claimed after an acknowledgement";

/// Reasons in a host's log that show an invalid notice.
const INVALID_NOTICE_REASONS: [&str; 8] = [
    "malformed",
    "unknown_key",
    "forged",
    "not_for_us",
    "contradicts",
    "unknown_format",
    "webhook_forged",
    "webhook_unsigned",
];

/// The violations of each promise; each violation is one sentence with ids.
#[derive(Debug, Default)]
pub struct PromiseReport(BTreeMap<&'static str, BTreeSet<String>>);

pub struct RunEvidence<'a> {
    pub receipts: &'a [AcceptedReport],
    pub hosts: &'a HostLog,
    pub observed: &'a ObservedState,
    /// Keys of approval proofs.
    pub keys: &'a Verifier,
    /// When each rung is due after the notices were opened.
    pub ladder: &'a [(Rung, Duration)],
}

impl PromiseReport {
    pub fn new(evidence: &RunEvidence<'_>) -> Self {
        let mut report = Self::default();
        for promise in [LOST, DUPLICATE, UNPROVEN, ESCALATIONS, AFTER_ANSWER] {
            report.0.entry(promise).or_default();
        }
        let messages = evidence.hosts.messages();
        report.check_lost_reports(evidence);
        report.check_lost_deliveries(evidence, &messages);
        report.check_duplicates(&messages);
        report.check_proofs(evidence, &messages);
        report.check_escalations(evidence);
        report.check_attempts_after_answers(evidence, &messages);
        report
    }

    /// Violations by promise, ordered by name.
    pub fn by_promise(&self) -> impl Iterator<Item = (&'static str, &BTreeSet<String>)> {
        let promises = self.0.iter();
        promises.map(|(promise, violations)| (*promise, violations))
    }

    pub fn all_kept(&self) -> bool {
        self.0.values().all(BTreeSet::is_empty)
    }

    fn add(&mut self, promise: &'static str, violation: String) {
        self.0.entry(promise).or_default().insert(violation);
    }

    /// Every accepted report is in the ledger, its case has a verdict, and an actionable case has reached its end.
    fn check_lost_reports(&mut self, evidence: &RunEvidence<'_>) {
        let observed = evidence.observed;
        for receipt in evidence.receipts {
            let (case, report) = (receipt.case, receipt.report);
            if !observed.ledger.reports.contains(&report.to_string()) {
                self.add(LOST, format!("report {report}: not in the ledger"));
            }
            if let Some(missing) = missing_step(receipt, observed) {
                self.add(LOST, format!("case {case} at {}: {missing}", receipt.host));
            }
        }
        if observed.not_conserved != 0 {
            let lost = observed.not_conserved;
            self.add(
                LOST,
                format!("the stages of the ledger differ from the accepted reports by {lost}"),
            );
        }
    }

    /// The ledger has every delivery and answer that a host has.
    fn check_lost_deliveries(&mut self, evidence: &RunEvidence<'_>, messages: &[ReceivedMessage]) {
        let ledger = &evidence.observed.ledger;
        let unresponsive = messages
            .iter()
            .filter(|m| m.accepted && m.step.provider == scenario::UNRESPONSIVE_HOST);
        for message in unresponsive.filter(|m| !ledger.delivered.contains(&m.notice)) {
            let notice = message.notice;
            self.add(
                LOST,
                format!("notice {notice}: its delivery is not in the ledger"),
            );
        }
        for (notice, case) in never_accepted(messages) {
            if !ledger.removed.contains(&case) {
                self.add(
                    LOST,
                    format!("notice {notice}: refused by its host and not sent again"),
                );
            }
        }
        let by_notice: HashMap<Uuid, &ReceivedMessage> =
            messages.iter().map(|m| (m.notice, m)).collect();
        for accepted in evidence.hosts.answers() {
            let notice = accepted.notice;
            let is_only_contact = by_notice
                .get(&notice)
                .is_some_and(|m| scenario::is_only_contact(&m.step.provider));
            if accepted.answer == Answer::Acknowledged
                && is_only_contact
                && !ledger.answered.contains(&(notice, accepted.answer))
            {
                self.add(
                    LOST,
                    format!("notice {notice}: its answer is not in the ledger"),
                );
            }
        }
    }

    /// Each step has one notice.
    fn check_duplicates(&mut self, messages: &[ReceivedMessage]) {
        let mut steps: HashMap<_, BTreeSet<Uuid>> = HashMap::new();
        for message in messages {
            steps
                .entry(&message.step)
                .or_default()
                .insert(message.notice);
        }
        for (step, notices) in steps.into_iter().filter(|(_, notices)| notices.len() > 1) {
            let (case, provider, n) = (step.case, &step.provider, notices.len());
            self.add(
                DUPLICATE,
                format!(
                    "case {case}: {n} notices to {provider} for step {}",
                    step.step
                ),
            );
        }
    }

    /// Each notice names the reported URL, and verification has signed for exactly this case and URL.
    fn check_proofs(&mut self, evidence: &RunEvidence<'_>, messages: &[ReceivedMessage]) {
        let receipts: HashMap<CaseId, &AcceptedReport> =
            evidence.receipts.iter().map(|r| (r.case, r)).collect();
        for message in messages {
            let case = CaseId::new(message.step.case);
            let receipt = receipts.get(&case).copied();
            if let Err(reason) =
                check_proof(evidence.observed, evidence.keys, receipt, case, message)
            {
                self.add(
                    UNPROVEN,
                    format!("notice {} of case {case}: {reason}", message.notice),
                );
            }
        }
        for (reason, count) in &evidence.hosts.totals().refused {
            if INVALID_NOTICE_REASONS.contains(reason) {
                self.add(
                    UNPROVEN,
                    format!("{count} messages failed a host's verification: {reason}"),
                );
            }
        }
    }

    /// Each required rung has fired once, and none was early.
    fn check_escalations(&mut self, evidence: &RunEvidence<'_>) {
        let ledger = &evidence.observed.ledger;
        let mut fired: BTreeMap<(CaseId, &str), usize> = BTreeMap::new();
        for escalation in &ledger.escalated {
            let (case, rung) = (escalation.case, escalation.rung.as_str());
            *fired.entry((case, rung)).or_default() += 1;
            let decided_at = ledger.actionable.get(&case).map(|verdict| verdict.at);
            if let Some(seconds) = seconds_early(escalation, decided_at, evidence.ladder) {
                self.add(
                    ESCALATIONS,
                    format!("case {case}: {rung} was {seconds:.1} s early"),
                );
            }
        }
        for ((case, rung), _) in fired.iter().filter(|(_, count)| **count > 1) {
            self.add(ESCALATIONS, format!("case {case}: {rung} fired twice"));
        }
        let actionable = evidence
            .receipts
            .iter()
            .filter(|r| r.verdict.is_actionable());
        for receipt in actionable {
            let case = receipt.case;
            for rung in scenario::required_rungs(&receipt.host) {
                if !fired.contains_key(&(case, rung.as_str())) {
                    self.add(ESCALATIONS, format!("case {case}: {rung} was missed"));
                }
            }
        }
    }

    /// No attempt is claimed after the hotline confirmed an answer. The signed time of issue is when the attempt was
    /// claimed.
    fn check_attempts_after_answers(
        &mut self,
        evidence: &RunEvidence<'_>,
        messages: &[ReceivedMessage],
    ) {
        let mut answered: HashMap<Uuid, OffsetDateTime> = HashMap::new();
        for accepted in evidence.hosts.answers() {
            let first = answered.entry(accepted.notice).or_insert(accepted.at);
            *first = accepted.at.min(*first);
        }
        for message in messages.iter().filter(|m| m.pushed && m.sequence == 1) {
            if answered
                .get(&message.notice)
                .is_some_and(|at| message.issued > *at)
            {
                let (notice, provider) = (message.notice, &message.step.provider);
                self.add(AFTER_ANSWER, format!("notice {notice} to {provider}"));
            }
        }
    }
}

/// The first step that an accepted report has not reached.
fn missing_step(receipt: &AcceptedReport, observed: &ObservedState) -> Option<&'static str> {
    let (case, ledger) = (receipt.case, &observed.ledger);
    if !observed.basis_by_case.contains_key(&case) {
        return Some("verification has no assessment");
    }
    if !receipt.verdict.is_actionable() {
        return (!ledger.not_actionable.contains(&case))
            .then_some("its verdict is not in the ledger");
    }
    if !ledger.actionable.contains_key(&case) {
        return Some("its verdict is not in the ledger");
    }
    if !observed.notified.contains(&case) {
        return Some("dispatch has no notice");
    }
    if receipt.host == scenario::UNRESPONSIVE_HOST {
        return (!observed.exhausted.contains(&case))
            .then_some("it did not reach the ladder's end");
    }
    (!ledger.removed.contains(&case)).then_some("its removal is not in the ledger")
}

/// By how many seconds a rung fired too early: by its own times, or by the ledger's time, counted from the verdict, because
/// no notice is opened before it.
fn seconds_early(
    escalation: &RecordedEscalation,
    decided_at: Option<OffsetDateTime>,
    ladder: &[(Rung, Duration)],
) -> Option<f64> {
    let after = ladder.iter().find(|(rung, _)| *rung == escalation.rung)?.1;
    let by_own_times = escalation.due - escalation.fired;
    let by_ledger = decided_at.map_or(Duration::ZERO, |at| at + after - escalation.recorded);
    let early = by_own_times.max(by_ledger);
    early.is_positive().then(|| early.as_seconds_f64())
}

/// Notices that their host refused at every delivery.
fn never_accepted(messages: &[ReceivedMessage]) -> BTreeMap<Uuid, CaseId> {
    let mut notices = BTreeMap::new();
    for message in messages {
        notices.insert(message.notice, CaseId::new(message.step.case));
    }
    for message in messages.iter().filter(|message| message.accepted) {
        notices.remove(&message.notice);
    }
    notices
}
