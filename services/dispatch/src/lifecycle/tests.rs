//! Every state with every command, against tables that are spelled out.

use domain::word::{Answer, LiveState, NoticeState};

use super::{Message, case, may_leave, notice};

/// Q queued, S sent, D delivered, A acknowledged, C removal claimed, R removed, W watched, X closed, B bounced,
/// N not ours, I need information, T need time, P preserved, U disputed, O no action, E escalated, M moved, V withdrawn;
/// `+` an event alone, `=` a repeat, `.` over, `!` refused. Columns: send, deliver, reroute, bounce, return; the ten answers;
/// confirm, refute, inform, uphold, resume, escalate, watch, close, withdraw.
const NOTICES: [(NoticeState, &str); 18] = [
    (NoticeState::Queued, "SD=B+ ACCMNPITUO R=!==E=XV"),
    (NoticeState::Sent, "=DQBQ ACCMNPITUO R=!==E=XV"),
    (NoticeState::Delivered, "====Q ACCMNPITUO R=!==E=XV"),
    (NoticeState::Acknowledged, "===== =CCMNPITUO R=!==E=XV"),
    (NoticeState::RemovalClaimed, "===== ===MN+ITUO RD!==E=XV"),
    (NoticeState::Removed, "===== .......... =.....WXV"),
    (NoticeState::Watched, "===== .......... =.....=XV"),
    (NoticeState::Closed, "===== .......... .......=V"),
    (NoticeState::Bounced, "===== ACCMNPITUO ==!==+=XV"),
    (NoticeState::NotOurs, "===== =CCM=PITUO ==!==+=XV"),
    (NoticeState::NeedInformation, "===== =CCMNP=TUO R=D=AE=XV"),
    (NoticeState::NeedTime, "===== =CCMNPI=UO R=!=AE=XV"),
    (NoticeState::Preserved, "===== =CCMN=ITUO R=!==E=XV"),
    (NoticeState::Disputed, "===== =CCMNPIT=O R=!DAE=XV"),
    (NoticeState::NoAction, "===== =CCMNPITU= ==!==+=XV"),
    (NoticeState::Escalated, "=+=++ ACCMNPITUO R=!==+=XV"),
    (NoticeState::Moved, "===== =CC=NPITUO ==!==+=XV"),
    (NoticeState::Withdrawn, "===== .......... ........="),
];

/// U up, G gone, W watched, H held, X exhausted, C closed, V withdrawn; `<` back to before the hold, `?` look first,
/// `=` a repeat. Columns: act, confirm, watch, reappear, hold, release, exhaust, find, close,
/// withdraw.
const CASES: [(LiveState, &str); 7] = [
    (LiveState::Up, "=G==H=X==V"),
    (LiveState::Gone, "?=WUH===CV"),
    (LiveState::Watched, "?==UH===CV"),
    (LiveState::Held, "=====<===V"),
    (LiveState::Exhausted, "=G==H==U=V"),
    (LiveState::Closed, "?==U=====V"),
    (LiveState::Withdrawn, "U========="),
];

/// The command after this one, in the order of the columns. A new command does not compile until it has its place.
fn next_notice_command(command: notice::Command) -> Option<notice::Command> {
    use notice::Command;
    Some(match command {
        Command::Send => Command::Deliver,
        Command::Deliver => Command::Reroute,
        Command::Reroute => Command::Bounce,
        Command::Bounce => Command::Return,
        Command::Return => Command::Answer(Answer::Acknowledged),
        Command::Answer(answer) => match answer {
            Answer::Acknowledged => Command::Answer(Answer::Removed),
            Answer::Removed => Command::Answer(Answer::Unavailable),
            Answer::Unavailable => Command::Answer(Answer::Moved),
            Answer::Moved => Command::Answer(Answer::NotOurs),
            Answer::NotOurs => Command::Answer(Answer::Preserved),
            Answer::Preserved => Command::Answer(Answer::NeedInformation),
            Answer::NeedInformation => Command::Answer(Answer::NeedTime),
            Answer::NeedTime => Command::Answer(Answer::Disputed),
            Answer::Disputed => Command::Answer(Answer::NoAction),
            Answer::NoAction => Command::Confirm,
        },
        Command::Confirm => Command::Refute,
        Command::Refute => Command::Inform,
        Command::Inform => Command::Uphold,
        Command::Uphold => Command::Resume,
        Command::Resume => Command::Escalate,
        Command::Escalate => Command::Watch,
        Command::Watch => Command::Close,
        Command::Close => Command::Withdraw,
        Command::Withdraw => return None,
    })
}

