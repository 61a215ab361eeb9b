//! The hosts' log of received messages and accepted answers. It is the only place where a second notice for one step, or
//! an attempt after an acknowledgement, would show. It holds ids and never a URL.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use domain::enums::Answer;
use host_client::signed_notice::VerifiedNotice;
use time::OffsetDateTime;
use uuid::Uuid;

use super::network_fault::NetworkFault;

/// What identifies a notice from the host's point of view: one step has one notice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NoticeStep {
    pub case: Uuid,
    pub provider: String,
    pub episode: u32,
    pub step: u32,
}

/// Questions about recent activity search only this many of the latest messages.
const RECENT: usize = 100;

/// One verified message that reached a host.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    pub step: NoticeStep,
    pub notice: Uuid,
    pub sequence: u32,
    /// When the attempt was claimed, by the hotline's time, from the signed statement.
    pub issued: OffsetDateTime,
    /// Salted commitment to the URL, hexadecimal; and the salt if the document shows it.
    pub commitment: String,
    pub salt: Option<[u8; 32]>,
    /// Delivered by webhook or mail, not fetched from the pull API.
    pub pushed: bool,
    /// The host accepted it. A message that is not accepted is sent again.
    pub accepted: bool,
    /// The reply to the hotline is delayed.
    pub delayed: bool,
}

/// An answer that the hotline confirmed.
#[derive(Debug, Clone, Copy)]
pub struct AcceptedAnswer {
    pub notice: Uuid,
    pub answer: Answer,
    /// When the hotline's confirmation arrived.
    pub at: OffsetDateTime,
}

#[derive(Default)]
struct LogEntries {
    messages: Vec<ReceivedMessage>,
    answers: Vec<AcceptedAnswer>,
    /// The distinct notices of a step; more than one is an error of the hotline.
    notices: HashMap<NoticeStep, Vec<Uuid>>,
    received: u64,
    repeated: u64,
    /// Deliveries by notice and sequence.
    deliveries: HashMap<(Uuid, u32), u32>,
    refused: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
pub struct HostLog(Mutex<LogEntries>);

/// Totals over all hosts of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostLogTotals {
    /// Messages that reached a host, including resends.
    pub received: u64,
    /// Messages that the host had received before.
    pub repeated: u64,
    pub notices: u64,
    /// Notices beyond the first for one (case, provider, episode, step).
    pub duplicates: u64,
    /// Messages that failed the host's verification, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

impl HostLog {
    /// Counts a delivery and returns how often this message was delivered before.
    pub fn count_delivery(&self, step: NoticeStep, notice: Uuid, sequence: u32) -> u32 {
        let mut entries = self.lock();
        entries.received += 1;
        let deliveries = entries.deliveries.entry((notice, sequence)).or_default();
        let earlier = *deliveries;
        *deliveries += 1;
        entries.repeated += u64::from(earlier > 0);
        let notices = entries.notices.entry(step).or_default();
        if !notices.contains(&notice) {
            notices.push(notice);
        }
        earlier
    }

    /// Records a message, and whether the host accepted it.
    pub fn record_message(
        &self,
        step: NoticeStep,
        verified: &VerifiedNotice,
        pushed: bool,
        fault: NetworkFault,
    ) {
        self.lock().messages.push(ReceivedMessage {
            step,
            notice: verified.notice,
            sequence: verified.sequence,
            issued: verified.issued,
            commitment: verified.commitment.clone(),
            salt: verified.salt,
            pushed,
            accepted: fault.is_accepted(),
            delayed: fault.is_delayed(),
        });
    }

    /// Records an answer that the hotline confirmed.
    pub fn record_answer(&self, notice: Uuid, answer: Answer, at: OffsetDateTime) {
        self.lock()
            .answers
            .push(AcceptedAnswer { notice, answer, at });
    }

    /// Records a message that failed verification.
    pub fn record_refusal(&self, reason: &'static str) {
        *self.lock().refused.entry(reason).or_default() += 1;
    }

    /// True if a message issued after `since` has a delayed reply and will be refused.
    pub fn has_slow_refusal_since(&self, since: OffsetDateTime) -> bool {
        let entries = self.lock();
        let mut recent = entries.messages.iter().rev().take(RECENT);
        recent.any(|message| message.delayed && !message.accepted && message.issued > since)
    }

    /// True if a message issued after `since` was pushed to a host.
    pub fn was_pushed_since(&self, since: OffsetDateTime) -> bool {
        let entries = self.lock();
        let mut recent = entries.messages.iter().rev().take(RECENT);
        recent.any(|message| message.pushed && message.issued > since)
    }

    /// True if the hotline confirmed an answer after `since`.
    pub fn was_answered_since(&self, since: OffsetDateTime) -> bool {
        self.lock()
            .answers
            .last()
            .is_some_and(|last| last.at > since)
    }

    pub fn messages(&self) -> Vec<ReceivedMessage> {
        self.lock().messages.clone()
    }

    pub fn answers(&self) -> Vec<AcceptedAnswer> {
        self.lock().answers.clone()
    }

    pub fn totals(&self) -> HostLogTotals {
        let entries = self.lock();
        let notices = entries.notices.values().map(|notices| notices.len() as u64);
        let notices: u64 = notices.sum();
        HostLogTotals {
            received: entries.received,
            repeated: entries.repeated,
            notices,
            duplicates: notices - entries.notices.len() as u64,
            refused: entries.refused.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LogEntries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_id_for_one_step_is_a_duplicate_and_a_resend_is_not() {
        let log = HostLog::default();
        let step = || NoticeStep {
            case: Uuid::nil(),
            provider: "a".to_owned(),
            episode: 1,
            step: 1,
        };
        assert_eq!(log.count_delivery(step(), Uuid::from_u128(1), 1), 0);
        assert_eq!(log.count_delivery(step(), Uuid::from_u128(1), 1), 1);
        assert_eq!(log.totals().duplicates, 0);
        log.count_delivery(step(), Uuid::from_u128(2), 1);
        let totals = log.totals();
        assert_eq!(
            (totals.duplicates, totals.received, totals.repeated),
            (1, 3, 1)
        );
    }
}
