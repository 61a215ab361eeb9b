//! Rows that several pages show: a case under assessment, and a notice.

use domain::enums::{AwaitedRole, HashKind};
use proto::v1;
use time::OffsetDateTime;

use super::StaffNames;
use crate::format::{StateBadge, TimeText, label, short_id, wire_name};

/// A case as verification returns it.
pub(crate) struct CaseRow {
    pub(crate) id: String,
    pub(crate) short: String,
    pub(crate) state_label: String,
    pub(crate) badge: StateBadge,
    pub(crate) priority: i32,
    pub(crate) reports: u32,
    pub(crate) self_reported: bool,
    pub(crate) media: String,
    pub(crate) received: TimeText,
    pub(crate) received_age: TimeText,
    pub(crate) masked_url: String,
    pub(crate) claimed_by: String,
    /// The reader has claimed the case.
    pub(crate) is_mine: bool,
    pub(crate) claimed_until: TimeText,
    /// The verdict as text; empty where there is none.
    pub(crate) verdict: String,
    pub(crate) basis: String,
    pub(crate) decided: TimeText,
    /// Why the case is under review; empty where it is not.
    pub(crate) review: String,
    pub(crate) version: u64,
    pub(crate) hashes: String,
    /// The names of the analysts who gave the verdict; empty where a hash list or a rule decided.
    pub(crate) decided_by: String,
    pub(crate) held_until: TimeText,
    pub(crate) undo_until: TimeText,
    /// The reader alone gave the verdict, and may still withdraw it.
    pub(crate) may_undo: bool,
    state: &'static str,
    waits_for: Option<AwaitedRole>,
}

impl CaseRow {
    pub(super) fn from_proto(
        assessment: v1::Assessment,
        names: &StaffNames,
        reader: &str,
        now: OffsetDateTime,
    ) -> Self {
        let state = wire_name!(AssessmentState, assessment.state);
        let is_claimed = !assessment.claimed_by.is_empty();
        let kinds: Vec<_> = assessment
            .hash_kinds
            .iter()
            .filter_map(|kind| HashKind::from_wire(*kind).ok())
            .map(|kind| kind.as_str().to_uppercase())
            .collect();
        let verdict = match (
            wire_name!(Category, assessment.category),
            wire_name!(NotActionableReason, assessment.reason),
        ) {
            ("", "") => String::new(),
            ("", reason) => label(reason),
            (category, _) => format!("Category {category}"),
        };
        let undo_until = assessment.undo_until.as_ref();
        Self {
            short: short_id(&assessment.case_id).to_owned(),
            state,
            state_label: label(state),
            badge: StateBadge::new(state),
            priority: assessment.priority,
            reports: assessment.reports,
            self_reported: assessment.self_reported,
            media: label(wire_name!(Media, assessment.media)),
            received: TimeText::absolute(assessment.received_at.as_ref(), now),
            received_age: TimeText::relative(assessment.received_at.as_ref(), now),
            masked_url: if assessment.masked_url.is_empty() {
                "(the URL cannot be decrypted)".to_owned()
            } else {
                assessment.masked_url
            },
            is_mine: is_claimed && assessment.claimed_by == reader,
            claimed_by: if is_claimed {
                names.get(&assessment.claimed_by)
            } else {
                String::new()
            },
            claimed_until: TimeText::relative(assessment.claimed_until.as_ref(), now),
            decided_by: names.join(&assessment.approvers),
            held_until: TimeText::absolute(assessment.held_until.as_ref(), now),
            may_undo: assessment.approvers == [reader]
                && undo_until.is_some_and(|until| is_in_future(until, now)),
            undo_until: TimeText::relative(undo_until, now),
            verdict,
            basis: assessment.basis,
            decided: TimeText::absolute(assessment.decided_at.as_ref(), now),
            review: label(wire_name!(ReviewReason, assessment.review)),
            version: assessment.version,
            waits_for: AwaitedRole::from_wire_optional(assessment.waits_for).unwrap_or_default(),
            hashes: if kinds.is_empty() {
                "None".to_owned()
            } else {
                kinds.join(", ")
            },
            id: assessment.case_id,
        }
    }