/// As [`next_notice_command`], of a case.
fn next_case_command(command: case::Command) -> Option<case::Command> {
    use case::Command;
    Some(match command {
        Command::Act => Command::Confirm,
        Command::Confirm => Command::Watch,
        Command::Watch => Command::Reappear,
        Command::Reappear => Command::Hold,
        Command::Hold => Command::Release,
        Command::Release => Command::Exhaust,
        Command::Exhaust => Command::Find,
        Command::Find => Command::Close,
        Command::Close => Command::Withdraw,
        Command::Withdraw => return None,
    })
}

/// Of all states, those that the table leaves out; one that stands twice in it covers itself only.
fn left_out<S: Copy + PartialEq>(all: &[S], table: impl Iterator<Item = S>) -> usize {
    let table: Vec<S> = table.collect();
    all.iter().filter(|state| !table.contains(state)).count()
}

fn letter(state: NoticeState) -> char {
    match state {
        NoticeState::Queued => 'Q',
        NoticeState::Sent => 'S',
        NoticeState::Delivered => 'D',
        NoticeState::Acknowledged => 'A',
        NoticeState::RemovalClaimed => 'C',
        NoticeState::Removed => 'R',
        NoticeState::Watched => 'W',
        NoticeState::Closed => 'X',
        NoticeState::Bounced => 'B',
        NoticeState::NotOurs => 'N',
        NoticeState::NeedInformation => 'I',
        NoticeState::NeedTime => 'T',
        NoticeState::Preserved => 'P',
        NoticeState::Disputed => 'U',
        NoticeState::NoAction => 'O',
        NoticeState::Escalated => 'E',
        NoticeState::Moved => 'M',
        NoticeState::Withdrawn => 'V',
    }
}

#[test]
fn every_notice_state_meets_every_command_as_the_table_says() {
    let commands: Vec<_> =
        std::iter::successors(Some(notice::Command::Send), |c| next_notice_command(*c)).collect();
    let left_out = left_out(NoticeState::ALL, NOTICES.iter().map(|row| row.0));
    for (state, row) in NOTICES {
        let row: Vec<char> = row.chars().filter(|c| *c != ' ').collect();
        assert_eq!(row.len(), commands.len(), "{state}");
        for (command, expected) in commands.iter().zip(row) {
            let found = match notice::apply(state, *command) {
                notice::Outcome::To(next) => letter(next),
                notice::Outcome::Record => '+',
                notice::Outcome::Repeat => '=',
                notice::Outcome::Over => '.',
                notice::Outcome::Refused => '!',
            };
            assert_eq!(found, expected, "{state} and {command:?}");
        }
    }
    let uncovered = left_out * commands.len();
    println!("notice: uncovered {uncovered}");
    assert_eq!(uncovered, 0);
}

#[test]
fn every_live_state_meets_every_command_as_the_table_says() {
    let commands: Vec<_> =
        std::iter::successors(Some(case::Command::Act), |c| next_case_command(*c)).collect();
    let letter = |live| match live {
        LiveState::Up => 'U',
        LiveState::Gone => 'G',
        LiveState::Watched => 'W',
        LiveState::Held => 'H',
        LiveState::Exhausted => 'X',
        LiveState::Closed => 'C',
        LiveState::Withdrawn => 'V',
    };
    let left_out = left_out(LiveState::ALL, CASES.iter().map(|row| row.0));
    for (live, row) in CASES {
        assert_eq!(row.len(), commands.len(), "{live}");
        for (command, expected) in commands.iter().zip(row.chars()) {
            let found = match case::apply(live, *command) {
                case::Outcome::To(next) => letter(next),
                case::Outcome::Back => '<',
                case::Outcome::Look => '?',
                case::Outcome::Repeat => '=',
            };
            assert_eq!(found, expected, "{live} and {command:?}");
        }
    }
    let uncovered = left_out * commands.len();
    println!("case: uncovered {uncovered}");
    assert_eq!(uncovered, 0);
}

#[test]
fn nothing_leaves_for_a_case_that_is_held_gone_or_answered() {
    for live in LiveState::ALL {
        for state in NoticeState::ALL {
            let retraction = may_leave(*live, *state, None, Message::Retraction);
            assert_eq!(retraction, *live == LiveState::Withdrawn);
            let leaves = may_leave(*live, *state, None, Message::Notice);
            let up = matches!(live, LiveState::Up | LiveState::Exhausted);
            let waits = matches!(
                state,
                NoticeState::Queued | NoticeState::Sent | NoticeState::Delivered
            );
            assert_eq!(leaves, up && waits, "{live} {state}");
        }
    }
}
