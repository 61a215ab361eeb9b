//! The complete transition table: every state with every command.

use super::*;

const STATES: [(&str, State); 17] = [
    ("queued", State::Unclaimed(Waiting::Queued)),
    ("second", State::Unclaimed(Waiting::AwaitingSecondOpinion)),
    ("review", State::Unclaimed(Waiting::UnderReview)),
    ("action", State::Unclaimed(Waiting::Actionable)),
    ("noaction", State::Unclaimed(Waiting::NotActionable)),
    ("needs", State::Unclaimed(Waiting::NeedsInformation)),
    ("withdrawn", State::Unclaimed(Waiting::Withdrawn)),
    ("c.first", State::Claimed(Stage::First)),
    ("c.second", State::Claimed(Stage::Second)),
    ("c.review", State::Claimed(Stage::Review)),
    ("h.queued", State::OnPoliceHold(Waiting::Queued)),
    (
        "h.second",
        State::OnPoliceHold(Waiting::AwaitingSecondOpinion),
    ),
    ("h.review", State::OnPoliceHold(Waiting::UnderReview)),
    ("h.action", State::OnPoliceHold(Waiting::Actionable)),
    ("h.noaction", State::OnPoliceHold(Waiting::NotActionable)),
    ("h.needs", State::OnPoliceHold(Waiting::NeedsInformation)),
    ("h.withdrawn", State::OnPoliceHold(Waiting::Withdrawn)),
];

const COMMANDS: [(&str, Command); 18] = [
    ("join", Command::Join),
    ("claim", Command::Claim),
    ("release_claim", Command::ReleaseClaim),
    ("actionable", Command::Decide(Decision::Actionable)),
    ("first_of_two", Command::Decide(Decision::FirstOfTwo)),
    ("not_actionable", Command::Decide(Decision::NotActionable)),
    ("second_opinion", Command::Decide(Decision::SecondOpinion)),
    (
        "needs_information",
        Command::Decide(Decision::NeedsInformation),
    ),
    ("uphold", Command::Decide(Decision::Uphold)),
    ("offline", Command::Decide(Decision::Offline)),
    ("withdraw", Command::Decide(Decision::Withdraw)),
    ("match_yes", Command::Match { actionable: true }),
    ("match_no", Command::Match { actionable: false }),
    ("request_review", Command::RequestReview),
    ("withdraw_verdict", Command::WithdrawVerdict),
    ("assess_again", Command::AssessAgain),
    ("hold", Command::PoliceHold),
    ("release_hold", Command::ReleaseHold),
];

/// One line per command, one column per state in the order of `STATES`. `=`: the state stays; `!x`: refused
/// with the error x.
const TABLE: &str = "
join              = = = = = queued queued | = = = | = = = = = h.queued h.queued
claim             c.first c.second c.review !wait !wait !wait !wait | !taken !taken !taken | !held !held !held !held !held !held !held
release_claim     !claim !claim !claim !claim !claim !claim !claim | queued second review | !held !held !held !held !held !held !held
actionable        !claim !claim !claim !claim !claim !claim !claim | action action !other | !held !held !held !held !held !held !held
first_of_two      !claim !claim !claim !claim !claim !claim !claim | second second !other | !held !held !held !held !held !held !held
not_actionable    !claim !claim !claim !claim !claim !claim !claim | noaction noaction !other | !held !held !held !held !held !held !held
second_opinion    !claim !claim !claim !claim !claim !claim !claim | second second review | !held !held !held !held !held !held !held
needs_information !claim !claim !claim !claim !claim !claim !claim | needs needs !other | !held !held !held !held !held !held !held
uphold            !claim !claim !claim !claim !claim !claim !claim | !other !other action | !held !held !held !held !held !held !held
offline           !claim !claim !claim !claim !claim !claim !claim | !other !other action | !held !held !held !held !held !held !held
withdraw          !claim !claim !claim !claim !claim !claim !claim | !other !other withdrawn | !held !held !held !held !held !held !held
match_yes         action = = = = action = | = = = | = = = = = = =
match_no          noaction = = = = noaction = | = = = | = = = = = = =
request_review    = = = review = = = | = = = | = = = h.review = = =
withdraw_verdict  !verdict !verdict withdrawn withdrawn queued !verdict = | !verdict !verdict withdrawn | !verdict !verdict h.withdrawn h.withdrawn h.queued !verdict =
assess_again      = = !stands !stands !stands = queued | = = !stands | = = !stands !stands !stands = h.queued
hold              h.queued h.second h.review h.action h.noaction h.needs h.withdrawn | h.queued h.second h.review | = = = = = = =
release_hold      !free !free !free !free !free !free !free | !free !free !free | queued second review action noaction needs withdrawn
";

fn cell(before: State, after: Result<State, TransitionError>) -> &'static str {
    match after {
        Ok(after) if after == before => "=",
        Ok(after) => STATES.iter().find(|(_, s)| *s == after).unwrap().0,
        Err(TransitionError::NotWaiting) => "!wait",
        Err(TransitionError::AlreadyClaimed) => "!taken",
        Err(TransitionError::NotClaimed) => "!claim",
        Err(TransitionError::OnPoliceHold) => "!held",
        Err(TransitionError::NotOnPoliceHold) => "!free",
        Err(TransitionError::NoVerdict) => "!verdict",
        Err(TransitionError::VerdictStands) => "!stands",
        Err(TransitionError::DecisionNotAllowed) => "!other",
    }
}

#[test]
fn every_state_and_command_is_in_the_table() {
    let mut uncovered = STATES.len() * COMMANDS.len();
    let lines: Vec<&str> = TABLE.trim().lines().collect();
    for (name, command) in COMMANDS {
        let line = lines
            .iter()
            .find(|line| line.split_whitespace().next() == Some(name))
            .unwrap_or_else(|| panic!("no line for {name}"));
        let cells: Vec<&str> = line
            .split_whitespace()
            .skip(1)
            .filter(|cell| *cell != "|")
            .collect();
        for ((state_name, state), expected) in STATES.iter().zip(&cells) {
            let found = cell(*state, state.apply(command));
            assert_eq!(found, *expected, "{state_name} x {name}");
            uncovered -= 1;
        }
    }
    println!("uncovered {uncovered}");
    assert_eq!(uncovered, 0);
}

#[test]
fn every_assessment_state_is_reachable() {
    for expected in AssessmentState::ALL {
        assert!(
            STATES
                .iter()
                .any(|(_, state)| state.assessment_state() == *expected),
            "{expected}"
        );
    }
}