    /// The case can be claimed.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waits_for.is_some()
    }

    /// Who has to decide it, where that is not any analyst.
    pub(crate) fn waits_for(&self) -> &'static str {
        match self.waits_for {
            None | Some(AwaitedRole::Analyst) => "",
            Some(AwaitedRole::Supervisor) => "A supervisor",
            Some(AwaitedRole::NoEligibleStaff) => {
                "No eligible member of staff: everyone reported it or gave its first verdict. Another person is needed."
            }
        }
    }

    pub(crate) fn is_withdrawn(&self) -> bool {
        self.state == "withdrawn"
    }

    /// There is a verdict that could be withdrawn.
    pub(crate) fn has_verdict(&self) -> bool {
        matches!(
            self.state,
            "actionable" | "not_actionable" | "under_review" | "police_hold"
        ) && !self.verdict.is_empty()
    }

    pub(crate) fn is_on_police_hold(&self) -> bool {
        self.state == "police_hold"
    }
}

fn is_in_future(at: &prost_types::Timestamp, now: OffsetDateTime) -> bool {
    domain::wire::time("at", at).is_ok_and(|at| at > now)
}

/// A notice as dispatch returns it.
pub(crate) struct NoticeRow {
    pub(crate) id: String,
    pub(crate) short: String,
    pub(crate) case_id: String,
    pub(crate) case_short: String,
    pub(crate) provider: String,
    pub(crate) episode: u32,
    pub(crate) step: u32,
    pub(crate) rung: String,
    pub(crate) badge: StateBadge,
    pub(crate) channel: String,
    pub(crate) category: &'static str,
    pub(crate) attempts: u32,
    pub(crate) dispatched: TimeText,
    pub(crate) delivered: TimeText,
    pub(crate) acknowledged: TimeText,
    pub(crate) removal_claimed: TimeText,
    pub(crate) confirmed: TimeText,
    pub(crate) due: TimeText,
    pub(crate) failure: String,
    pub(crate) text: String,
    /// The kind of the newest message, where that is not the notice itself.
    pub(crate) message: String,
    pub(crate) sequence: u32,
    /// The name of the form that answers the provider's question.
    pub(crate) answer_form: String,
    state: &'static str,
}

impl NoticeRow {
    pub(crate) fn from_proto(notice: v1::NoticeSummary, now: OffsetDateTime) -> Self {
        let state = wire_name!(NoticeState, notice.state);
        Self {
            short: short_id(&notice.notice_id).to_owned(),
            case_short: short_id(&notice.case_id).to_owned(),
            rung: label(wire_name!(Rung, notice.rung)),
            state,
            badge: StateBadge::new(state),
            channel: label(wire_name!(DeliveryChannel, notice.channel)),
            category: wire_name!(Category, notice.category),
            dispatched: TimeText::absolute(notice.dispatched_at.as_ref(), now),
            delivered: TimeText::absolute(notice.delivered_at.as_ref(), now),
            acknowledged: TimeText::absolute(notice.acknowledged_at.as_ref(), now),
            removal_claimed: TimeText::absolute(notice.removal_claimed_at.as_ref(), now),
            confirmed: TimeText::absolute(notice.confirmed_removed_at.as_ref(), now),
            due: TimeText::relative(notice.due_at.as_ref(), now),
            failure: label(&notice.last_failure),
            message: match wire_name!(MessageKind, notice.message) {
                "notice" => String::new(),
                message => label(message),
            },
            sequence: notice.sequence,
            answer_form: answer_form_name(&notice.notice_id),
            attempts: notice.attempts,
            episode: notice.episode,
            step: notice.step,
            id: notice.notice_id,
            case_id: notice.case_id,
            provider: notice.provider_id,
            text: notice.text,
        }
    }

    /// The provider has an open question.
    pub(crate) fn has_question(&self) -> bool {
        self.state == "need_information"
    }
}

/// The name of the form that answers a notice: a page may have several.
pub(super) fn answer_form_name(notice_id: &str) -> String {
    format!("answer-{}", short_id(notice_id))
}
