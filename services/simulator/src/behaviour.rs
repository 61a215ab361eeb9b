//! What a simulated provider does with a message: decided by its behaviour and by the messages about the case so far.
//! Pure: no network, no time, no randomness.

use std::collections::BTreeSet;

use domain::enums::Answer;
use host_client::signed_notice::MessageKind;
use uuid::Uuid;

use super::scenario::Behaviour;

/// Text of a question and of a dispute.
pub const QUESTION_TEXT: &str = "Which content on this page does the notice refer to?";
pub const DISPUTE_TEXT: &str = "Our reviewers are not sure; please review it again.";

/// One verified message about one notice.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedNotice {
    pub notice: Uuid,
    pub episode: u32,
    pub sequence: u32,
    pub kind: MessageKind,
}

/// What a provider remembers of one case.
#[derive(Debug, Default)]
pub struct CaseMemory {
    messages: BTreeSet<(Uuid, u32)>,
    notices: BTreeSet<Uuid>,
    question_episode: Option<u32>,
    removal_episode: Option<u32>,
    reappeared: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAction {
    Answer(Answer),
    /// Takes the page offline; with `reappears`, it is online again later.
    TakeDown {
        reappears: bool,
    },
}

const REMOVE: [HostAction; 3] = [
    HostAction::Answer(Answer::Acknowledged),
    HostAction::TakeDown { reappears: false },
    HostAction::Answer(Answer::Removed),
];

/// The actions for a message, in order. A resend of a known message has none.
pub fn react(
    behaviour: Behaviour,
    memory: &mut CaseMemory,
    received: ReceivedNotice,
) -> Vec<HostAction> {
    if !memory.messages.insert((received.notice, received.sequence)) {
        return Vec::new();
    }
    memory.notices.insert(received.notice);
    if received.kind == MessageKind::Retraction {
        return Vec::new();
    }
    if memory.removal_episode == Some(received.episode) {
        return vec![HostAction::Answer(Answer::Removed)];
    }
    let actions = match behaviour {
        Behaviour::Prompt | Behaviour::Down => REMOVE.to_vec(),
        Behaviour::Slow | Behaviour::ClaimsFalsely if memory.notices.len() > 1 => REMOVE.to_vec(),
        Behaviour::Slow | Behaviour::Silent | Behaviour::Bounces => Vec::new(),
        Behaviour::NotOurs => vec![HostAction::Answer(Answer::NotOurs)],
        Behaviour::Disputes => ask(memory, received, Answer::Disputed, MessageKind::Upheld),
        Behaviour::NeedsInformation => ask(
            memory,
            received,
            Answer::NeedInformation,
            MessageKind::Information,
        ),
        Behaviour::Reappears => {
            let reappears = !std::mem::replace(&mut memory.reappeared, true);
            let [acknowledged, _, removed] = REMOVE;
            vec![acknowledged, HostAction::TakeDown { reappears }, removed]
        }
        Behaviour::ClaimsFalsely => vec![HostAction::Answer(Answer::Removed)],
    };
    if actions
        .iter()
        .any(|action| matches!(action, HostAction::TakeDown { .. }))
    {
        memory.removal_episode = Some(received.episode);
    }
    actions
}

/// Asks once, then waits for the reply. A later episode is acted on without a second question.
fn ask(
    memory: &mut CaseMemory,
    received: ReceivedNotice,
    question: Answer,
    reply: MessageKind,
) -> Vec<HostAction> {
    match memory.question_episode {
        None => {
            memory.question_episode = Some(received.episode);
            vec![HostAction::Answer(question)]
        }
        Some(episode) if received.kind == reply || received.episode > episode => REMOVE.to_vec(),
        Some(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(notice: u128, episode: u32, sequence: u32, kind: MessageKind) -> ReceivedNotice {
        ReceivedNotice {
            notice: Uuid::from_u128(notice),
            episode,
            sequence,
            kind,
        }
    }

    #[test]
    fn a_resend_causes_no_action() {
        let mut memory = CaseMemory::default();
        let first = message(1, 1, 1, MessageKind::Notice);
        assert_eq!(react(Behaviour::Prompt, &mut memory, first), REMOVE);
        assert_eq!(react(Behaviour::Prompt, &mut memory, first), []);
    }

    #[test]
    fn slow_and_falsely_claiming_hosts_remove_at_the_second_notice() {
        for (behaviour, at_first) in [
            (Behaviour::Slow, vec![]),
            (
                Behaviour::ClaimsFalsely,
                vec![HostAction::Answer(Answer::Removed)],
            ),
        ] {
            let mut memory = CaseMemory::default();
            let notice = message(1, 1, 1, MessageKind::Notice);
            let reminder = message(2, 1, 1, MessageKind::Reminder);
            assert_eq!(react(behaviour, &mut memory, notice), at_first);
            assert_eq!(react(behaviour, &mut memory, reminder), REMOVE);
        }
    }

    #[test]
    fn a_host_with_a_question_waits_for_the_reply() {
        for (behaviour, question, reply) in [
            (Behaviour::Disputes, Answer::Disputed, MessageKind::Upheld),
            (
                Behaviour::NeedsInformation,
                Answer::NeedInformation,
                MessageKind::Information,
            ),
        ] {
            let mut memory = CaseMemory::default();
            let notice = message(1, 1, 1, MessageKind::Notice);
            let reminder = message(2, 1, 1, MessageKind::Reminder);
            let reply = message(1, 1, 2, reply);
            assert_eq!(
                react(behaviour, &mut memory, notice),
                [HostAction::Answer(question)]
            );
            assert_eq!(react(behaviour, &mut memory, reminder), []);
            assert_eq!(react(behaviour, &mut memory, reply), REMOVE);
        }
    }

    #[test]
    fn a_page_reappears_only_once() {
        let mut memory = CaseMemory::default();
        let notice = message(1, 1, 1, MessageKind::Notice);
        let second_episode = message(2, 2, 1, MessageKind::Notice);
        let first = react(Behaviour::Reappears, &mut memory, notice);
        let second = react(Behaviour::Reappears, &mut memory, second_episode);
        assert!(first.contains(&HostAction::TakeDown { reappears: true }));
        assert!(second.contains(&HostAction::TakeDown { reappears: false }));
    }
}
