//! What a report's outcome becomes by what is heard of its case. Pure and total; no clock, no I/O.

use domain::word::{NotActionableReason, Outcome};

/// Where a report stands, in the words that its reporter may be told.
pub type State = Outcome;

/// What can happen to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Verified as illegal: notices go out.
    Actionable,
    /// Nothing will be done.
    NotActionable(NotActionableReason),
    /// The verdict was taken back; it is assessed again or left.
    VerdictWithdrawn,
    /// Confirmed gone.
    RemovalConfirmed,
    /// Back after removal.
    Reappeared,
    /// The reporter takes it back.
    Withdraw,
}

/// What came of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// A new state, to be stored and told.
    Changed(State),
    /// It was so already, or it no longer matters: success without an event.
    Unchanged,
}

/// Total: each state has an answer to each command. A withdrawn report stays withdrawn; everything else follows the
/// last word heard about its case, because events of one producer arrive in order and between producers the later
/// word is the truer one.
pub const fn apply(state: State, command: Command) -> Applied {
    let next = match (state, command) {
        // A confirmed removal is not undone by the verdict being told again; only a re-appearance does that.
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
        (_, Command::VerdictWithdrawn) => Outcome::BeingLookedAt,
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
    fn every_pair_of_state_and_command_is_decided() {
        use Outcome::{
            BeingLookedAt as Look, BeingRemoved as Doing, CouldNotFind as Lost,
            NotAgainstTheLaw as Legal, Received as New, Removed as Gone, Withdrawn as Back,
        };
        let table = [
            (New, [Doing, Legal, Lost, Legal, Look, Gone, Doing, Back]),
            (Look, [Doing, Legal, Lost, Legal, Look, Gone, Doing, Back]),
            (Doing, [Doing, Legal, Lost, Legal, Look, Gone, Doing, Back]),
            (Gone, [Gone, Legal, Lost, Legal, Look, Gone, Doing, Back]),
            (Legal, [Doing, Legal, Lost, Legal, Look, Gone, Doing, Back]),
            (Lost, [Doing, Legal, Lost, Legal, Look, Gone, Doing, Back]),
            (Back, [Back; 8]),
        ];
        let mut covered = 0;
        for (state, after) in table {
            for (command, expected) in COMMANDS.into_iter().zip(after) {
                let got = match apply(state, command) {
                    Applied::Changed(next) => {
                        assert_ne!(next, state, "{state} {command:?}");
                        next
                    }
                    Applied::Unchanged => state,
                };
                assert_eq!(got, expected, "{state} {command:?}");
                covered += 1;
            }
        }
        let uncovered = Outcome::ALL.len() * COMMANDS.len() - covered;
        println!("uncovered {uncovered}");
        assert_eq!(uncovered, 0);
    }
}
