//! The states of an assessment and the transitions between them.
//!
//! Pure and total: no clock, no I/O, no strings. Who may issue a command, and what else it writes, is decided
//! in `commands`.

use domain::enums::AssessmentState;

/// The state of a case that no analyst has claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiting {
    Queued,
    AwaitingSecondOpinion,
    UnderReview,
    Actionable,
    NotActionable,
    NeedsInformation,
    Withdrawn,
}

/// What an analyst has claimed a case for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    First,
    Second,
    Review,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Unclaimed(Waiting),
    Claimed(Stage),
    /// A police hold; when it ends, the case returns to this state.
    OnPoliceHold(Waiting),
}

/// What an analyst decides about a claimed case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Actionable,
    /// Actionable in a category that a second analyst has to confirm.
    FirstOfTwo,
    NotActionable,
    SecondOpinion,
    NeedsInformation,
    Uphold,
    /// The verdict stands, and the page no longer shows the material.
    Offline,
    Withdraw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Another report of the URL.
    Join,
    Claim,
    /// The analyst released the claim, or it expired.
    ReleaseClaim,
    Decide(Decision),
    /// An approved hash list or rule matches.
    Match {
        actionable: bool,
    },
    /// Dispatch asks for a review of the verdict.
    RequestReview,
    /// The verdict is withdrawn, outside a review.
    WithdrawVerdict,
    /// A case whose verdict was withdrawn goes back into the queue.
    AssessAgain,
    /// A police hold starts.
    PoliceHold,
    ReleaseHold,
}

/// Why a command is not possible in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransitionError {
    NotWaiting,
    AlreadyClaimed,
    NotClaimed,
    OnPoliceHold,
    NotOnPoliceHold,
    NoVerdict,
    /// A verdict stands and has to be withdrawn first.
    VerdictStands,
    /// A case under review accepts uphold, offline, withdraw and second opinion; any other case accepts all
    /// decisions but the first three.
    DecisionNotAllowed,
}

impl Stage {
    /// The state to which the case returns when the claim ends without a decision.
    pub(crate) const fn unclaimed(self) -> Waiting {
        match self {
            Self::First => Waiting::Queued,
            Self::Second => Waiting::AwaitingSecondOpinion,
            Self::Review => Waiting::UnderReview,
        }
    }
}

impl State {
    pub(crate) fn apply(self, command: Command) -> Result<Self, TransitionError> {
        match command {
            Command::Join => Ok(self.join()),
            Command::Claim => self.claim(),
            Command::ReleaseClaim => self.release_claim(),
            Command::Decide(decision) => self.decide(decision),
            Command::Match { actionable } => Ok(self.apply_match(actionable)),
            Command::RequestReview => Ok(self.request_review()),
            Command::WithdrawVerdict => self.withdraw(),
            Command::AssessAgain => self.assess_again(),
            Command::PoliceHold => Ok(self.police_hold()),
            Command::ReleaseHold => match self {
                Self::OnPoliceHold(waiting) => Ok(Self::Unclaimed(waiting)),
                Self::Unclaimed(_) | Self::Claimed(_) => Err(TransitionError::NotOnPoliceHold),
            },
        }
    }

    /// The state without claim and hold.
    const fn waiting(self) -> Waiting {
        match self {
            Self::Unclaimed(waiting) | Self::OnPoliceHold(waiting) => waiting,
            Self::Claimed(stage) => stage.unclaimed(),
        }
    }

    /// There is no verdict yet. Otherwise one stands, is under review, or was withdrawn.
    pub(crate) const fn awaits_verdict(self) -> bool {
        match self.waiting() {
            Waiting::Queued | Waiting::AwaitingSecondOpinion | Waiting::NeedsInformation => true,
            Waiting::UnderReview
            | Waiting::Actionable
            | Waiting::NotActionable
            | Waiting::Withdrawn => false,
        }
    }

    /// Waits for a member of staff to claim it.
    pub(crate) const fn awaits_claim(self) -> bool {
        match self {
            Self::Unclaimed(
                Waiting::Queued | Waiting::AwaitingSecondOpinion | Waiting::UnderReview,
            ) => true,
            Self::Unclaimed(
                Waiting::NeedsInformation
                | Waiting::Actionable
                | Waiting::NotActionable
                | Waiting::Withdrawn,
            )
            | Self::Claimed(_)
            | Self::OnPoliceHold(_) => false,
        }
    }

