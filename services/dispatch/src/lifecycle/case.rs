//! A case as far as its removal goes: what may follow what.

use domain::word::LiveState;

/// What can happen to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Verification says that it is to be removed.
    Act,
    /// Checks agreed that it is gone, or a person said so of a changed page.
    Confirm,
    /// The policy has a watch for it.
    Watch,
    /// It was seen again.
    Reappear,
    /// The police ask for a hold.
    Hold,
    /// The hold is over.
    Release,
    /// Every rung has fired.
    Exhaust,
    /// Somebody was found who can remove it.
    Find,
    /// The watch is over.
    Close,
    /// The verdict was taken back.
    Withdraw,
}

/// What a command does to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    To(LiveState),
    /// Back to where it was before the hold.
    Back,
    /// Look whether it is there, and decide then.
    Look,
    /// Already so, or of no consequence now.
    Repeat,
}

pub const fn apply(live: LiveState, command: Command) -> Outcome {
    match command {
        Command::Act => match live {
            LiveState::Withdrawn => Outcome::To(LiveState::Up),
            LiveState::Gone | LiveState::Watched | LiveState::Closed => Outcome::Look,
            LiveState::Up | LiveState::Held | LiveState::Exhausted => Outcome::Repeat,
        },
        Command::Confirm => match live {
            LiveState::Up | LiveState::Exhausted => Outcome::To(LiveState::Gone),
            LiveState::Gone
            | LiveState::Watched
            | LiveState::Held
            | LiveState::Closed
            | LiveState::Withdrawn => Outcome::Repeat,
        },
        Command::Watch => match live {
            LiveState::Gone => Outcome::To(LiveState::Watched),
            LiveState::Up
            | LiveState::Watched
            | LiveState::Held
            | LiveState::Exhausted
            | LiveState::Closed
            | LiveState::Withdrawn => Outcome::Repeat,
        },
        Command::Reappear => match live {
            LiveState::Gone | LiveState::Watched | LiveState::Closed => Outcome::To(LiveState::Up),
            LiveState::Up | LiveState::Held | LiveState::Exhausted | LiveState::Withdrawn => {
                Outcome::Repeat
            }
        },
        Command::Hold => match live {
            LiveState::Up | LiveState::Gone | LiveState::Watched | LiveState::Exhausted => {
                Outcome::To(LiveState::Held)
            }
            LiveState::Held | LiveState::Closed | LiveState::Withdrawn => Outcome::Repeat,
        },
        Command::Release => match live {
            LiveState::Held => Outcome::Back,
            LiveState::Up
            | LiveState::Gone
            | LiveState::Watched
            | LiveState::Exhausted
            | LiveState::Closed
            | LiveState::Withdrawn => Outcome::Repeat,
        },
        Command::Exhaust => match live {
            LiveState::Up => Outcome::To(LiveState::Exhausted),
            LiveState::Gone
            | LiveState::Watched
            | LiveState::Held
            | LiveState::Exhausted
            | LiveState::Closed
            | LiveState::Withdrawn => Outcome::Repeat,
        },
        Command::Find => match live {
            LiveState::Exhausted => Outcome::To(LiveState::Up),
            LiveState::Up
            | LiveState::Gone
            | LiveState::Watched
            | LiveState::Held
            | LiveState::Closed
            | LiveState::Withdrawn => Outcome::Repeat,
        },
        Command::Close => match live {
            LiveState::Gone | LiveState::Watched => Outcome::To(LiveState::Closed),
            LiveState::Up
            | LiveState::Held
            | LiveState::Exhausted
            | LiveState::Closed
            | LiveState::Withdrawn => Outcome::Repeat,
        },
        Command::Withdraw => match live {
            LiveState::Up
            | LiveState::Gone
            | LiveState::Watched
            | LiveState::Held
            | LiveState::Exhausted
            | LiveState::Closed => Outcome::To(LiveState::Withdrawn),
            LiveState::Withdrawn => Outcome::Repeat,
        },
    }
}
