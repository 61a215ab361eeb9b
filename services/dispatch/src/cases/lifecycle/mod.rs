//! States and their transitions: pure and total functions, without time, I/O or strings.

pub mod case;
mod channel_set;
pub mod notice;
#[cfg(test)]
mod tests;

pub use channel_set::ChannelSet;
pub use domain::enums::MessageKind as Message;

use domain::enums::{ContentStatus, NoticeState, Rung};

/// Whether a message about a notice may be sent. Evaluated again just before each attempt.
///
/// A retraction is sent only while the verdict is withdrawn; any other message only while the content is
/// online and the provider has not answered. A notice that the ladder escalated to another party is still due
/// to its addressee.
pub const fn may_be_sent(
    content_status: ContentStatus,
    state: NoticeState,
    escalated_to: Option<Rung>,
    message: Message,
) -> bool {
    match message {
        Message::Retraction => matches!(content_status, ContentStatus::Withdrawn),
        Message::Notice | Message::Reminder | Message::Information | Message::Upheld => {
            matches!(
                content_status,
                ContentStatus::Online | ContentStatus::Exhausted
            ) && match state {
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
