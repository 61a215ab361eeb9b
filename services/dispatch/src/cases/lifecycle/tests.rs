//! Every state with every command, against explicit tables.

use domain::enums::{Answer, ContentStatus, NoticeState};

use super::{Message, case, may_be_sent, notice};

/// Q queued, S sent, D delivered, A acknowledged, C removal claimed, R removed, W watched, X closed, B
/// bounced, N not ours, I need information, T need time, P preserved, U disputed, O no action, E escalated, M
/// moved, V withdrawn; `+` event only, `=` no change, `.` ended, `!` refused. Columns: send, deliver,
/// reroute, bounce, return; the ten answers; confirm, refute, inform, uphold, resume, escalate, watch, close,
/// withdraw.
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

/// N online, F offline, W watched, H held, X exhausted, C closed, V withdrawn; `<` resume the status before
/// the hold, `?` check first, `=` no change. Columns: open, confirm, watch, reappear, hold, release, exhaust,
/// find host, close, withdraw.
const CASES: [(ContentStatus, &str); 7] = [
    (ContentStatus::Online, "=F==H=X==V"),
    (ContentStatus::Offline, "?=WNH===CV"),
    (ContentStatus::Watched, "?==NH===CV"),
    (ContentStatus::Held, "=====<===V"),
    (ContentStatus::Exhausted, "=F==H==N=V"),
    (ContentStatus::Closed, "?==N=====V"),
    (ContentStatus::Withdrawn, "N========="),
];

/// The command in the next column. A new command does not compile until it has a column.
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

/// As [`next_notice_command`], for a case.
fn next_case_command(command: case::Command) -> Option<case::Command> {
    use case::Command;
    Some(match command {
        Command::Open => Command::Confirm,
        Command::Confirm => Command::Watch,
        Command::Watch => Command::Reappear,
        Command::Reappear => Command::PoliceHold,
        Command::PoliceHold => Command::Release,
        Command::Release => Command::Exhaust,
        Command::Exhaust => Command::FindHost,
        Command::FindHost => Command::Close,
        Command::Close => Command::Withdraw,
        Command::Withdraw => return None,
    })
}

/// Number of states that the table lacks. A state that occurs twice in it counts once.
fn count_missing<S: Copy + PartialEq>(all: &[S], table: impl Iterator<Item = S>) -> usize {
    let table: Vec<S> = table.collect();
    all.iter().filter(|state| !table.contains(state)).count()
}

fn symbol(state: NoticeState) -> char {
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
fn every_notice_state_handles_every_command_as_in_the_table() {
    let commands: Vec<_> =
        std::iter::successors(Some(notice::Command::Send), |c| next_notice_command(*c)).collect();
    let missing = count_missing(NoticeState::ALL, NOTICES.iter().map(|row| row.0));
    for (state, row) in NOTICES {
        let row: Vec<char> = row.chars().filter(|c| *c != ' ').collect();
        assert_eq!(row.len(), commands.len(), "{state}");
        for (command, expected) in commands.iter().zip(row) {
            let found = match notice::apply(state, *command) {
                notice::NoticeTransition::ChangeTo(next) => symbol(next),
                notice::NoticeTransition::RecordOnly => '+',
                notice::NoticeTransition::NoChange => '=',
                notice::NoticeTransition::Ended => '.',
                notice::NoticeTransition::Refused => '!',
            };
            assert_eq!(found, expected, "{state} and {command:?}");
        }
    }
    let uncovered = missing * commands.len();
    println!("notice: uncovered {uncovered}");
    assert_eq!(uncovered, 0);
}

#[test]
fn every_content_status_handles_every_command_as_in_the_table() {
    let commands: Vec<_> =
        std::iter::successors(Some(case::Command::Open), |c| next_case_command(*c)).collect();
    let symbol = |content_status| match content_status {
        ContentStatus::Online => 'N',
        ContentStatus::Offline => 'F',
        ContentStatus::Watched => 'W',
        ContentStatus::Held => 'H',
        ContentStatus::Exhausted => 'X',
        ContentStatus::Closed => 'C',
        ContentStatus::Withdrawn => 'V',
    };
    let missing = count_missing(ContentStatus::ALL, CASES.iter().map(|row| row.0));
    for (content_status, row) in CASES {
        assert_eq!(row.len(), commands.len(), "{content_status}");
        for (command, expected) in commands.iter().zip(row.chars()) {
            let found = match case::apply(content_status, *command) {
                case::CaseTransition::ChangeTo(next) => symbol(next),
                case::CaseTransition::ResumePrevious => '<',
                case::CaseTransition::CheckFirst => '?',
                case::CaseTransition::NoChange => '=',
            };
            assert_eq!(found, expected, "{content_status} and {command:?}");
        }
    }
    let uncovered = missing * commands.len();
    println!("case: uncovered {uncovered}");
    assert_eq!(uncovered, 0);
}

#[test]
fn nothing_is_sent_for_a_case_that_is_held_or_offline_or_a_notice_that_is_answered() {
    for content_status in ContentStatus::ALL {
        for state in NoticeState::ALL {
            let retraction = may_be_sent(*content_status, *state, None, Message::Retraction);
            assert_eq!(retraction, *content_status == ContentStatus::Withdrawn);
            let is_sent = may_be_sent(*content_status, *state, None, Message::Notice);
            let is_online = matches!(
                content_status,
                ContentStatus::Online | ContentStatus::Exhausted
            );
            let is_pending = matches!(
                state,
                NoticeState::Queued | NoticeState::Sent | NoticeState::Delivered
            );
            assert_eq!(is_sent, is_online && is_pending, "{content_status} {state}");
        }
    }
}
