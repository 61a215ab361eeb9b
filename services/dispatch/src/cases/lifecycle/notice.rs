//! Transitions of a notice. An answer may be recorded before the delivery that it answers, may refer to a
//! superseded step, and counts once.

use domain::enums::{Answer, NoticeState};

/// What can happen to a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// It was handed over.
    Send,
    /// The provider has received it.
    Deliver,
    /// A delivery channel failed permanently and another takes over.
    Reroute,
    /// No delivery channel is left.
    Bounce,
    /// A message that was handed over came back: the provider has not received it.
    Return,
    /// The provider answered.
    Answer(Answer),
    /// The removal was confirmed.
    Confirm,
    /// Checks found the content online after a claim of removal.
    Refute,
    /// Staff answered the provider's question.
    Inform,
    /// The verdict was upheld after a dispute.
    Uphold,
    /// The granted time is over.
    Resume,
    /// The ladder escalated past it.
    Escalate,
    /// The watch has begun.
    Watch,
    /// The case is closed.
    Close,
    /// The verdict was withdrawn.
    Withdraw,
}

/// Effect of a command on a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeTransition {
    /// A new state, with an event.
    ChangeTo(NoticeState),
    /// An event without a new state.
    RecordOnly,
    /// Already in this state or past it: success without an event.
    NoChange,
    /// The notice has ended: success with its final state.
    Ended,
    /// Not possible in this state.
    Refused,
}

/// Groups of states that most commands treat alike.
#[derive(Clone, Copy)]
enum Phase {
    Queued,
    Sent,
    /// The provider has received it, and its deadlines run.
    Delivered,
    /// The provider's answer pauses the ladder.
    Pausing,
    RemovalClaimed,
    /// The provider will not remove the content, or cannot be reached.
    Declined,
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
        NoticeState::Delivered | NoticeState::Acknowledged | NoticeState::Preserved => {
            Phase::Delivered
        }
        NoticeState::NeedInformation | NoticeState::NeedTime | NoticeState::Disputed => {
            Phase::Pausing
        }
        NoticeState::RemovalClaimed => Phase::RemovalClaimed,
        NoticeState::Bounced
        | NoticeState::NotOurs
        | NoticeState::Moved
        | NoticeState::NoAction => Phase::Declined,
        NoticeState::Escalated => Phase::Escalated,
        NoticeState::Removed => Phase::Removed,
        NoticeState::Watched => Phase::Watched,
        NoticeState::Closed => Phase::Closed,
        NoticeState::Withdrawn => Phase::Withdrawn,
    }
}

