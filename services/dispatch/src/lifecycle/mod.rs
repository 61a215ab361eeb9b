//! States and what may follow them: pure and total. No clock, no I/O, no strings.

pub mod case;
mod message;
pub mod notice;
#[cfg(test)]
mod tests;

pub use message::Message;

use domain::word::{LiveState, NoticeState, Rung};

/// Whether a message about a notice may leave the process: asked again just before each attempt.
///
/// A retraction leaves only while the verdict is withdrawn; anything else only while the case is up and the provider
/// has not answered. A notice that the ladder went past towards somebody else is still owed to its addressee.
pub const fn may_leave(
    live: LiveState,
    state: NoticeState,
    escalated_to: Option<Rung>,
    message: Message,
) -> bool {
    match message {
        Message::Retraction => matches!(live, LiveState::Withdrawn),
        Message::Notice | Message::Reminder | Message::Information | Message::Upheld => {
            matches!(live, LiveState::Up | LiveState::Exhausted)
                && match state {
                    NoticeState::Queued | NoticeState::Sent | NoticeState::Delivered => true,
                    NoticeState::Escalated => matches!(
                        escalated_to,
                        Some(Rung::Upstream | Rung::Registrar | Rung::Regulator | Rung::Supervisor)
                    ),
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
                    | NoticeState::Withdrawn => false,
                }
        }
    }
}
