//! The complete transition table.

use std::collections::BTreeSet;

use super::*;

const COMMANDS: [Command; 13] = [
    Command::RevealUrl,
    Command::DecideActionable,
    Command::DecideNotActionable,
    Command::WithdrawVerdict,
    Command::StartPoliceHold,
    Command::EndPoliceHold,
    Command::NotifyProvider,
    Command::Escalate,
    Command::Exhaust,
    Command::ConfirmRemoval,
    Command::Reopen,
    Command::Close,
    Command::CancelRemoval,
];

/// The verdict after RevealUrl, DecideActionable, DecideNotActionable, WithdrawVerdict: N none, B being
/// assessed, A actionable, R not actionable, W withdrawn.
const VERDICTS: [(Verdict, &str); 5] = [
    (Verdict::None, "BARN"),
    (Verdict::BeingAssessed, "BARB"),
    (Verdict::Actionable, "AARW"),
    (Verdict::NotActionable, "RARN"),
    (Verdict::Withdrawn, "BARW"),
];

/// The removal after NotifyProvider, Escalate, Exhaust, ConfirmRemoval, Reopen, Close, CancelRemoval: 0 none,
/// N notified, X exhausted, R removed, C closed.
const REMOVALS: [(Removal, &str); 5] = [
    (Removal::None, "NNXRNC0"),
    (Removal::Notified, "NNXRNC0"),
    (Removal::Exhausted, "XNXRNC0"),
    (Removal::Removed, "RRRRNC0"),
    (Removal::Closed, "CCCRNC0"),
];

/// The stage of a case that is not on police hold, for each removal (none, notified, exhausted, removed,
/// closed).
const STAGES: [(Verdict, [CaseStage; 5]); 5] = [
    (
        Verdict::None,
        [
            CaseStage::Received,
            CaseStage::BeingRemoved,
            CaseStage::Exhausted,
            CaseStage::Removed,
            CaseStage::Closed,
        ],
    ),
    (
        Verdict::BeingAssessed,
        [
            CaseStage::BeingAssessed,
            CaseStage::BeingRemoved,
            CaseStage::Exhausted,
            CaseStage::Removed,
            CaseStage::Closed,
        ],
    ),
    (
        Verdict::Actionable,
        [
            CaseStage::Actionable,
            CaseStage::BeingRemoved,
            CaseStage::Exhausted,
            CaseStage::Removed,
            CaseStage::Closed,
        ],
    ),
    (Verdict::NotActionable, [CaseStage::NotActionable; 5]),
    (Verdict::Withdrawn, [CaseStage::VerdictWithdrawn; 5]),
];

fn verdict_symbol(verdict: Verdict) -> char {
    match verdict {
        Verdict::None => 'N',
        Verdict::BeingAssessed => 'B',
        Verdict::Actionable => 'A',
        Verdict::NotActionable => 'R',
        Verdict::Withdrawn => 'W',
    }
}

fn removal_symbol(removal: Removal) -> char {
    match removal {
        Removal::None => '0',
        Removal::Notified => 'N',
        Removal::Exhausted => 'X',
        Removal::Removed => 'R',
        Removal::Closed => 'C',
    }
}

/// The expected symbols of verdict and removal, and the police hold, after command `n`.
fn expected(state: State, n: usize) -> (char, bool, char) {
    let row = |rows: &str, n: usize| rows.chars().nth(n).unwrap();
    let (_, verdicts) = VERDICTS.iter().find(|r| r.0 == state.verdict).unwrap();
    let (_, removals) = REMOVALS.iter().find(|r| r.0 == state.removal).unwrap();
    let (verdict, removal) = (verdict_symbol(state.verdict), removal_symbol(state.removal));
    match n {
        0..=3 => (row(verdicts, n), state.held, removal),
        4 => (verdict, true, removal),
        5 => (verdict, false, removal),
        _ => (verdict, state.held, row(removals, n - 6)),
    }
}

fn states() -> impl Iterator<Item = State> {
    Verdict::ALL.iter().flat_map(|verdict| {
        [false, true].into_iter().flat_map(move |held| {
            Removal::ALL.iter().map(move |removal| State {
                verdict: *verdict,
                held,
                removal: *removal,
            })
        })
    })
}

#[test]
fn every_command_in_every_state_has_the_expected_result() {
    let mut covered = 0;
    for state in states() {
        for (n, command) in COMMANDS.into_iter().enumerate() {
            let after = apply(state, command);
            let actual = (
                verdict_symbol(after.verdict),
                after.held,
                removal_symbol(after.removal),
            );
            assert_eq!(actual, expected(state, n), "{state:?} {command:?}");
            // Repeating a command changes nothing.
            assert_eq!(apply(after, command), after, "{state:?} {command:?} twice");
            covered += 1;
        }
    }
    let uncovered = 5 * 2 * 5 * COMMANDS.len() - covered;
    println!("uncovered {uncovered}");
    assert_eq!(uncovered, 0);
}

#[test]
fn every_state_has_the_expected_stage() {
    let mut seen = BTreeSet::new();
    for state in states() {
        let (_, row) = STAGES.iter().find(|r| r.0 == state.verdict).unwrap();
        let column = Removal::ALL
            .iter()
            .position(|r| *r == state.removal)
            .unwrap();
        let expected = if state.held {
            CaseStage::Held
        } else {
            row[column]
        };
        assert_eq!(state.stage(), expected, "{state:?}");
        seen.insert(expected);
    }
    seen.insert(CaseStage::ReportWithdrawn);
    assert_eq!(seen.len(), CaseStage::ALL.len());
}

/// Events of one service arrive in order; those of different services interleave in any way.
#[test]
fn the_stage_does_not_depend_on_the_order_of_the_services() {
    let verification = [
        Command::RevealUrl,
        Command::DecideActionable,
        Command::StartPoliceHold,
        Command::EndPoliceHold,
    ];
    let dispatch = [
        Command::NotifyProvider,
        Command::ConfirmRemoval,
        Command::Reopen,
        Command::ConfirmRemoval,
    ];
    let mut stages = BTreeSet::new();
    for interleaving in 0_u8..=255 {
        if interleaving.count_ones() != 4 {
            continue;
        }
        let (mut v, mut d) = (verification.iter(), dispatch.iter());
        let end = (0..8).fold(State::NEW, |state, bit| {
            let next = if interleaving >> bit & 1 == 1 {
                v.next()
            } else {
                d.next()
            };
            apply(state, *next.unwrap())
        });
        stages.insert(end.stage());
    }
    assert_eq!(stages, BTreeSet::from([CaseStage::Removed]));
}
