//! Every state with every command, against tables that are spelled out.

use domain::word::{Answer, LiveState, NoticeState};

use super::{Message, case, may_leave, notice};

/// Q queued, S sent, D delivered, A acknowledged, C removal claimed, R removed, W watched, X closed, B bounced,
/// N not ours, I need information, T need time, P preserved, U disputed, O no action, E escalated, M moved, V withdrawn;
/// `+` an event alone, `=` a repeat, `.` over, `!` refused. Columns: send, deliver, reroute, bounce; the ten answers;
/// confirm, refute, inform, uphold, resume, escalate, watch, close, withdraw.
const NOTICES: [(NoticeState, &str); 18] = [
    (NoticeState::Queued, "SD=B ACCMNPITUO R=!==E=XV"),
    (NoticeState::Sent, "=DQB ACCMNPITUO R=!==E=XV"),
    (NoticeState::Delivered, "==== ACCMNPITUO R=!==E=XV"),
    (NoticeState::Acknowledged, "==== =CCMNPITUO R=!==E=XV"),
    (NoticeState::RemovalClaimed, "==== ===MN+ITUO RD!==E=XV"),
    (NoticeState::Removed, "==== .......... =.....WXV"),
    (NoticeState::Watched, "==== .......... =.....=XV"),
    (NoticeState::Closed, "==== .......... .......=V"),
    (NoticeState::Bounced, "==== ACCMNPITUO ==!==+=XV"),
    (NoticeState::NotOurs, "==== =CCM=PITUO ==!==+=XV"),
    (NoticeState::NeedInformation, "==== =CCMNP=TUO R=D=AE=XV"),
    (NoticeState::NeedTime, "==== =CCMNPI=UO R=!=AE=XV"),
    (NoticeState::Preserved, "==== =CCMN=ITUO R=!==E=XV"),
    (NoticeState::Disputed, "==== =CCMNPIT=O R=!DAE=XV"),
    (NoticeState::NoAction, "==== =CCMNPITU= ==!==+=XV"),
    (NoticeState::Escalated, "=+=+ ACCMNPITUO R=!==+=XV"),
    (NoticeState::Moved, "==== =CC=NPITUO ==!==+=XV"),
    (NoticeState::Withdrawn, "==== .......... ........="),
];

/// U up, G gone, W watched, H held, X exhausted, C closed, V withdrawn; `<` back to before the hold, `?` look first,
/// `=` a repeat. Columns: act, confirm, watch, reappear, hold, release, exhaust, close, withdraw.
const CASES: [(LiveState, &str); 7] = [
    (LiveState::Up, "=G==H=X=V"),
    (LiveState::Gone, "?=WUH==CV"),
    (LiveState::Watched, "?==UH==CV"),
    (LiveState::Held, "=====<==V"),
    (LiveState::Exhausted, "=G==H===V"),
    (LiveState::Closed, "?==U====V"),
    (LiveState::Withdrawn, "U========"),
];

fn notice_commands() -> Vec<notice::Command> {
    use notice::Command;
    let mut all = vec![
        Command::Send,
        Command::Deliver,
        Command::Reroute,
        Command::Bounce,
    ];
    all.extend(
        [
            Answer::Acknowledged,
            Answer::Removed,
            Answer::Unavailable,
            Answer::Moved,
            Answer::NotOurs,
            Answer::Preserved,
            Answer::NeedInformation,
            Answer::NeedTime,
            Answer::Disputed,
            Answer::NoAction,
        ]
        .map(Command::Answer),
    );
    all.extend([
        Command::Confirm,
        Command::Refute,
        Command::Inform,
        Command::Uphold,
        Command::Resume,
        Command::Escalate,
        Command::Watch,
        Command::Close,
        Command::Withdraw,
    ]);
    all
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
    let commands = notice_commands();
    let mut uncovered = NoticeState::ALL.len() * commands.len();
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
            uncovered -= 1;
        }
    }
    println!("notice: uncovered {uncovered}");
    assert_eq!(uncovered, 0);
}

#[test]
fn every_live_state_meets_every_command_as_the_table_says() {
    use case::Command;
    let commands = [
        Command::Act,
        Command::Confirm,
        Command::Watch,
        Command::Reappear,
        Command::Hold,
        Command::Release,
        Command::Exhaust,
        Command::Close,
        Command::Withdraw,
    ];
    let letter = |live| match live {
        LiveState::Up => 'U',
        LiveState::Gone => 'G',
        LiveState::Watched => 'W',
        LiveState::Held => 'H',
        LiveState::Exhausted => 'X',
        LiveState::Closed => 'C',
        LiveState::Withdrawn => 'V',
    };
    let mut uncovered = LiveState::ALL.len() * commands.len();
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
            uncovered -= 1;
        }
    }
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
