//! What an analyst can say of a case: its name in forms, its key on the page, its verdict on the wire.

use domain::word::{Category, NotActionableReason};
use proto::v1;

/// What an analyst can say, by its name in forms and its key on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    A,
    B,
    C,
    NotIllegal,
    NotFound,
    OutOfScope,
    NeedsInformation,
    SecondLook,
    Uphold,
    Gone,
    Withdraw,
}

pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) words: &'static str,
    recorded: &'static str,
    /// Offered for a case that has a verdict in question.
    of_review: bool,
    /// Of those, only where the question is about a changed page.
    of_page: bool,
    /// Offered for a case without a verdict.
    of_first: bool,
}

const fn entry(
    name: &'static str,
    key: &'static str,
    words: &'static str,
    recorded: &'static str,
) -> Entry {
    Entry {
        name,
        key,
        words,
        recorded,
        of_review: false,
        of_page: false,
        of_first: true,
    }
}

impl Entry {
    /// Whether it is offered: for a case without a verdict, or for what is asked about one.
    pub(super) fn is_offered(&self, in_question: bool, about_page: bool) -> bool {
        if in_question {
            self.of_review && (about_page || !self.of_page)
        } else {
            self.of_first
        }
    }
}

impl Choice {
    pub(super) const ALL: [Self; 11] = [
        Self::A,
        Self::B,
        Self::C,
        Self::NotIllegal,
        Self::NotFound,
        Self::OutOfScope,
        Self::NeedsInformation,
        Self::Uphold,
        Self::Gone,
        Self::Withdraw,
        Self::SecondLook,
    ];

    pub(super) const fn entry(self) -> Entry {
        match self {
            Self::A => entry(
                "category-a",
                "a",
                "Category A: actionable",
                "category A, actionable",
            ),
            Self::B => entry(
                "category-b",
                "b",
                "Category B: actionable",
                "category B, actionable",
            ),
            Self::C => entry(
                "category-c",
                "c",
                "Category C: actionable",
                "category C, actionable",
            ),
            Self::NotIllegal => entry("not-illegal", "n", "Not illegal", "not illegal"),
            Self::NotFound => entry("not-found", "f", "Nothing found to assess", "nothing found"),
            Self::OutOfScope => entry("out-of-scope", "o", "Out of scope", "out of scope"),
            Self::NeedsInformation => entry(
                "needs-information",
                "i",
                "Needs more information",
                "needs more information",
            ),
            Self::SecondLook => Entry {
                of_review: true,
                ..entry(
                    "second-look",
                    "s",
                    "Second look: another analyst decides",
                    "passed on for a second look",
                )
            },
            Self::Uphold => Entry {
                of_review: true,
                of_first: false,
                ..entry(
                    "uphold",
                    "u",
                    "Uphold: the verdict stands",
                    "verdict upheld",
                )
            },
            Self::Gone => Entry {
                of_review: true,
                of_page: true,
                of_first: false,
                ..entry(
                    "gone",
                    "g",
                    "It is gone, or something else is there",
                    "gone, or something else is there",
                )
            },
            Self::Withdraw => Entry {
                of_review: true,
                of_first: false,
                ..entry(
                    "withdraw",
                    "w",
                    "Withdraw: the verdict is taken back",
                    "verdict withdrawn",
                )
            },
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.entry().name == name)
    }

    /// Gives a verdict of its own, which can be taken back.
    pub(super) const fn is_verdict(self) -> bool {
        match self {
            Self::A | Self::B | Self::C | Self::NotIllegal | Self::NotFound | Self::OutOfScope => {
                true
            }
            Self::NeedsInformation
            | Self::SecondLook
            | Self::Uphold
            | Self::Gone
            | Self::Withdraw => false,
        }
    }

    pub(super) const fn recorded(self) -> &'static str {
        self.entry().recorded
    }

    pub(super) const fn verdict(self) -> v1::verdict::Verdict {
        use v1::verdict::Verdict;
        match self {
            Self::A => Verdict::Actionable(Category::A.wire()),
            Self::B => Verdict::Actionable(Category::B.wire()),
            Self::C => Verdict::Actionable(Category::C.wire()),
            Self::NotIllegal => Verdict::NotActionable(NotActionableReason::NotIllegal.wire()),
            Self::NotFound => Verdict::NotActionable(NotActionableReason::NotFound.wire()),
            Self::OutOfScope => Verdict::NotActionable(NotActionableReason::OutOfScope.wire()),
            Self::NeedsInformation => Verdict::NeedsInformation(true),
            Self::SecondLook => Verdict::SecondLook(true),
            Self::Uphold => Verdict::Uphold(true),
            Self::Gone => Verdict::Gone(true),
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
        let names: BTreeSet<_> = Choice::ALL.map(|choice| choice.entry().name).into();
        let keys: BTreeSet<_> = Choice::ALL.map(|choice| choice.entry().key).into();
        assert_eq!((names.len(), keys.len()), (11, 11));
        for choice in Choice::ALL {
            assert_eq!(Choice::parse(choice.entry().name), Some(choice));
        }
        assert_eq!(Choice::parse("category-d"), None);
    }
}
