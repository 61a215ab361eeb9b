//! Records whether an act confirmed the verdict before it. Shows how well verdicts agree; never changes a
//! case.

use domain::enums::Category;
use domain::id::{CaseId, Subject};
use uuid::Uuid;

use super::Outbox;
use crate::case::{ANALYST, Case, CaseVerdict, SubmittedVerdict};
use crate::store::second_opinions::SecondOpinion;

/// The verdict on a case before an act.
pub(super) struct PriorVerdict {
    case: CaseId,
    first_verdict: Option<(Subject, Category)>,
    /// Who gave the decision in force (no person if a list or a rule did), and its verdict.
    decided: Option<(Vec<Uuid>, CaseVerdict)>,
}

impl PriorVerdict {
    pub(super) fn from_case(case: &Case) -> Self {
        let decided = case.decision.as_ref().map(|decision| {
            let people = (decision.basis == ANALYST).then(|| decision.approvers.clone());
            (people.unwrap_or_default(), decision.verdict)
        });
        Self {
            case: case.id,
            first_verdict: case.first_verdict,
            decided,
        }
    }

    /// Records whether this decision agrees with the verdict before it, if there was one. Belongs to the act
    /// that was recorded last.
    pub(super) fn record_opinion(self, submitted: SubmittedVerdict, by: Subject, out: &mut Outbox) {
        let on_first_verdict = |second, agreed| {
            let (first_by, category) = self.first_verdict?;
            let first = (vec![first_by.uuid()], category.as_str());
            Some(("second", first, second, agreed))
        };
        let on_decision = |second, agreed| {
            let (people, verdict) = self.decided.clone()?;
            Some(("review", (people, verdict.as_str()), second, agreed))
        };
        let opinion = match submitted {
            SubmittedVerdict::Actionable(category) => on_first_verdict(
                category.as_str(),
                self.first_verdict
                    .is_some_and(|(_, first)| first == category),
            ),
            SubmittedVerdict::NotActionable(reason) => on_first_verdict(reason.as_str(), false),
            SubmittedVerdict::NeedsInformation => on_first_verdict("needs_information", false),
            SubmittedVerdict::Uphold | SubmittedVerdict::Offline => on_decision("upheld", true),
            SubmittedVerdict::Withdraw => on_decision("withdrawn", false),
            // An analyst who passes a case on gives no opinion.
            SubmittedVerdict::SecondOpinion => None,
        };
        if let Some((kind, (first_by, first), second, agreed)) = opinion {
            out.record_second_opinion(|case_act, at| SecondOpinion {
                case_act,
                case: self.case,
                kind,
                first_by,
                first,
                second_by: by,
                second,
                agreed,
                at,
            });
        }
    }

    /// Records that the verdict was withdrawn outside a review. Belongs to the act that was recorded last.
    pub(super) fn record_withdrawal(self, by: Subject, out: &mut Outbox) {
        let Some((people, verdict)) = self.decided else {
            return;
        };
        let own = people.contains(&by.uuid());
        out.record_second_opinion(|case_act, at| SecondOpinion {
            case_act,
            case: self.case,
            kind: if own { "undo" } else { "withdrawal" },
            first_by: people,
            first: verdict.as_str(),
            second_by: by,
            second: "withdrawn",
            agreed: false,
            at,
        });
    }
}