    /// An actionable verdict stands, even if it is under review or on hold.
    pub(crate) const fn has_actionable_verdict(self) -> bool {
        match self.waiting() {
            Waiting::UnderReview | Waiting::Actionable => true,
            Waiting::Queued
            | Waiting::AwaitingSecondOpinion
            | Waiting::NeedsInformation
            | Waiting::NotActionable
            | Waiting::Withdrawn => false,
        }
    }

    /// The state as other services and users see it.
    pub(crate) const fn assessment_state(self) -> AssessmentState {
        match self {
            Self::Unclaimed(waiting) => waiting.assessment_state(),
            Self::Claimed(_) => AssessmentState::Claimed,
            Self::OnPoliceHold(_) => AssessmentState::PoliceHold,
        }
    }

    /// A report never changes a decision. It puts a case back into the queue that needs information, or whose
    /// verdict was withdrawn.
    fn join(self) -> Self {
        let joined = |waiting| match waiting {
            Waiting::NeedsInformation | Waiting::Withdrawn => Waiting::Queued,
            Waiting::Queued
            | Waiting::AwaitingSecondOpinion
            | Waiting::UnderReview
            | Waiting::Actionable
            | Waiting::NotActionable => waiting,
        };
        match self {
            Self::Unclaimed(waiting) => Self::Unclaimed(joined(waiting)),
            Self::OnPoliceHold(waiting) => Self::OnPoliceHold(joined(waiting)),
            Self::Claimed(_) => self,
        }
    }

    /// Without effect on a case that awaits its verdict already.
    fn assess_again(self) -> Result<Self, TransitionError> {
        match self {
            Self::Unclaimed(Waiting::Withdrawn) => Ok(Self::Unclaimed(Waiting::Queued)),
            Self::OnPoliceHold(Waiting::Withdrawn) => Ok(Self::OnPoliceHold(Waiting::Queued)),
            Self::Unclaimed(
                Waiting::Queued | Waiting::AwaitingSecondOpinion | Waiting::NeedsInformation,
            )
            | Self::OnPoliceHold(
                Waiting::Queued | Waiting::AwaitingSecondOpinion | Waiting::NeedsInformation,
            )
            | Self::Claimed(Stage::First | Stage::Second) => Ok(self),
            Self::Unclaimed(
                Waiting::Actionable | Waiting::NotActionable | Waiting::UnderReview,
            )
            | Self::OnPoliceHold(
                Waiting::Actionable | Waiting::NotActionable | Waiting::UnderReview,
            )
            | Self::Claimed(Stage::Review) => Err(TransitionError::VerdictStands),
        }
    }

    fn claim(self) -> Result<Self, TransitionError> {
        match self {
            Self::Unclaimed(Waiting::Queued) => Ok(Self::Claimed(Stage::First)),
            Self::Unclaimed(Waiting::AwaitingSecondOpinion) => Ok(Self::Claimed(Stage::Second)),
            Self::Unclaimed(Waiting::UnderReview) => Ok(Self::Claimed(Stage::Review)),
            Self::Unclaimed(
                Waiting::Actionable
                | Waiting::NotActionable
                | Waiting::NeedsInformation
                | Waiting::Withdrawn,
            ) => Err(TransitionError::NotWaiting),
            Self::Claimed(_) => Err(TransitionError::AlreadyClaimed),
            Self::OnPoliceHold(_) => Err(TransitionError::OnPoliceHold),
        }
    }

    fn release_claim(self) -> Result<Self, TransitionError> {
        match self {
            Self::Claimed(stage) => Ok(Self::Unclaimed(stage.unclaimed())),
            Self::Unclaimed(_) => Err(TransitionError::NotClaimed),
            Self::OnPoliceHold(_) => Err(TransitionError::OnPoliceHold),
        }
    }

