//! What a provider does when it hears of a case: its behaviour, decided by what it heard before. Pure: no network, no
//! clock, no chance.

use std::collections::BTreeSet;

use domain::word::Answer;
use uuid::Uuid;

use super::files::Behaviour;

/// What is said with a question and with a dispute.
pub const QUESTION: &str = "Which of the items on this page is meant?";
pub const DOUBT: &str = "Our reviewers are not sure; please look again.";

/// What changed since the last time this notice was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    Notice,
    Reminder,
    Information,
    Upheld,
    Retraction,
}

impl Message {
    /// Reads the word of the API, or the end of a webhook's event type.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("notice.").unwrap_or(text) {
            "notice" | "created" => Some(Self::Notice),
            "reminder" => Some(Self::Reminder),
            "information" => Some(Self::Information),
            "upheld" => Some(Self::Upheld),
            "retraction" | "retracted" => Some(Self::Retraction),
            _ => None,
        }
    }
}

/// One verified message about one notice.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    pub notice: Uuid,
    pub episode: u32,
    pub sequence: u32,
    pub message: Message,
}

/// What a provider remembers of one case.
#[derive(Debug, Default)]
pub struct Memory {
    heard: BTreeSet<(Uuid, u32)>,
    notices: BTreeSet<Uuid>,
    asked_in: Option<u32>,
    removed_in: Option<u32>,
    came_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Answer(Answer),
    /// Takes the page down; `comes_back` when it will be up again later.
    TakeDown {
        comes_back: bool,
    },
}

const REMOVE: [Act; 3] = [
    Act::Answer(Answer::Acknowledged),
    Act::TakeDown { comes_back: false },
    Act::Answer(Answer::Removed),
];

/// What to do now, in order. A message that was heard before asks for nothing.
pub fn react(behaviour: Behaviour, memory: &mut Memory, heard: Heard) -> Vec<Act> {
    if !memory.heard.insert((heard.notice, heard.sequence)) {
        return Vec::new();
    }
    memory.notices.insert(heard.notice);
    if heard.message == Message::Retraction {
        return Vec::new();
    }
    if memory.removed_in == Some(heard.episode) {
        return vec![Act::Answer(Answer::Removed)];
    }
    let acts = match behaviour {
        Behaviour::Prompt | Behaviour::Down => REMOVE.to_vec(),
        Behaviour::Slow | Behaviour::ClaimsFalsely if memory.notices.len() > 1 => REMOVE.to_vec(),
        Behaviour::Slow | Behaviour::Silent | Behaviour::Bounces => Vec::new(),
        Behaviour::NotOurs => vec![Act::Answer(Answer::NotOurs)],
        Behaviour::Disputes => ask(memory, heard, Answer::Disputed, Message::Upheld),
        Behaviour::NeedsInformation => {
            ask(memory, heard, Answer::NeedInformation, Message::Information)
        }
        Behaviour::Reappears => {
            let comes_back = !std::mem::replace(&mut memory.came_back, true);
            let [acknowledge, _, removed] = REMOVE;
            vec![acknowledge, Act::TakeDown { comes_back }, removed]
        }
        Behaviour::ClaimsFalsely => vec![Act::Answer(Answer::Removed)],
    };
    if acts.iter().any(|act| matches!(act, Act::TakeDown { .. })) {
        memory.removed_in = Some(heard.episode);
    }
    acts
}

/// Asks once and then waits for the reply; a later episode needs no second question.
fn ask(memory: &mut Memory, heard: Heard, question: Answer, reply: Message) -> Vec<Act> {
    match memory.asked_in {
        None => {
            memory.asked_in = Some(heard.episode);
            vec![Act::Answer(question)]
        }
        Some(episode) if heard.message == reply || heard.episode > episode => REMOVE.to_vec(),
        Some(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(notice: u128, episode: u32, sequence: u32, message: Message) -> Heard {
        Heard {
            notice: Uuid::from_u128(notice),
            episode,
            sequence,
            message,
        }
    }

    #[test]
    fn a_resend_asks_for_nothing() {
        let mut memory = Memory::default();
        let first = heard(1, 1, 1, Message::Notice);
        assert_eq!(react(Behaviour::Prompt, &mut memory, first), REMOVE);
        assert_eq!(react(Behaviour::Prompt, &mut memory, first), []);
    }

    #[test]
    fn slow_and_lying_hosts_act_at_the_second_notice() {
        for (behaviour, at_first) in [
            (Behaviour::Slow, vec![]),
            (Behaviour::ClaimsFalsely, vec![Act::Answer(Answer::Removed)]),
        ] {
            let mut memory = Memory::default();
            assert_eq!(
                react(behaviour, &mut memory, heard(1, 1, 1, Message::Notice)),
                at_first
            );
            assert_eq!(
                react(behaviour, &mut memory, heard(2, 1, 1, Message::Reminder)),
                REMOVE
            );
        }
    }

    #[test]
    fn whoever_asks_waits_for_the_reply() {
        for (behaviour, question, reply) in [
            (Behaviour::Disputes, Answer::Disputed, Message::Upheld),
            (
                Behaviour::NeedsInformation,
                Answer::NeedInformation,
                Message::Information,
            ),
        ] {
            let mut memory = Memory::default();
            let asked = react(behaviour, &mut memory, heard(1, 1, 1, Message::Notice));
            assert_eq!(asked, [Act::Answer(question)]);
            assert_eq!(
                react(behaviour, &mut memory, heard(2, 1, 1, Message::Reminder)),
                []
            );
            assert_eq!(react(behaviour, &mut memory, heard(1, 1, 2, reply)), REMOVE);
        }
    }

    #[test]
    fn it_comes_back_once() {
        let mut memory = Memory::default();
        let first = react(
            Behaviour::Reappears,
            &mut memory,
            heard(1, 1, 1, Message::Notice),
        );
        let second = react(
            Behaviour::Reappears,
            &mut memory,
            heard(2, 2, 1, Message::Notice),
        );
        assert!(first.contains(&Act::TakeDown { comes_back: true }));
        assert!(second.contains(&Act::TakeDown { comes_back: false }));
    }
}
