//! A notice: what may follow what. An answer may overtake our own record of sending, may come to a step that was
//! superseded, and counts once.

use domain::word::{Answer, NoticeState};

/// What can happen to a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// It was handed over.
    Send,
    /// The provider has it.
    Deliver,
    /// A channel failed for good and another takes over.
    Reroute,
    /// No channel is left.
    Bounce,
    /// What was handed over has come back: the provider does not have it after all.
    Return,
    /// The provider said something.
    Answer(Answer),
    /// Checks agreed that it is gone.
    Confirm,
    /// Checks found it still up after a claim.
    Refute,
    /// The provider's question was answered.
    Inform,
    /// The verdict stands after a dispute.
    Uphold,
    /// The time that was granted is over.
    Resume,
    /// The ladder went past it.
    Escalate,
    /// The watch has begun.
    Watch,
    /// The case is closed.
    Close,
    /// The verdict was taken back.
    Withdraw,
}

/// What a command does to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A new state, and its event.
    To(NoticeState),
    /// An event, without a new state.
    Record,
    /// Already so, or already past it: success without an event.
    Repeat,
    /// Nothing can be said about it any more: success with the state that stands.
    Over,
    /// Not possible in this state.
    Refused,
}

/// What the states have in common where commands are concerned.
#[derive(Clone, Copy)]
enum Phase {
    Queued,
    Sent,
    /// The provider has it and nothing stops its clocks.
    Heard,
    /// The provider's word pauses the ladder.
    Asking,
    Claimed,
    /// This provider will not remove it.
    Out,
    Escalated,
    Removed,
    Watched,
    Closed,
    Withdrawn,
}

const fn phase(state: NoticeState) -> Phase {
    match state {
        NoticeState::Queued => Phase::Queued,
        NoticeState::Sent => Phase::Sent,
        NoticeState::Delivered | NoticeState::Acknowledged | NoticeState::Preserved => Phase::Heard,
        NoticeState::NeedInformation | NoticeState::NeedTime | NoticeState::Disputed => {
            Phase::Asking
        }
        NoticeState::RemovalClaimed => Phase::Claimed,
        NoticeState::Bounced
        | NoticeState::NotOurs
        | NoticeState::Moved
        | NoticeState::NoAction => Phase::Out,
        NoticeState::Escalated => Phase::Escalated,
        NoticeState::Removed => Phase::Removed,
        NoticeState::Watched => Phase::Watched,
        NoticeState::Closed => Phase::Closed,
        NoticeState::Withdrawn => Phase::Withdrawn,
    }
}

/// The state that an answer leads to.
const fn answered(answer: Answer) -> NoticeState {
    match answer {
        Answer::Acknowledged => NoticeState::Acknowledged,
        Answer::Removed | Answer::Unavailable => NoticeState::RemovalClaimed,
        Answer::Moved => NoticeState::Moved,
        Answer::NotOurs => NoticeState::NotOurs,
        Answer::Preserved => NoticeState::Preserved,
        Answer::NeedInformation => NoticeState::NeedInformation,
        Answer::NeedTime => NoticeState::NeedTime,
        Answer::Disputed => NoticeState::Disputed,
        Answer::NoAction => NoticeState::NoAction,
    }
}

/// Whether the notice waits for its provider: it counts for the ladder and its clocks run.
pub const fn is_open(state: NoticeState) -> bool {
    match phase(state) {
        Phase::Queued | Phase::Sent | Phase::Heard | Phase::Asking | Phase::Claimed => true,
        Phase::Out
        | Phase::Escalated
        | Phase::Removed
        | Phase::Watched
        | Phase::Closed
        | Phase::Withdrawn => false,
    }
}

/// Whether the provider's word in this state pauses the ladder.
pub const fn is_asking(state: NoticeState) -> bool {
    matches!(phase(state), Phase::Asking)
}

