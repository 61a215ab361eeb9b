//! The whole table, spelled out: every state against every command.

use super::*;

const STATES: [(&str, State); 17] = [
    ("queued", State::At(Rest::Queued)),
    ("second", State::At(Rest::AwaitingSecond)),
    ("review", State::At(Rest::UnderReview)),
    ("action", State::At(Rest::Actionable)),
    ("noaction", State::At(Rest::NotActionable)),
    ("needs", State::At(Rest::NeedsInformation)),
    ("gone", State::At(Rest::Withdrawn)),
    ("c.first", State::Claimed(Desk::First)),
    ("c.second", State::Claimed(Desk::Second)),
    ("c.review", State::Claimed(Desk::Review)),
    ("h.queued", State::Held(Rest::Queued)),
    ("h.second", State::Held(Rest::AwaitingSecond)),
    ("h.review", State::Held(Rest::UnderReview)),
    ("h.action", State::Held(Rest::Actionable)),
    ("h.noaction", State::Held(Rest::NotActionable)),
    ("h.needs", State::Held(Rest::NeedsInformation)),
    ("h.gone", State::Held(Rest::Withdrawn)),
];

const COMMANDS: [(&str, Command); 18] = [
    ("join", Command::Join),
    ("claim", Command::Claim),
    ("put_back", Command::PutBack),
    ("actionable", Command::Say(Saying::Actionable)),
    ("first_of_two", Command::Say(Saying::FirstOfTwo)),
    ("not_actionable", Command::Say(Saying::NotActionable)),
    ("second_look", Command::Say(Saying::SecondLook)),
    ("needs_information", Command::Say(Saying::NeedsInformation)),
    ("uphold", Command::Say(Saying::Uphold)),
    ("say_gone", Command::Say(Saying::Gone)),
    ("withdraw", Command::Say(Saying::Withdraw)),
    ("match_yes", Command::Match { actionable: true }),
    ("match_no", Command::Match { actionable: false }),
    ("ask_review", Command::AskReview),
    ("withdraw_verdict", Command::WithdrawVerdict),
    ("assess_again", Command::AssessAgain),
    ("hold", Command::Hold),
    ("unhold", Command::Unhold),
];

/// One line a command; a column for each state, in the order of `STATES`. `=` stays; `!x` is refused.
const TABLE: &str = "
join              = = = = = queued queued | = = = | = = = = = h.queued h.queued
claim             c.first c.second c.review !wait !wait !wait !wait | !taken !taken !taken | !held !held !held !held !held !held !held
put_back          !claim !claim !claim !claim !claim !claim !claim | queued second review | !held !held !held !held !held !held !held
actionable        !claim !claim !claim !claim !claim !claim !claim | action action !other | !held !held !held !held !held !held !held
first_of_two      !claim !claim !claim !claim !claim !claim !claim | second second !other | !held !held !held !held !held !held !held
not_actionable    !claim !claim !claim !claim !claim !claim !claim | noaction noaction !other | !held !held !held !held !held !held !held
second_look       !claim !claim !claim !claim !claim !claim !claim | second second review | !held !held !held !held !held !held !held
needs_information !claim !claim !claim !claim !claim !claim !claim | needs needs !other | !held !held !held !held !held !held !held
uphold            !claim !claim !claim !claim !claim !claim !claim | !other !other action | !held !held !held !held !held !held !held
say_gone          !claim !claim !claim !claim !claim !claim !claim | !other !other action | !held !held !held !held !held !held !held
withdraw          !claim !claim !claim !claim !claim !claim !claim | !other !other gone | !held !held !held !held !held !held !held
match_yes         action = = = = action = | = = = | = = = = = = =
match_no          noaction = = = = noaction = | = = = | = = = = = = =
ask_review        = = = review = = = | = = = | = = = h.review = = =
withdraw_verdict  !verdict !verdict gone gone queued !verdict = | !verdict !verdict gone | !verdict !verdict h.gone h.gone h.queued !verdict =
assess_again      = = !stands !stands !stands = queued | = = !stands | = = !stands !stands !stands = h.queued
hold              h.queued h.second h.review h.action h.noaction h.needs h.gone | h.queued h.second h.review | = = = = = = =
unhold            !free !free !free !free !free !free !free | !free !free !free | queued second review action noaction needs gone
";

fn spell(before: State, after: Result<State, Misfit>) -> &'static str {
    match after {
        Ok(after) if after == before => "=",
        Ok(after) => STATES.iter().find(|(_, s)| *s == after).unwrap().0,
        Err(Misfit::NotWaiting) => "!wait",
        Err(Misfit::Taken) => "!taken",
        Err(Misfit::NotClaimed) => "!claim",
        Err(Misfit::OnHold) => "!held",
        Err(Misfit::NotOnHold) => "!free",
        Err(Misfit::NoVerdict) => "!verdict",
        Err(Misfit::Stands) => "!stands",
        Err(Misfit::OtherVerdict) => "!other",
    }
}

#[test]
fn every_pair_is_in_the_table() {
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
            let found = spell(*state, state.apply(command));
            assert_eq!(found, *expected, "{state_name} x {name}");
            uncovered -= 1;
        }
    }
    println!("uncovered {uncovered}");
    assert_eq!(uncovered, 0);
}

#[test]
fn every_word_is_some_state() {
    for word in AssessmentState::ALL {
        assert!(
            STATES.iter().any(|(_, state)| state.word() == *word),
            "{word}"
        );
    }
}
