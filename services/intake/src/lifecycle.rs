//! The outcome of a report as a state machine, driven by the events of its case. Pure and total; no clock, no
//! I/O.

use domain::enums::{NotActionableReason, Outcome};

/// The outcome of a report, as its reporter sees it.
pub type State = Outcome;

/// What can happen to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Verified as illegal: notices are sent.
    Actionable,
    /// No action is taken.
    NotActionable(NotActionableReason),
    /// The verdict was withdrawn; the case may be assessed again.
    VerdictWithdrawn,
    /// Confirmed offline.
    RemovalConfirmed,
    /// Online again after its removal.
    Reappeared,
    /// The reporter withdraws the report.
    Withdraw,
}

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// A new state, to be stored.
    Changed(State),
    /// The command has no effect in this state: success without an event.
    Unchanged,
}

/// Total: defined for every state and command. A withdrawn report stays withdrawn. Otherwise the last event
/// about the case decides: events of one producer arrive in order, and between producers the later event is
/// the more accurate one.
pub const fn apply(state: State, command: Command) -> Applied {
    let next = match (state, command) {
        // A repeated verdict does not undo a confirmed removal; only a re-appearance does.
        (Outcome::Withdrawn, _) | (Outcome::Removed, Command::Actionable) => {
            return Applied::Unchanged;
        }
        (_, Command::Withdraw) => Outcome::Withdrawn,
        (_, Command::Actionable | Command::Reappeared) => Outcome::BeingRemoved,
        (
            _,
            Command::NotActionable(
                NotActionableReason::NotIllegal | NotActionableReason::OutOfScope,
            ),
        ) => Outcome::NotAgainstTheLaw,
        (_, Command::NotActionable(NotActionableReason::NotFound)) => Outcome::CouldNotFind,
        (_, Command::VerdictWithdrawn) => Outcome::BeingAssessed,
        (_, Command::RemovalConfirmed) => Outcome::Removed,
    };
    if next as u8 == state as u8 {
        Applied::Unchanged
    } else {
        Applied::Changed(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: [Command; 8] = [
        Command::Actionable,
        Command::NotActionable(NotActionableReason::NotIllegal),
        Command::NotActionable(NotActionableReason::NotFound),
        Command::NotActionable(NotActionableReason::OutOfScope),
        Command::VerdictWithdrawn,
        Command::RemovalConfirmed,
        Command::Reappeared,
        Command::Withdraw,
    ];

    /// A row for each state, a column for each command: the state after it.
    #[test]
    #[rustfmt::skip]
    fn every_pair_of_state_and_command_is_decided() {
        use Outcome::{
            BeingAssessed as Assessed, BeingRemoved as Removing, CouldNotFind as NotFound,
            NotAgainstTheLaw as Legal, Received, Removed, Withdrawn,
        };
        let table = [
            (Received, [Removing, Legal, NotFound, Legal, Assessed, Removed, Removing, Withdrawn]),
            (Assessed, [Removing, Legal, NotFound, Legal, Assessed, Removed, Removing, Withdrawn]),
            (Removing, [Removing, Legal, NotFound, Legal, Assessed, Removed, Removing, Withdrawn]),
            (Removed, [Removed, Legal, NotFound, Legal, Assessed, Removed, Removing, Withdrawn]),
            (Legal, [Removing, Legal, NotFound, Legal, Assessed, Removed, Removing, Withdrawn]),
            (NotFound, [Removing, Legal, NotFound, Legal, Assessed, Removed, Removing, Withdrawn]),
            (Withdrawn, [Withdrawn; 8]),
        ];
        let mut covered = 0;
        for (state, after) in table {
            for (command, expected) in COMMANDS.into_iter().zip(after) {
                let actual = match apply(state, command) {
                    Applied::Changed(next) => {
                        assert_ne!(next, state, "{state} {command:?}");
                        next
                    }
                    Applied::Unchanged => state,
                };
                assert_eq!(actual, expected, "{state} {command:?}");
                covered += 1;
            }
        }
        assert_eq!(covered, Outcome::ALL.len() * COMMANDS.len());
    }
}