pub const fn apply(state: NoticeState, command: Command) -> Outcome {
    let phase = phase(state);
    match command {
        Command::Send => match phase {
            Phase::Queued => Outcome::To(NoticeState::Sent),
            Phase::Sent
            | Phase::Heard
            | Phase::Asking
            | Phase::Claimed
            | Phase::Out
            | Phase::Escalated
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed
            | Phase::Withdrawn => Outcome::Repeat,
        },
        Command::Deliver => match phase {
            Phase::Queued | Phase::Sent => Outcome::To(NoticeState::Delivered),
            Phase::Escalated => Outcome::Record,
            Phase::Heard
            | Phase::Asking
            | Phase::Claimed
            | Phase::Out
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed
            | Phase::Withdrawn => Outcome::Repeat,
        },
        Command::Reroute => match phase {
            Phase::Sent => Outcome::To(NoticeState::Queued),
            Phase::Queued
            | Phase::Heard
            | Phase::Asking
            | Phase::Claimed
            | Phase::Out
            | Phase::Escalated
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed
            | Phase::Withdrawn => Outcome::Repeat,
        },
        Command::Bounce => match phase {
            Phase::Queued | Phase::Sent => Outcome::To(NoticeState::Bounced),
            Phase::Escalated => Outcome::Record,
            Phase::Heard
            | Phase::Asking
            | Phase::Claimed
            | Phase::Out
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed
            | Phase::Withdrawn => Outcome::Repeat,
        },
        // Who has answered has it, whatever a mail server says.
        Command::Return => match state {
            NoticeState::Sent | NoticeState::Delivered => Outcome::To(NoticeState::Queued),
            NoticeState::Queued | NoticeState::Escalated => Outcome::Record,
            NoticeState::Acknowledged
            | NoticeState::RemovalClaimed
            | NoticeState::Removed
            | NoticeState::Watched
            | NoticeState::Closed
            | NoticeState::Bounced
            | NoticeState::NotOurs
            | NoticeState::NeedInformation
            | NoticeState::NeedTime
            | NoticeState::Preserved
            | NoticeState::Disputed
            | NoticeState::NoAction
            | NoticeState::Moved
            | NoticeState::Withdrawn => Outcome::Repeat,
        },
        Command::Answer(answer) => answer_in(state, phase, answer),
        Command::Confirm => match phase {
            Phase::Queued
            | Phase::Sent
            | Phase::Heard
            | Phase::Asking
            | Phase::Claimed
            | Phase::Escalated => Outcome::To(NoticeState::Removed),
            Phase::Out | Phase::Removed | Phase::Watched => Outcome::Repeat,
            Phase::Closed | Phase::Withdrawn => Outcome::Over,
        },
        Command::Refute => match phase {
            Phase::Claimed => Outcome::To(NoticeState::Delivered),
            Phase::Queued
            | Phase::Sent
            | Phase::Heard
            | Phase::Asking
            | Phase::Out
            | Phase::Escalated => Outcome::Repeat,
            Phase::Removed | Phase::Watched | Phase::Closed | Phase::Withdrawn => Outcome::Over,
        },
        Command::Inform => match state {
            NoticeState::NeedInformation => Outcome::To(NoticeState::Delivered),
            NoticeState::Queued
            | NoticeState::Sent
            | NoticeState::Delivered
            | NoticeState::Acknowledged
            | NoticeState::RemovalClaimed
            | NoticeState::Bounced
            | NoticeState::NotOurs
            | NoticeState::NeedTime
            | NoticeState::Preserved
            | NoticeState::Disputed
            | NoticeState::NoAction
            | NoticeState::Escalated
            | NoticeState::Moved => Outcome::Refused,
            NoticeState::Removed
            | NoticeState::Watched
            | NoticeState::Closed
            | NoticeState::Withdrawn => Outcome::Over,
        },
        Command::Uphold => match state {
            NoticeState::Disputed => Outcome::To(NoticeState::Delivered),
            NoticeState::Queued
            | NoticeState::Sent
            | NoticeState::Delivered
            | NoticeState::Acknowledged
            | NoticeState::RemovalClaimed
            | NoticeState::Bounced
            | NoticeState::NotOurs
            | NoticeState::NeedInformation
            | NoticeState::NeedTime
            | NoticeState::Preserved
            | NoticeState::NoAction
            | NoticeState::Escalated
            | NoticeState::Moved => Outcome::Repeat,
            NoticeState::Removed
            | NoticeState::Watched
            | NoticeState::Closed
            | NoticeState::Withdrawn => Outcome::Over,
        },
        Command::Resume => match phase {
            Phase::Asking => Outcome::To(NoticeState::Acknowledged),
            Phase::Queued
            | Phase::Sent
            | Phase::Heard
            | Phase::Claimed
            | Phase::Out
            | Phase::Escalated => Outcome::Repeat,
            Phase::Removed | Phase::Watched | Phase::Closed | Phase::Withdrawn => Outcome::Over,
        },
        Command::Escalate => match phase {
            Phase::Queued | Phase::Sent | Phase::Heard | Phase::Asking | Phase::Claimed => {
                Outcome::To(NoticeState::Escalated)
            }
            Phase::Out | Phase::Escalated => Outcome::Record,
            Phase::Removed | Phase::Watched | Phase::Closed | Phase::Withdrawn => Outcome::Over,
        },
        Command::Watch => match phase {
            Phase::Removed => Outcome::To(NoticeState::Watched),
            Phase::Queued
            | Phase::Sent
            | Phase::Heard
            | Phase::Asking
            | Phase::Claimed
            | Phase::Out
            | Phase::Escalated
            | Phase::Watched => Outcome::Repeat,
            Phase::Closed | Phase::Withdrawn => Outcome::Over,
        },
        Command::Close => match phase {
            Phase::Queued
            | Phase::Sent
            | Phase::Heard
            | Phase::Asking
            | Phase::Claimed
            | Phase::Out
            | Phase::Escalated
            | Phase::Removed
            | Phase::Watched => Outcome::To(NoticeState::Closed),
            Phase::Closed => Outcome::Repeat,
            Phase::Withdrawn => Outcome::Over,
        },
        Command::Withdraw => match phase {
            Phase::Queued
            | Phase::Sent
            | Phase::Heard
            | Phase::Asking
            | Phase::Claimed
            | Phase::Out
            | Phase::Escalated
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed => Outcome::To(NoticeState::Withdrawn),
            Phase::Withdrawn => Outcome::Repeat,
        },
    }
}

