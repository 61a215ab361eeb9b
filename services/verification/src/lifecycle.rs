//! Where a case stands with verification, and the one function that moves it.
//!
//! Pure and total: no clock, no I/O, no strings. Who may ask for a command, and what else it writes, is `commands`' matter.

use domain::word::AssessmentState;

/// A place where a case lies while nobody has it in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rest {
    Queued,
    AwaitingSecond,
    UnderReview,
    Actionable,
    NotActionable,
    NeedsInformation,
    Withdrawn,
}

/// What an analyst has a case in hand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Desk {
    First,
    Second,
    Review,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    At(Rest),
    Claimed(Desk),
    /// A police hold; afterwards the case lies where it was.
    Held(Rest),
}

/// What an analyst says of a claimed case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saying {
    Actionable,
    /// Actionable in a category that a second analyst has to confirm.
    FirstOfTwo,
    NotActionable,
    SecondLook,
    NeedsInformation,
    Uphold,
    /// The verdict stands, and what is there now is something else.
    Gone,
    Withdraw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Another report of the URL.
    Join,
    Claim,
    /// The claim was given back, or ran out.
    PutBack,
    Say(Saying),
    /// An approved list or rule knows it: actionable, or not.
    Match {
        actionable: bool,
    },
    AskReview,
    /// A supervisor takes the verdict back.
    WithdrawVerdict,
    /// A supervisor has a case assessed anew whose verdict was taken back.
    AssessAgain,
    Hold,
    Unhold,
}

/// Why a command does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    NotWaiting,
    Taken,
    NotClaimed,
    OnHold,
    NotOnHold,
    NoVerdict,
    /// A verdict stands: it has to be taken back first.
    Stands,
    /// A case under review takes uphold, gone, withdraw or a second look; any other takes everything but the first three.
    OtherVerdict,
}

impl Desk {
    /// Where the case lies when it is put back.
    pub(crate) const fn rest(self) -> Rest {
        match self {
            Self::First => Rest::Queued,
            Self::Second => Rest::AwaitingSecond,
            Self::Review => Rest::UnderReview,
        }
    }
}

impl State {
    pub(crate) fn apply(self, command: Command) -> Result<Self, Misfit> {
        match command {
            Command::Join => Ok(self.join()),
            Command::Claim => self.claim(),
            Command::PutBack => self.put_back(),
            Command::Say(saying) => self.say(saying),
            Command::Match { actionable } => Ok(self.matched(actionable)),
            Command::AskReview => Ok(self.ask_review()),
            Command::WithdrawVerdict => self.withdraw(),
            Command::AssessAgain => self.assess_again(),
            Command::Hold => Ok(self.hold()),
            Command::Unhold => match self {
                Self::Held(rest) => Ok(Self::At(rest)),
                Self::At(_) | Self::Claimed(_) => Err(Misfit::NotOnHold),
            },
        }
    }

    /// Where it lies, or would lie if it were put back or released.
    const fn rest(self) -> Rest {
        match self {
            Self::At(rest) | Self::Held(rest) => rest,
            Self::Claimed(desk) => desk.rest(),
        }
    }

    /// No verdict yet. Otherwise one stands, is questioned, or was taken back.
    pub(crate) const fn is_assessed(self) -> bool {
        match self.rest() {
            Rest::Queued | Rest::AwaitingSecond | Rest::NeedsInformation => true,
            Rest::UnderReview | Rest::Actionable | Rest::NotActionable | Rest::Withdrawn => false,
        }
    }

    /// Waits for somebody to take it in hand.
    pub(crate) const fn waits_for_a_person(self) -> bool {
        match self {
            Self::At(Rest::Queued | Rest::AwaitingSecond | Rest::UnderReview) => true,
            Self::At(
                Rest::NeedsInformation | Rest::Actionable | Rest::NotActionable | Rest::Withdrawn,
            )
            | Self::Claimed(_)
            | Self::Held(_) => false,
        }
    }

    /// An actionable verdict stands, whoever has it in hand for another look.
    pub(crate) const fn stands(self) -> bool {
        match self.rest() {
            Rest::UnderReview | Rest::Actionable => true,
            Rest::Queued
            | Rest::AwaitingSecond
            | Rest::NeedsInformation
            | Rest::NotActionable
            | Rest::Withdrawn => false,
        }
    }

    /// As the outside knows it.
    pub(crate) const fn word(self) -> AssessmentState {
        match self {
            Self::At(rest) => rest.word(),
            Self::Claimed(_) => AssessmentState::Claimed,
            Self::Held(_) => AssessmentState::PoliceHold,
        }
    }

    /// A report disturbs no decision; it is the missing information where that was asked for, and a reason to assess
    /// anew what stands on no decision any more.
    fn join(self) -> Self {
        let joined = |rest| match rest {
            Rest::NeedsInformation | Rest::Withdrawn => Rest::Queued,
            Rest::Queued
            | Rest::AwaitingSecond
            | Rest::UnderReview
            | Rest::Actionable
            | Rest::NotActionable => rest,
        };
        match self {
            Self::At(rest) => Self::At(joined(rest)),
            Self::Held(rest) => Self::Held(joined(rest)),
            Self::Claimed(_) => self,
        }
    }

