//! What a second look says of the verdict before it: that it agrees or that it does not. For those who watch how well
//! the house judges. Must not change a case.

use domain::id::{CaseId, Subject};
use domain::word::Category;
use uuid::Uuid;

use super::Outbox;
use super::decide::Verdict;
use crate::case::{ANALYST, Case, Finding};
use crate::store::looks::SecondLook;

/// What had been said of a case before somebody spoke.
pub(super) struct Before {
    case: CaseId,
    first: Option<(Subject, Category)>,
    /// Who stands behind the verdict, and what it is.
    verdict: Option<(Vec<Uuid>, Finding)>,
}

impl Before {
    pub(super) fn of(case: &Case) -> Self {
        let verdict = case.decision.as_ref().map(|decision| {
            let people = (decision.basis == ANALYST).then(|| decision.approvers.clone());
            (people.unwrap_or_default(), decision.finding)
        });
        Self {
            case: case.id,
            first: case.first,
            verdict,
        }
    }

    /// Notes what this verdict says of the one before, if there was one. It belongs to the act that was recorded last.
    pub(super) fn compare(self, verdict: Verdict, by: Subject, out: &mut Outbox) {
        let of_first = |second, agreed| {
            let (first_by, category) = self.first?;
            let said = (vec![first_by.uuid()], category.as_str());
            Some(("second", said, second, agreed))
        };
        let of_review = |second, agreed| {
            let (people, finding) = self.verdict.clone()?;
            Some(("review", (people, finding.as_str()), second, agreed))
        };
        let noted = match verdict {
            Verdict::Actionable(category) => of_first(
                category.as_str(),
                self.first.is_some_and(|(_, theirs)| theirs == category),
            ),
            Verdict::NotActionable(reason) => of_first(reason.as_str(), false),
            Verdict::NeedsInformation => of_first("needs_information", false),
            Verdict::Uphold | Verdict::Gone => of_review("upheld", true),
            Verdict::Withdraw => of_review("withdrawn", false),
            // Whoever passes a case on says nothing of it.
            Verdict::SecondLook => None,
        };
        if let Some((look, (first_by, first), second, agreed)) = noted {
            out.look(|judgement, at| SecondLook {
                judgement,
                case: self.case,
                look,
                first_by,
                first,
                second_by: by,
                second,
                agreed,
                at,
            });
        }
    }

    /// Notes that the verdict was taken back, by the act that was recorded last.
    pub(super) fn taken_back(self, by: Subject, out: &mut Outbox) {
        let Some((people, finding)) = self.verdict else {
            return;
        };
        let own = people.contains(&by.uuid());
        out.look(|judgement, at| SecondLook {
            judgement,
            case: self.case,
            look: if own { "undo" } else { "withdrawal" },
            first_by: people,
            first: finding.as_str(),
            second_by: by,
            second: "withdrawn",
            agreed: false,
            at,
        });
    }
}
