//! The whole table, spelled out.

use std::collections::BTreeSet;

use super::*;

const COMMANDS: [Command; 13] = [
    Command::Look,
    Command::Act,
    Command::Reject,
    Command::Withdraw,
    Command::Hold,
    Command::Release,
    Command::Notify,
    Command::Escalate,
    Command::HandOver,
    Command::Confirm,
    Command::Reopen,
    Command::Close,
    Command::GiveUp,
];

/// Verdict by Look, Act, Reject, Withdraw: N none, L looked at, A actionable, R not actionable, W withdrawn.
const VERDICTS: [(Verdict, &str); 5] = [
    (Verdict::None, "LARN"),
    (Verdict::LookedAt, "LARL"),
    (Verdict::Actionable, "AARW"),
    (Verdict::NotActionable, "RARN"),
    (Verdict::Withdrawn, "LARW"),
];

/// Removal by Notify, Escalate, HandOver, Confirm, Reopen, Close, GiveUp: 0 none, N noticed, X exhausted, G removed, C closed.
const REMOVALS: [(Removal, &str); 5] = [
    (Removal::None, "NNXGNC0"),
    (Removal::Noticed, "NNXGNC0"),
    (Removal::Exhausted, "XNXGNC0"),
    (Removal::Removed, "GGGGNC0"),
    (Removal::Closed, "CCCGNC0"),
];

/// Stage of a case that is not held, by removal (none, noticed, exhausted, removed, closed).
const STAGES: [(Verdict, [Stage; 5]); 5] = [
    (
        Verdict::None,
        [
            Stage::Received,
            Stage::BeingRemoved,
            Stage::Exhausted,
            Stage::Removed,
            Stage::Closed,
        ],
    ),
    (
        Verdict::LookedAt,
        [
            Stage::BeingLookedAt,
            Stage::BeingRemoved,
            Stage::Exhausted,
            Stage::Removed,
            Stage::Closed,
        ],
    ),
    (
        Verdict::Actionable,
        [
            Stage::Actionable,
            Stage::BeingRemoved,
            Stage::Exhausted,
            Stage::Removed,
            Stage::Closed,
        ],
    ),
    (Verdict::NotActionable, [Stage::NotActionable; 5]),
    (Verdict::Withdrawn, [Stage::VerdictWithdrawn; 5]),
];

fn letter_of_verdict(verdict: Verdict) -> char {
    match verdict {
        Verdict::None => 'N',
        Verdict::LookedAt => 'L',
        Verdict::Actionable => 'A',
        Verdict::NotActionable => 'R',
        Verdict::Withdrawn => 'W',
    }
}

fn letter_of_removal(removal: Removal) -> char {
    match removal {
        Removal::None => '0',
        Removal::Noticed => 'N',
        Removal::Exhausted => 'X',
        Removal::Removed => 'G',
        Removal::Closed => 'C',
    }
}

/// The expected letters of verdict and removal, and the hold, after the command with this number.
fn expected(state: State, n: usize) -> (char, bool, char) {
    let row = |rows: &str, n: usize| rows.chars().nth(n).unwrap();
    let (_, verdicts) = VERDICTS.iter().find(|r| r.0 == state.verdict).unwrap();
    let (_, removals) = REMOVALS.iter().find(|r| r.0 == state.removal).unwrap();
    let (verdict, removal) = (
        letter_of_verdict(state.verdict),
        letter_of_removal(state.removal),
    );
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
fn every_command_in_every_state() {
    let mut covered = 0;
    for state in states() {
        for (n, command) in COMMANDS.into_iter().enumerate() {
            let after = apply(state, command);
            let got = (
                letter_of_verdict(after.verdict),
                after.held,
                letter_of_removal(after.removal),
            );
            assert_eq!(got, expected(state, n), "{state:?} {command:?}");
            // Hearing the same again changes nothing.
            assert_eq!(apply(after, command), after, "{state:?} {command:?} twice");
            covered += 1;
        }
    }
    let uncovered = 5 * 2 * 5 * COMMANDS.len() - covered;
    println!("uncovered {uncovered}");
    assert_eq!(uncovered, 0);
}

#[test]
fn every_state_has_its_stage() {
    let mut seen = BTreeSet::new();
    for state in states() {
        let (_, row) = STAGES.iter().find(|r| r.0 == state.verdict).unwrap();
        let place = Removal::ALL
            .iter()
            .position(|r| *r == state.removal)
            .unwrap();
        let wanted = if state.held { Stage::Held } else { row[place] };
        assert_eq!(state.stage(), wanted, "{state:?}");
        seen.insert(wanted);
    }
    seen.insert(Stage::ReportWithdrawn);
    assert_eq!(seen.len(), Stage::ALL.len());
}

/// Services overtake each other; a service never overtakes itself.
#[test]
fn the_stage_does_not_depend_on_who_was_heard_first() {
    let verification = [Command::Look, Command::Act, Command::Hold, Command::Release];
    let dispatch = [
        Command::Notify,
        Command::Confirm,
        Command::Reopen,
        Command::Confirm,
    ];
    let mut ends = BTreeSet::new();
    for choice in 0_u8..=255 {
        if choice.count_ones() != 4 {
            continue;
        }
        let (mut v, mut d) = (verification.iter(), dispatch.iter());
        let end = (0..8).fold(State::NEW, |state, bit| {
            let next = if choice >> bit & 1 == 1 {
                v.next()
            } else {
                d.next()
            };
            apply(state, *next.unwrap())
        });
        ends.insert(end.stage());
    }
    assert_eq!(ends, BTreeSet::from([Stage::Removed]));
}
