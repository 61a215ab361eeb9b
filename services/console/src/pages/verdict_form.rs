//! The verdicts that an analyst can choose: the name in forms, the key, the texts and the message of each.

use domain::enums::{Category, NotActionableReason};
use proto::v1;

use crate::keys::Shortcut;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VerdictChoice {
    CategoryA,
    CategoryB,
    CategoryC,
    NotIllegal,
    NotFound,
    OutOfScope,
    NeedsInformation,
    SecondOpinion,
    Uphold,
    Offline,
    Withdraw,
}

/// For which cases a choice is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// Cases without a verdict.
    FirstVerdict,
    /// Cases with a verdict under review.
    Review,
    /// Of those, the reviews of a page that has changed.
    ChangedPage,
    /// Every case.
    Always,
}

/// A choice as the form shows it.
pub(super) struct VerdictOption {
    pub(super) name: &'static str,
    pub(super) shortcut: Shortcut,
    pub(super) label: &'static str,
    /// Was chosen in a form that was refused.
    pub(super) is_chosen: bool,
}

impl VerdictChoice {
    pub(super) const ALL: [Self; 11] = [
        Self::CategoryA,
        Self::CategoryB,
        Self::CategoryC,
        Self::NotIllegal,
        Self::NotFound,
        Self::OutOfScope,
        Self::NeedsInformation,
        Self::Uphold,
        Self::Offline,
        Self::Withdraw,
        Self::SecondOpinion,
    ];

    /// The choices for a case: without a verdict, or under review, perhaps because its page has changed.
    pub(super) fn options(
        is_under_review: bool,
        is_about_page: bool,
        chosen: &str,
    ) -> Vec<VerdictOption> {
        let is_offered = |choice: &Self| match choice.offer() {
            Offer::FirstVerdict => !is_under_review,
            Offer::Review => is_under_review,
            Offer::ChangedPage => is_under_review && is_about_page,
            Offer::Always => true,
        };
        Self::ALL
            .into_iter()
            .filter(is_offered)
            .map(|choice| VerdictOption {
                name: choice.name(),
                shortcut: choice.shortcut(),
                label: choice.label(),
                is_chosen: choice.name() == chosen,
            })
            .collect()
    }

    /// The value in forms and in addresses.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CategoryA => "category-a",
            Self::CategoryB => "category-b",
            Self::CategoryC => "category-c",
            Self::NotIllegal => "not-illegal",
            Self::NotFound => "not-found",
            Self::OutOfScope => "out-of-scope",
            Self::NeedsInformation => "needs-information",
            Self::SecondOpinion => "second-opinion",
            Self::Uphold => "uphold",
            Self::Offline => "offline",
            Self::Withdraw => "withdraw",
        }
    }

    const fn shortcut(self) -> Shortcut {
        match self {
            Self::CategoryA => Shortcut::CategoryA,
            Self::CategoryB => Shortcut::CategoryB,
            Self::CategoryC => Shortcut::CategoryC,
            Self::NotIllegal => Shortcut::NotIllegal,
            Self::NotFound => Shortcut::NotFound,
            Self::OutOfScope => Shortcut::OutOfScope,
            Self::NeedsInformation => Shortcut::NeedsInformation,
            Self::SecondOpinion => Shortcut::SecondOpinion,
            Self::Uphold => Shortcut::Uphold,
            Self::Offline => Shortcut::Offline,
            Self::Withdraw => Shortcut::WithdrawReviewed,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::CategoryA => "Category A: actionable",
            Self::CategoryB => "Category B: actionable",
            Self::CategoryC => "Category C: actionable",
            Self::NotIllegal => "Not illegal",
            Self::NotFound => "Nothing found to assess",
            Self::OutOfScope => "Out of scope",
            Self::NeedsInformation => "Needs more information",
            Self::SecondOpinion => "Second opinion: another analyst decides",
            Self::Uphold => "Uphold: the verdict stays",
            Self::Offline => "Offline, or the page shows something else",
            Self::Withdraw => "Withdraw: the verdict no longer applies",
        }
    }

    /// How the next page reports what was recorded.
    pub(super) const fn recorded(self) -> &'static str {
        match self {
            Self::CategoryA => "category A, actionable",
            Self::CategoryB => "category B, actionable",
            Self::CategoryC => "category C, actionable",
            Self::NotIllegal => "not illegal",
            Self::NotFound => "nothing found",
            Self::OutOfScope => "out of scope",
            Self::NeedsInformation => "needs more information",
            Self::SecondOpinion => "passed on for a second opinion",
            Self::Uphold => "verdict upheld",
            Self::Offline => "offline, or the page shows something else",
            Self::Withdraw => "verdict withdrawn",
        }
    }

    const fn offer(self) -> Offer {
        match self {
            Self::CategoryA
            | Self::CategoryB
            | Self::CategoryC
            | Self::NotIllegal
            | Self::NotFound
            | Self::OutOfScope
            | Self::NeedsInformation => Offer::FirstVerdict,
            Self::Uphold | Self::Withdraw => Offer::Review,
            Self::Offline => Offer::ChangedPage,
            Self::SecondOpinion => Offer::Always,
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.name() == name)
    }

    /// Gives a verdict of the analyst's own, which can be withdrawn.
    pub(super) const fn is_verdict(self) -> bool {
        match self {
            Self::CategoryA
            | Self::CategoryB
            | Self::CategoryC
            | Self::NotIllegal
            | Self::NotFound
            | Self::OutOfScope => true,
            Self::NeedsInformation
            | Self::SecondOpinion
            | Self::Uphold
            | Self::Offline
            | Self::Withdraw => false,
        }
    }

    pub(super) const fn to_proto(self) -> v1::verdict::Verdict {
        use v1::verdict::Verdict;
        match self {
            Self::CategoryA => Verdict::Actionable(Category::A.wire()),
            Self::CategoryB => Verdict::Actionable(Category::B.wire()),
            Self::CategoryC => Verdict::Actionable(Category::C.wire()),
            Self::NotIllegal => Verdict::NotActionable(NotActionableReason::NotIllegal.wire()),
            Self::NotFound => Verdict::NotActionable(NotActionableReason::NotFound.wire()),
            Self::OutOfScope => Verdict::NotActionable(NotActionableReason::OutOfScope.wire()),
            Self::NeedsInformation => Verdict::NeedsInformation(true),
            Self::SecondOpinion => Verdict::SecondOpinion(true),
            Self::Uphold => Verdict::Uphold(true),
            Self::Offline => Verdict::Offline(true),
            Self::Withdraw => Verdict::Withdraw(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_choice_has_its_own_name_and_key() {
        let names: BTreeSet<_> = VerdictChoice::ALL.map(VerdictChoice::name).into();
        let keys: BTreeSet<_> = VerdictChoice::ALL.map(|c| c.shortcut().key()).into();
        assert_eq!((names.len(), keys.len()), (11, 11));
        for choice in VerdictChoice::ALL {
            assert_eq!(VerdictChoice::parse(choice.name()), Some(choice));
        }
        assert_eq!(VerdictChoice::parse("category-d"), None);
    }
}
