//! Deadlines: when a rung is due, what defers it, pauses of the ladder, and when a notice becomes overdue.

use domain::enums::{ContentStatus, NoticeState, Rung};
use time::{Duration, OffsetDateTime};

use super::locked_case::{BatchContext, LockedCase};
use crate::cases::lifecycle::notice::{self, Command};
use crate::cases::store::{Notice, Pause};
use crate::policy::{RungIdx, RungRule};

/// True if this rung contacts a different party, or the same party by another delivery channel.
pub(super) const fn contacts_someone_new(rung: Rung) -> bool {
    match rung {
        Rung::NextContact | Rung::Upstream | Rung::Registrar => true,
        Rung::Host | Rung::Remind | Rung::Regulator | Rung::Supervisor => false,
    }
}

impl LockedCase {
    /// When a rung is due; `None` while a pause stops it. A claim under check defers the providers' rungs,
    /// within bounds.
    pub(super) fn rung_due(&self, cx: &BatchContext<'_>, rung: RungIdx) -> Option<OffsetDateTime> {
        let rule = &self.regime(cx).ladder[rung];
        if rule.ignores_pauses() {
            return Some(self.case.episode_at? + rule.after);
        }
        if self.case.pause.is_some() {
            return None;
        }
        let due = self.case.ladder_from? + rule.after;
        let due = match self.case.next_contact_by {
            Some(by) if self.is_next_contact(cx, rung) => due.min(by),
            _ => due,
        };
        match (self.case.claim_since, self.case.claim_until) {
            (Some(_), Some(until)) => Some(due.max(until)),
            _ => Some(due),
        }
    }

    /// Whether this is the next unfired rung that contacts someone new.
    fn is_next_contact(&self, cx: &BatchContext<'_>, rung: RungIdx) -> bool {
        let ladder = &self.regime(cx).ladder;
        let next = ladder
            .indices()
            .find(|other| contacts_someone_new(ladder[*other].rung) && !self.has_fired(cx, *other));
        next == Some(rung)
    }

    /// Whether a rung has fired in this episode. Rungs are recorded by kind and time, not by position, so
    /// that a changed policy neither skips a rung nor fires one twice.
    pub(super) fn has_fired(&self, cx: &BatchContext<'_>, rung: RungIdx) -> bool {
        let key = self.regime(cx).ladder[rung].key();
        self.case.rungs_fired.contains(&key)
    }

    /// Records that a rung has fired, or was skipped, in this episode.
    pub(super) fn record_fired(&mut self, cx: &BatchContext<'_>, rung: RungIdx) {
        let key = self.regime(cx).ladder[rung].key();
        self.case_mut().rungs_fired.push(key);
    }

    /// Forgets that rungs have fired, except those that `keep` selects.
    pub(super) fn retain_fired(&mut self, cx: &BatchContext<'_>, keep: impl Fn(&RungRule) -> bool) {
        let ladder = &self.regime(cx).ladder;
        let kept = ladder
            .indices()
            .filter(|rung| self.has_fired(cx, *rung) && keep(&ladder[*rung]))
            .map(|rung| ladder[rung].key())
            .collect();
        self.case_mut().rungs_fired = kept;
    }

    /// The rung that is due next, and when. Rungs due at the same time fire in their order.
    pub(super) fn next_rung(&self, cx: &BatchContext<'_>) -> Option<(OffsetDateTime, RungIdx)> {
        if self.case.content_status != ContentStatus::Online {
            return None;
        }
        let ladder = &self.regime(cx).ladder;
        ladder
            .indices()
            .filter(|rung| !self.has_fired(cx, *rung))
            .filter_map(|rung| Some((self.rung_due(cx, rung)?, rung)))
            .min()
    }

