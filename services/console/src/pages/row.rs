//! Rows that several pages show: a case under assessment, a notice.

use domain::word::HashKind;
use proto::v1;
use time::OffsetDateTime;

use super::Names;
use crate::show::{When, label, short, word};

/// A case as verification has it.
pub(crate) struct CaseRow {
    pub(crate) id: String,
    pub(crate) short: String,
    pub(crate) state: &'static str,
    pub(crate) state_label: String,
    pub(crate) priority: i32,
    pub(crate) reports: u32,
    pub(crate) self_reported: bool,
    pub(crate) media: String,
    pub(crate) received: When,
    pub(crate) received_age: When,
    pub(crate) masked_url: String,
    pub(crate) claimed_by: String,
    pub(crate) mine: bool,
    pub(crate) claimed_until: When,
    /// The verdict in words; empty where there is none.
    pub(crate) verdict: String,
    pub(crate) basis: String,
    pub(crate) decided: When,
    pub(crate) review: String,
    pub(crate) version: u64,
    pub(crate) hashes: String,
    /// People behind the verdict, by name; empty where a list or a rule decided.
    pub(crate) decided_by: String,
    pub(crate) held_until: When,
    pub(crate) undo_until: When,
    /// The reader alone gave the verdict, and may still take it back.
    pub(crate) may_undo: bool,
    waits_for: String,
}

impl CaseRow {
    pub(super) fn new(of: v1::Assessment, names: &Names, me: &str, now: OffsetDateTime) -> Self {
        let state = word!(AssessmentState, of.state);
        let claimed = !of.claimed_by.is_empty();
        let kinds: Vec<_> = of
            .hash_kinds
            .iter()
            .filter_map(|kind| HashKind::from_wire(*kind).ok())
            .map(|kind| kind.as_str().to_uppercase())
            .collect();
        let verdict = match (
            word!(Category, of.category),
            word!(NotActionableReason, of.reason),
        ) {
            ("", "") => String::new(),
            ("", reason) => label(reason),
            (category, _) => format!("Category {category}"),
        };
        Self {
            short: short(&of.case_id).to_owned(),
            state,
            state_label: label(state),
            priority: of.priority,
            reports: of.reports,
            self_reported: of.self_reported,
            media: label(word!(Media, of.media)),
            received: When::at(of.received_at.as_ref(), now),
            received_age: When::age(of.received_at.as_ref(), now),
            masked_url: if of.masked_url.is_empty() {
                "(the address does not open)".to_owned()
            } else {
                of.masked_url
            },
            mine: claimed && of.claimed_by == me,
            claimed_by: if claimed {
                names.of(&of.claimed_by)
            } else {
                String::new()
            },
            claimed_until: When::age(of.claimed_until.as_ref(), now),
            decided_by: names.of_all(&of.approvers),
            held_until: When::at(of.held_until.as_ref(), now),
            may_undo: of.approvers == [me]
                && of
                    .undo_until
                    .as_ref()
                    .is_some_and(|until| is_ahead(until, now)),
            undo_until: When::age(of.undo_until.as_ref(), now),
            verdict,
            basis: of.basis,
            decided: When::at(of.decided_at.as_ref(), now),
            review: label(&of.review),
            version: of.version,
            waits_for: of.waits_for,
            hashes: if kinds.is_empty() {
                "None".to_owned()
            } else {
                kinds.join(", ")
            },
            id: of.case_id,
        }
    }

    /// Somebody may still take it in hand.
    pub(crate) fn waits(&self) -> bool {
        !self.waits_for.is_empty()
    }

    /// Whom it waits for, where that is no analyst.
    pub(crate) fn waits_for(&self) -> &'static str {
        match self.waits_for.as_str() {
            "supervisor" => "A supervisor",
            "nobody" => {
                "Nobody who is there: everybody reported it or gave its first verdict. Another person is needed."
            }
            _ => "",
        }
    }

    /// Its verdict was taken back.
    pub(crate) fn withdrawn(&self) -> bool {
        self.state == "withdrawn"
    }

    /// There is a verdict that could be taken back.
    pub(crate) fn stands(&self) -> bool {
        matches!(
            self.state,
            "actionable" | "not_actionable" | "under_review" | "police_hold"
        ) && !self.verdict.is_empty()
    }

    pub(crate) fn held(&self) -> bool {
        self.state == "police_hold"
    }
}

fn is_ahead(at: &prost_types::Timestamp, now: OffsetDateTime) -> bool {
    domain::wire::time("at", at).is_ok_and(|at| at > now)
}

/// A notice as dispatch has it.
pub(crate) struct NoticeRow {
    pub(crate) id: String,
    pub(crate) short: String,
    pub(crate) case_id: String,
    pub(crate) case_short: String,
    pub(crate) provider: String,
    pub(crate) episode: u32,
    pub(crate) step: u32,
    pub(crate) rung: String,
    pub(crate) state: &'static str,
    pub(crate) state_label: String,
    pub(crate) channel: &'static str,
    pub(crate) category: &'static str,
    pub(crate) attempts: u32,
    pub(crate) dispatched: When,
    pub(crate) delivered: When,
    pub(crate) acknowledged: When,
    pub(crate) claimed: When,
    pub(crate) confirmed: When,
    pub(crate) due: When,
    pub(crate) failure: String,
    pub(crate) text: String,
    /// The newest message about it, where that is not the notice itself.
    pub(crate) message: String,
    pub(crate) sequence: u32,
}

impl NoticeRow {
    pub(crate) fn new(of: v1::NoticeSummary, now: OffsetDateTime) -> Self {
        let state = word!(NoticeState, of.state);
        Self {
            short: short(&of.notice_id).to_owned(),
            case_short: short(&of.case_id).to_owned(),
            rung: label(word!(Rung, of.rung)),
            state,
            state_label: label(state),
            channel: word!(DeliveryChannel, of.channel),
            category: word!(Category, of.category),
            dispatched: When::at(of.dispatched_at.as_ref(), now),
            delivered: When::at(of.delivered_at.as_ref(), now),
            acknowledged: When::at(of.acknowledged_at.as_ref(), now),
            claimed: When::at(of.removal_claimed_at.as_ref(), now),
            confirmed: When::at(of.confirmed_removed_at.as_ref(), now),
            due: When::age(of.due_at.as_ref(), now),
            failure: label(&of.last_failure),
            message: match of.message.as_str() {
                "notice" => String::new(),
                message => label(message),
            },
            sequence: of.sequence,
            attempts: of.attempts,
            episode: of.episode,
            step: of.step,
            id: of.notice_id,
            case_id: of.case_id,
            provider: of.provider_id,
            text: of.text,
        }
    }

    /// The provider asked something, and waits.
    pub(crate) fn asks(&self) -> bool {
        self.state == "need_information"
    }
}
