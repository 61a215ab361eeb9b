//! What the hosts wrote down of each message that reached them and of each answer that was taken: the only place where a
//! second notice for the same step would show, or an attempt after an acknowledgement. Keeps ids, never a URL.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use domain::word::Answer;
use time::OffsetDateTime;
use uuid::Uuid;

use super::mishap::Mishap;
use super::signed::Believed;

/// Which notice a host was sent, as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    pub case: Uuid,
    pub provider: String,
    pub episode: u32,
    pub step: u32,
}

/// What is going on is looked for among so many of the last lines.
const AMONG: usize = 100;

/// One message that reached a host and was believed.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub step: Step,
    pub notice: Uuid,
    pub sequence: u32,
    /// When it was claimed for this attempt, by the hotline's clock, as the signed part says.
    pub issued: OffsetDateTime,
    /// Salted, of the URL, hexadecimal; and the salt where it was shown.
    pub commitment: String,
    pub salt: Option<[u8; 32]>,
    /// It was brought, and not asked for.
    pub brought: bool,
    /// The host took it: an attempt that it did not take is made again.
    pub taken: bool,
    /// The sender is kept waiting for what came of it.
    pub hangs: bool,
}

/// An answer that the hotline said it has.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub notice: Uuid,
    pub answer: Answer,
    /// When the hotline's word was here.
    pub at: OffsetDateTime,
}

#[derive(Default)]
struct Lines {
    arrivals: Vec<Arrival>,
    answers: Vec<Taken>,
    /// The distinct notices of a step; one is right.
    notices: HashMap<Step, Vec<Uuid>>,
    received: u64,
    repeated: u64,
    heard: HashMap<(Uuid, u32), u32>,
    refused: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
pub struct HostLog(Mutex<Lines>);

/// What the hosts' logs say in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logged {
    /// Messages that reached a host, resends included.
    pub received: u64,
    /// Of these, messages that the host had received before.
    pub repeated: u64,
    pub notices: u64,
    /// Notices beyond the first for a (case, provider, episode, step).
    pub duplicates: u64,
    /// What a host would not believe, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

impl HostLog {
    /// Writes a message down and tells how often it was received before.
    pub fn receive(&self, step: Step, notice: Uuid, sequence: u32) -> u32 {
        let mut lines = self.lock();
        lines.received += 1;
        let heard = lines.heard.entry((notice, sequence)).or_default();
        let before = *heard;
        *heard += 1;
        lines.repeated += u64::from(before > 0);
        let notices = lines.notices.entry(step).or_default();
        if !notices.contains(&notice) {
            notices.push(notice);
        }
        before
    }

    /// Writes down what came in full, and whether the host took it.
    pub fn arrived(&self, step: Step, believed: &Believed, brought: bool, mishap: Mishap) {
        self.lock().arrivals.push(Arrival {
            step,
            notice: believed.notice,
            sequence: believed.sequence,
            issued: believed.issued,
            commitment: believed.commitment.clone(),
            salt: believed.salt,
            brought,
            taken: mishap.is_taken(),
            hangs: mishap.hangs(),
        });
    }

    /// The hotline has an answer.
    pub fn answered(&self, notice: Uuid, answer: Answer, at: OffsetDateTime) {
        self.lock().answers.push(Taken { notice, answer, at });
    }

    /// Whether a message that was sent since then is kept waiting, and will not be taken in the end.
    pub fn keeps_waiting(&self, since: OffsetDateTime) -> bool {
        let lines = self.lock();
        let mut late = lines.arrivals.iter().rev().take(AMONG);
        late.any(|arrival| arrival.hangs && !arrival.taken && arrival.issued > since)
    }

    /// Whether a message was claimed and brought after that moment.
    pub fn was_brought_since(&self, since: OffsetDateTime) -> bool {
        let lines = self.lock();
        let mut late = lines.arrivals.iter().rev().take(AMONG);
        late.any(|arrival| arrival.brought && arrival.issued > since)
    }

    /// Whether an answer was taken after that moment.
    pub fn was_answered_since(&self, since: OffsetDateTime) -> bool {
        self.lock()
            .answers
            .last()
            .is_some_and(|last| last.at > since)
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        self.lock().arrivals.clone()
    }

    pub fn answers(&self) -> Vec<Taken> {
        self.lock().answers.clone()
    }

    /// Writes down what was not believed, and why.
    pub fn refuse(&self, reason: &'static str) {
        *self.lock().refused.entry(reason).or_default() += 1;
    }

    pub fn read(&self) -> Logged {
        let lines = self.lock();
        let notices = lines.notices.values().map(|of_step| of_step.len() as u64);
        let notices: u64 = notices.sum();
        Logged {
            received: lines.received,
            repeated: lines.repeated,
            notices,
            duplicates: notices - lines.notices.len() as u64,
            refused: lines.refused.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_id_for_one_step_is_a_duplicate_and_a_resend_is_not() {
        let log = HostLog::default();
        let step = || Step {
            case: Uuid::nil(),
            provider: "a".to_owned(),
            episode: 1,
            step: 1,
        };
        assert_eq!(log.receive(step(), Uuid::from_u128(1), 1), 0);
        assert_eq!(log.receive(step(), Uuid::from_u128(1), 1), 1);
        assert_eq!(log.read().duplicates, 0);
        log.receive(step(), Uuid::from_u128(2), 1);
        let logged = log.read();
        assert_eq!(
            (logged.duplicates, logged.received, logged.repeated),
            (1, 3, 1)
        );
    }
}