    /// Pauses the ladder after a provider's answer, as far as the policy grants it; returns until when, or
    /// `None` if it grants nothing.
    pub(super) fn pause_ladder(
        &mut self,
        cx: &BatchContext<'_>,
        wanted: Option<OffsetDateTime>,
    ) -> Option<OffsetDateTime> {
        let bounds = &cx.deps.policy.pauses;
        let left = bounds.max_total - Duration::milliseconds(self.case.paused_ms);
        let max = bounds.max_each.min(left);
        if let Some(pause) = self.case.pause {
            let until = wanted
                .unwrap_or(pause.since + max)
                .clamp(pause.until, (pause.since + max).max(pause.until));
            self.case_mut().pause = Some(Pause { until, ..pause });
            return Some(until);
        }
        if self.case.pauses >= bounds.max_count || !max.is_positive() {
            return None;
        }
        let latest = cx.now + max;
        let until = wanted.map_or(latest, |wanted| wanted.min(latest));
        let case = self.case_mut();
        case.pauses += 1;
        case.pause = Some(Pause {
            since: cx.now,
            until,
        });
        Some(until)
    }

    /// Resumes the ladder when no notice pauses it any more.
    pub(super) fn resume_unless_paused(&mut self, cx: &BatchContext<'_>) {
        let is_paused = self
            .current_notices()
            .any(|n| notice::pauses_ladder(self.notices[n].state));
        if !is_paused {
            self.resume_ladder(cx);
        }
    }

    /// Ends a pause whose time is over: `need_time` falls back to an acknowledgement.
    pub(super) fn end_pause(&mut self, cx: &BatchContext<'_>) {
        for n in self.current_notices().collect::<Vec<_>>() {
            // A provider's question stays open until staff answer it; only its deadlines resume.
            if self.notices[n].state == NoticeState::NeedTime {
                self.apply(n, Command::Resume);
            }
        }
        self.resume_ladder(cx);
    }

    fn resume_ladder(&mut self, cx: &BatchContext<'_>) {
        let Some(pause) = self.case.pause else {
            return;
        };
        let length = (cx.now.min(pause.until) - pause.since).max(Duration::ZERO);
        self.case_mut().pause = None;
        self.case_mut().paused_ms += length.whole_milliseconds() as i64;
        self.shift_deadlines(length);
    }

    /// Moves the ladder and the deadlines of open notices later.
    pub(super) fn shift_deadlines(&mut self, length: Duration) {
        let case = self.case_mut();
        case.ladder_from = case.ladder_from.map(|from| from + length);
        for n in self.current_notices().collect::<Vec<_>>() {
            if notice::is_open(self.notices[n].state) {
                let notice = self.notice_mut(n);
                notice.acknowledge_due_at += length;
                notice.due_at += length;
            }
        }
    }

    /// Recomputes the derived columns: the next timer, when each notice is overdue, and whether work is still
    /// to come.
    pub(super) fn update_derived(&mut self, cx: &BatchContext<'_>) {
        let rung = self.next_rung(cx).map(|(due, _)| due);
        let pause = match self.case.content_status {
            ContentStatus::Online | ContentStatus::Exhausted => {
                self.case.pause.map(|pause| pause.until)
            }
            ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Held
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => None,
        };
        self.case.due_at = rung.into_iter().chain(pause).min();
        self.case.unsettled = self.is_unsettled();
        for n in self.notices.indices() {
            let overdue = self.overdue_from(cx, &self.notices[n]);
            if self.notices[n].overdue_from != overdue {
                self.notice_mut(n).overdue_from = overdue;
            }
        }
    }

    fn overdue_from(&self, cx: &BatchContext<'_>, notice: &Notice) -> Option<OffsetDateTime> {
        let is_online = matches!(
            self.case.content_status,
            ContentStatus::Online | ContentStatus::Held | ContentStatus::Exhausted
        );
        let was_handed_over = notice.state == NoticeState::Escalated
            && matches!(
                notice.escalated_to,
                Some(Rung::Regulator | Rung::Supervisor)
            );
        let has_deadline = is_online
            && notice.episode == self.case.episode
            && (notice::is_open(notice.state) || was_handed_over);
        if !has_deadline {
            return None;
        }
        // A re-appearance counts as received when it is detected.
        let reappeared_at = self.case.episode_at.filter(|_| self.case.episode > 1);
        let received = reappeared_at.unwrap_or(self.case.received_at) + self.regime(cx).received;
        if notice::pauses_ladder(notice.state) {
            return Some(received);
        }
        let provider_deadline = match notice.acknowledged_at {
            None => notice.acknowledge_due_at.min(notice.due_at),
            Some(_) => notice.due_at,
        };
        Some(provider_deadline.min(received))
    }
}