    /// What is being assessed already is left to whoever does.
    fn assess_again(self) -> Result<Self, Misfit> {
        match self {
            Self::At(Rest::Withdrawn) => Ok(Self::At(Rest::Queued)),
            Self::Held(Rest::Withdrawn) => Ok(Self::Held(Rest::Queued)),
            Self::At(Rest::Queued | Rest::AwaitingSecond | Rest::NeedsInformation)
            | Self::Held(Rest::Queued | Rest::AwaitingSecond | Rest::NeedsInformation)
            | Self::Claimed(Desk::First | Desk::Second) => Ok(self),
            Self::At(Rest::Actionable | Rest::NotActionable | Rest::UnderReview)
            | Self::Held(Rest::Actionable | Rest::NotActionable | Rest::UnderReview)
            | Self::Claimed(Desk::Review) => Err(Misfit::Stands),
        }
    }

    fn claim(self) -> Result<Self, Misfit> {
        match self {
            Self::At(Rest::Queued) => Ok(Self::Claimed(Desk::First)),
            Self::At(Rest::AwaitingSecond) => Ok(Self::Claimed(Desk::Second)),
            Self::At(Rest::UnderReview) => Ok(Self::Claimed(Desk::Review)),
            Self::At(
                Rest::Actionable | Rest::NotActionable | Rest::NeedsInformation | Rest::Withdrawn,
            ) => Err(Misfit::NotWaiting),
            Self::Claimed(_) => Err(Misfit::Taken),
            Self::Held(_) => Err(Misfit::OnHold),
        }
    }

    fn put_back(self) -> Result<Self, Misfit> {
        match self {
            Self::Claimed(desk) => Ok(Self::At(desk.rest())),
            Self::At(_) => Err(Misfit::NotClaimed),
            Self::Held(_) => Err(Misfit::OnHold),
        }
    }

    fn say(self, saying: Saying) -> Result<Self, Misfit> {
        let desk = match self {
            Self::Claimed(desk) => desk,
            Self::At(_) => return Err(Misfit::NotClaimed),
            Self::Held(_) => return Err(Misfit::OnHold),
        };
        let rest = match (desk, saying) {
            (Desk::First | Desk::Second, Saying::Actionable)
            | (Desk::Review, Saying::Uphold | Saying::Gone) => Rest::Actionable,
            (Desk::First | Desk::Second, Saying::FirstOfTwo | Saying::SecondLook) => {
                Rest::AwaitingSecond
            }
            (Desk::First | Desk::Second, Saying::NotActionable) => Rest::NotActionable,
            (Desk::First | Desk::Second, Saying::NeedsInformation) => Rest::NeedsInformation,
            (Desk::Review, Saying::SecondLook) => Rest::UnderReview,
            (Desk::Review, Saying::Withdraw) => Rest::Withdrawn,
            (Desk::First | Desk::Second, Saying::Uphold | Saying::Gone | Saying::Withdraw)
            | (
                Desk::Review,
                Saying::Actionable
                | Saying::FirstOfTwo
                | Saying::NotActionable
                | Saying::NeedsInformation,
            ) => return Err(Misfit::OtherVerdict),
        };
        Ok(Self::At(rest))
    }

    /// Only what waits for a first analyst is decided by a list or a rule; what a person has in hand is left to them.
    fn matched(self, actionable: bool) -> Self {
        match self {
            Self::At(Rest::Queued | Rest::NeedsInformation) => Self::At(if actionable {
                Rest::Actionable
            } else {
                Rest::NotActionable
            }),
            Self::At(
                Rest::AwaitingSecond
                | Rest::UnderReview
                | Rest::Actionable
                | Rest::NotActionable
                | Rest::Withdrawn,
            )
            | Self::Claimed(_)
            | Self::Held(_) => self,
        }
    }

    /// A question about a verdict that no longer stands has been answered by its withdrawal.
    fn ask_review(self) -> Self {
        match self {
            Self::At(Rest::Actionable) => Self::At(Rest::UnderReview),
            Self::Held(Rest::Actionable) => Self::Held(Rest::UnderReview),
            Self::At(_) | Self::Claimed(_) | Self::Held(_) => self,
        }
    }

    /// A hold keeps nobody from taking a wrong verdict back.
    fn withdraw(self) -> Result<Self, Misfit> {
        let withdrawn = |rest| match rest {
            Rest::Actionable | Rest::UnderReview | Rest::Withdrawn => Ok(Rest::Withdrawn),
            // Nobody was told to remove anything: the case is simply assessed again.
            Rest::NotActionable => Ok(Rest::Queued),
            Rest::Queued | Rest::AwaitingSecond | Rest::NeedsInformation => Err(Misfit::NoVerdict),
        };
        match self {
            Self::At(rest) => withdrawn(rest).map(Self::At),
            Self::Held(rest) => withdrawn(rest).map(Self::Held),
            Self::Claimed(desk) => withdrawn(desk.rest()).map(Self::At),
        }
    }

    fn hold(self) -> Self {
        match self {
            Self::At(rest) | Self::Held(rest) => Self::Held(rest),
            Self::Claimed(desk) => Self::Held(desk.rest()),
        }
    }
}

impl Rest {
    pub(crate) const fn word(self) -> AssessmentState {
        match self {
            Self::Queued => AssessmentState::Queued,
            Self::AwaitingSecond => AssessmentState::AwaitingSecond,
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