    fn decide(self, decision: Decision) -> Result<Self, TransitionError> {
        let stage = match self {
            Self::Claimed(stage) => stage,
            Self::Unclaimed(_) => return Err(TransitionError::NotClaimed),
            Self::OnPoliceHold(_) => return Err(TransitionError::OnPoliceHold),
        };
        let waiting = match (stage, decision) {
            (Stage::First | Stage::Second, Decision::Actionable)
            | (Stage::Review, Decision::Uphold | Decision::Offline) => Waiting::Actionable,
            (Stage::First | Stage::Second, Decision::FirstOfTwo | Decision::SecondOpinion) => {
                Waiting::AwaitingSecondOpinion
            }
            (Stage::First | Stage::Second, Decision::NotActionable) => Waiting::NotActionable,
            (Stage::First | Stage::Second, Decision::NeedsInformation) => Waiting::NeedsInformation,
            (Stage::Review, Decision::SecondOpinion) => Waiting::UnderReview,
            (Stage::Review, Decision::Withdraw) => Waiting::Withdrawn,
            (
                Stage::First | Stage::Second,
                Decision::Uphold | Decision::Offline | Decision::Withdraw,
            )
            | (
                Stage::Review,
                Decision::Actionable
                | Decision::FirstOfTwo
                | Decision::NotActionable
                | Decision::NeedsInformation,
            ) => return Err(TransitionError::DecisionNotAllowed),
        };
        Ok(Self::Unclaimed(waiting))
    }

    /// A list or rule decides only a case that waits for a first analyst or for information. A claimed case
    /// is left to its analyst.
    fn apply_match(self, actionable: bool) -> Self {
        match self {
            Self::Unclaimed(Waiting::Queued | Waiting::NeedsInformation) => {
                Self::Unclaimed(if actionable {
                    Waiting::Actionable
                } else {
                    Waiting::NotActionable
                })
            }
            Self::Unclaimed(
                Waiting::AwaitingSecondOpinion
                | Waiting::UnderReview
                | Waiting::Actionable
                | Waiting::NotActionable
                | Waiting::Withdrawn,
            )
            | Self::Claimed(_)
            | Self::OnPoliceHold(_) => self,
        }
    }

    /// Without effect unless an actionable verdict stands: a withdrawal has answered the request already.
    fn request_review(self) -> Self {
        match self {
            Self::Unclaimed(Waiting::Actionable) => Self::Unclaimed(Waiting::UnderReview),
            Self::OnPoliceHold(Waiting::Actionable) => Self::OnPoliceHold(Waiting::UnderReview),
            Self::Unclaimed(_) | Self::Claimed(_) | Self::OnPoliceHold(_) => self,
        }
    }

    /// Possible during a police hold too: a wrong verdict must not wait.
    fn withdraw(self) -> Result<Self, TransitionError> {
        let withdrawn = |waiting| match waiting {
            Waiting::Actionable | Waiting::UnderReview | Waiting::Withdrawn => {
                Ok(Waiting::Withdrawn)
            }
            // No provider was notified, so the case simply goes back into the queue.
            Waiting::NotActionable => Ok(Waiting::Queued),
            Waiting::Queued | Waiting::AwaitingSecondOpinion | Waiting::NeedsInformation => {
                Err(TransitionError::NoVerdict)
            }
        };
        match self {
            Self::Unclaimed(waiting) => withdrawn(waiting).map(Self::Unclaimed),
            Self::OnPoliceHold(waiting) => withdrawn(waiting).map(Self::OnPoliceHold),
            Self::Claimed(stage) => withdrawn(stage.unclaimed()).map(Self::Unclaimed),
        }
    }

    fn police_hold(self) -> Self {
        match self {
            Self::Unclaimed(waiting) | Self::OnPoliceHold(waiting) => Self::OnPoliceHold(waiting),
            Self::Claimed(stage) => Self::OnPoliceHold(stage.unclaimed()),
        }
    }
}

impl Waiting {
    pub(crate) const fn assessment_state(self) -> AssessmentState {
        match self {
            Self::Queued => AssessmentState::Queued,
            Self::AwaitingSecondOpinion => AssessmentState::AwaitingSecondOpinion,
            Self::UnderReview => AssessmentState::UnderReview,
            Self::Actionable => AssessmentState::Actionable,
            Self::NotActionable => AssessmentState::NotActionable,
            Self::NeedsInformation => AssessmentState::NeedsInformation,
            Self::Withdrawn => AssessmentState::Withdrawn,
        }
    }
}

#[cfg(test)]
mod tests;