/// An acknowledgement adds nothing to what says more; that evidence is kept stops no claim; a repeat is a repeat.
const fn answer_in(state: NoticeState, phase: Phase, answer: Answer) -> Outcome {
    let next = answered(answer);
    match phase {
        Phase::Removed | Phase::Watched | Phase::Closed | Phase::Withdrawn => Outcome::Over,
        Phase::Queued | Phase::Sent | Phase::Escalated => Outcome::To(next),
        Phase::Heard => match (state, answer) {
            (NoticeState::Acknowledged | NoticeState::Preserved, Answer::Acknowledged)
            | (NoticeState::Preserved, Answer::Preserved) => Outcome::Repeat,
            (_, _) => Outcome::To(next),
        },
        Phase::Asking | Phase::Claimed | Phase::Out => match answer {
            Answer::Acknowledged if !matches!(state, NoticeState::Bounced) => Outcome::Repeat,
            Answer::Preserved if matches!(phase, Phase::Claimed) => Outcome::Record,
            Answer::Acknowledged
            | Answer::Removed
            | Answer::Unavailable
            | Answer::Moved
            | Answer::NotOurs
            | Answer::Preserved
            | Answer::NeedInformation
            | Answer::NeedTime
            | Answer::Disputed
            | Answer::NoAction => {
                if state as u8 == next as u8 {
                    Outcome::Repeat
                } else {
                    Outcome::To(next)
                }
            }
        },
    }
}
