//! Transitions of a case's content status.

use domain::enums::ContentStatus;

/// What can happen to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Verification decided that the URL is to be removed.
    Open,
    /// Checks agree that the URL is offline, or a person decided so in a review of a changed page.
    Confirm,
    /// The policy has a watch, which begins.
    Watch,
    /// The content is online again.
    Reappear,
    /// The police hold begins.
    PoliceHold,
    /// The police hold has ended.
    Release,
    /// Every rung has fired.
    Exhaust,
    /// A provider that can remove the content was found.
    FindHost,
    /// The watch has ended.
    Close,
    /// The verdict was withdrawn.
    Withdraw,
}

/// Effect of a command on a content status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseTransition {
    ChangeTo(ContentStatus),
    /// Return to the status before the police hold.
    ResumePrevious,
    /// Check first whether the URL is online, and decide then.
    CheckFirst,
    /// Already so, or without effect in this status.
    NoChange,
}

/// The effect of `command` in `status`. Total: every combination is defined.
pub const fn apply(status: ContentStatus, command: Command) -> CaseTransition {
    match command {
        Command::Open => match status {
            ContentStatus::Withdrawn => CaseTransition::ChangeTo(ContentStatus::Online),
            ContentStatus::Offline | ContentStatus::Watched | ContentStatus::Closed => {
                CaseTransition::CheckFirst
            }
            ContentStatus::Online | ContentStatus::Held | ContentStatus::Exhausted => {
                CaseTransition::NoChange
            }
        },
        Command::Confirm => match status {
            ContentStatus::Online | ContentStatus::Exhausted => {
                CaseTransition::ChangeTo(ContentStatus::Offline)
            }
            ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Held
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => CaseTransition::NoChange,
        },
        Command::Watch => match status {
            ContentStatus::Offline => CaseTransition::ChangeTo(ContentStatus::Watched),
            ContentStatus::Online
            | ContentStatus::Watched
            | ContentStatus::Held
            | ContentStatus::Exhausted
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => CaseTransition::NoChange,
        },
        Command::Reappear => match status {
            ContentStatus::Offline | ContentStatus::Watched | ContentStatus::Closed => {
                CaseTransition::ChangeTo(ContentStatus::Online)
            }
            ContentStatus::Online
            | ContentStatus::Held
            | ContentStatus::Exhausted
            | ContentStatus::Withdrawn => CaseTransition::NoChange,
        },
        Command::PoliceHold => match status {
            ContentStatus::Online
            | ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Exhausted => CaseTransition::ChangeTo(ContentStatus::Held),
            ContentStatus::Held | ContentStatus::Closed | ContentStatus::Withdrawn => {
                CaseTransition::NoChange
            }
        },
        Command::Release => match status {
            ContentStatus::Held => CaseTransition::ResumePrevious,
            ContentStatus::Online
            | ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Exhausted
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => CaseTransition::NoChange,
        },
        Command::Exhaust => match status {
            ContentStatus::Online => CaseTransition::ChangeTo(ContentStatus::Exhausted),
            ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Held
            | ContentStatus::Exhausted
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => CaseTransition::NoChange,
        },
        Command::FindHost => match status {
            ContentStatus::Exhausted => CaseTransition::ChangeTo(ContentStatus::Online),
            ContentStatus::Online
            | ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Held
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => CaseTransition::NoChange,
        },
        Command::Close => match status {
            ContentStatus::Offline | ContentStatus::Watched => {
                CaseTransition::ChangeTo(ContentStatus::Closed)
            }
            ContentStatus::Online
            | ContentStatus::Held
            | ContentStatus::Exhausted
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => CaseTransition::NoChange,
        },
        Command::Withdraw => match status {
            ContentStatus::Online
            | ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Held
            | ContentStatus::Exhausted
            | ContentStatus::Closed => CaseTransition::ChangeTo(ContentStatus::Withdrawn),
            ContentStatus::Withdrawn => CaseTransition::NoChange,
        },
    }
}