/// The state that an answer leads to.
const fn state_after(answer: Answer) -> NoticeState {
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

/// Whether the notice waits for its provider: the ladder counts it, and its deadlines run.
pub const fn is_open(state: NoticeState) -> bool {
    match phase(state) {
        Phase::Queued | Phase::Sent | Phase::Delivered | Phase::Pausing | Phase::RemovalClaimed => {
            true
        }
        Phase::Declined
        | Phase::Escalated
        | Phase::Removed
        | Phase::Watched
        | Phase::Closed
        | Phase::Withdrawn => false,
    }
}

/// Whether the provider's answer in this state pauses the ladder.
pub const fn pauses_ladder(state: NoticeState) -> bool {
    matches!(phase(state), Phase::Pausing)
}

/// The effect of `command` in `state`. Total: every combination is defined.
pub const fn apply(state: NoticeState, command: Command) -> NoticeTransition {
    let phase = phase(state);
    match command {
        Command::Send => match phase {
            Phase::Queued => NoticeTransition::ChangeTo(NoticeState::Sent),
            Phase::Sent
            | Phase::Delivered
            | Phase::Pausing
            | Phase::RemovalClaimed
            | Phase::Declined
            | Phase::Escalated
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed
            | Phase::Withdrawn => NoticeTransition::NoChange,
        },
        Command::Deliver => match phase {
            Phase::Queued | Phase::Sent => NoticeTransition::ChangeTo(NoticeState::Delivered),
            Phase::Escalated => NoticeTransition::RecordOnly,
            Phase::Delivered
            | Phase::Pausing
            | Phase::RemovalClaimed
            | Phase::Declined
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed
            | Phase::Withdrawn => NoticeTransition::NoChange,
        },
        Command::Reroute => match phase {
            Phase::Sent => NoticeTransition::ChangeTo(NoticeState::Queued),
            Phase::Queued
            | Phase::Delivered
            | Phase::Pausing
            | Phase::RemovalClaimed
            | Phase::Declined
            | Phase::Escalated
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed
            | Phase::Withdrawn => NoticeTransition::NoChange,
        },
        Command::Bounce => match phase {
            Phase::Queued | Phase::Sent => NoticeTransition::ChangeTo(NoticeState::Bounced),
            Phase::Escalated => NoticeTransition::RecordOnly,
            Phase::Delivered
            | Phase::Pausing
            | Phase::RemovalClaimed
            | Phase::Declined
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed
            | Phase::Withdrawn => NoticeTransition::NoChange,
        },
        // A provider that has answered has received the notice, even if a mail server reports otherwise.
        Command::Return => match state {
            NoticeState::Sent | NoticeState::Delivered => {
                NoticeTransition::ChangeTo(NoticeState::Queued)
            }
            NoticeState::Queued | NoticeState::Escalated => NoticeTransition::RecordOnly,
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
            | NoticeState::Withdrawn => NoticeTransition::NoChange,
        },
        Command::Answer(answer) => apply_answer(state, phase, answer),
        Command::Confirm => match phase {
            Phase::Queued
            | Phase::Sent
            | Phase::Delivered
            | Phase::Pausing
            | Phase::RemovalClaimed
            | Phase::Escalated => NoticeTransition::ChangeTo(NoticeState::Removed),
            Phase::Declined | Phase::Removed | Phase::Watched => NoticeTransition::NoChange,
            Phase::Closed | Phase::Withdrawn => NoticeTransition::Ended,
        },
        Command::Refute => match phase {
            Phase::RemovalClaimed => NoticeTransition::ChangeTo(NoticeState::Delivered),
            Phase::Queued
            | Phase::Sent
            | Phase::Delivered
            | Phase::Pausing
            | Phase::Declined
            | Phase::Escalated => NoticeTransition::NoChange,
            Phase::Removed | Phase::Watched | Phase::Closed | Phase::Withdrawn => {
                NoticeTransition::Ended
            }
        },
        Command::Inform => match state {
            NoticeState::NeedInformation => NoticeTransition::ChangeTo(NoticeState::Delivered),
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
            | NoticeState::Moved => NoticeTransition::Refused,
            NoticeState::Removed
            | NoticeState::Watched
            | NoticeState::Closed
            | NoticeState::Withdrawn => NoticeTransition::Ended,
        },
        Command::Uphold => match state {
            NoticeState::Disputed => NoticeTransition::ChangeTo(NoticeState::Delivered),
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
            | NoticeState::Moved => NoticeTransition::NoChange,
            NoticeState::Removed
            | NoticeState::Watched
            | NoticeState::Closed
            | NoticeState::Withdrawn => NoticeTransition::Ended,
        },
        Command::Resume => match phase {
            Phase::Pausing => NoticeTransition::ChangeTo(NoticeState::Acknowledged),
            Phase::Queued
            | Phase::Sent
            | Phase::Delivered
            | Phase::RemovalClaimed
            | Phase::Declined
            | Phase::Escalated => NoticeTransition::NoChange,
            Phase::Removed | Phase::Watched | Phase::Closed | Phase::Withdrawn => {
                NoticeTransition::Ended
            }
        },
        Command::Escalate => match phase {
            Phase::Queued
            | Phase::Sent
            | Phase::Delivered
            | Phase::Pausing
            | Phase::RemovalClaimed => NoticeTransition::ChangeTo(NoticeState::Escalated),
            Phase::Declined | Phase::Escalated => NoticeTransition::RecordOnly,
            Phase::Removed | Phase::Watched | Phase::Closed | Phase::Withdrawn => {
                NoticeTransition::Ended
            }
        },
        Command::Watch => match phase {
            Phase::Removed => NoticeTransition::ChangeTo(NoticeState::Watched),
            Phase::Queued
            | Phase::Sent
            | Phase::Delivered
            | Phase::Pausing
            | Phase::RemovalClaimed
            | Phase::Declined
            | Phase::Escalated
            | Phase::Watched => NoticeTransition::NoChange,
            Phase::Closed | Phase::Withdrawn => NoticeTransition::Ended,
        },
        Command::Close => match phase {
            Phase::Queued
            | Phase::Sent
            | Phase::Delivered
            | Phase::Pausing
            | Phase::RemovalClaimed
            | Phase::Declined
            | Phase::Escalated
            | Phase::Removed
            | Phase::Watched => NoticeTransition::ChangeTo(NoticeState::Closed),
            Phase::Closed => NoticeTransition::NoChange,
            Phase::Withdrawn => NoticeTransition::Ended,
        },
        Command::Withdraw => match phase {
            Phase::Queued
            | Phase::Sent
            | Phase::Delivered
            | Phase::Pausing
            | Phase::RemovalClaimed
            | Phase::Declined
            | Phase::Escalated
            | Phase::Removed
            | Phase::Watched
            | Phase::Closed => NoticeTransition::ChangeTo(NoticeState::Withdrawn),
            Phase::Withdrawn => NoticeTransition::NoChange,
        },
    }
}

/// An acknowledgement does not replace a more specific answer; `preserved` does not replace a claim of
/// removal; a repeated answer changes nothing.
const fn apply_answer(state: NoticeState, phase: Phase, answer: Answer) -> NoticeTransition {
    let next = state_after(answer);
    match phase {
        Phase::Removed | Phase::Watched | Phase::Closed | Phase::Withdrawn => {
            NoticeTransition::Ended
        }
        Phase::Queued | Phase::Sent | Phase::Escalated => NoticeTransition::ChangeTo(next),
        Phase::Delivered => match (state, answer) {
            (NoticeState::Acknowledged | NoticeState::Preserved, Answer::Acknowledged)
            | (NoticeState::Preserved, Answer::Preserved) => NoticeTransition::NoChange,
            (_, _) => NoticeTransition::ChangeTo(next),
        },
        Phase::Pausing | Phase::RemovalClaimed | Phase::Declined => match answer {
            Answer::Acknowledged if !matches!(state, NoticeState::Bounced) => {
                NoticeTransition::NoChange
            }
            Answer::Preserved if matches!(phase, Phase::RemovalClaimed) => {
                NoticeTransition::RecordOnly
            }
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
                    NoticeTransition::NoChange
                } else {
                    NoticeTransition::ChangeTo(next)
                }
            }
        },
    }
}
