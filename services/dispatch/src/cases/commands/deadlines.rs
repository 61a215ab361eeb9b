//! Deadlines: when a rung is due, what defers it, pauses of the ladder, and when a notice becomes overdue.

use domain::enums::{ContentStatus, NoticeState, Rung};
use time::{Duration, OffsetDateTime};

use super::locked_case::{BatchContext, LockedCase};
use crate::cases::lifecycle::notice::{self, Command};
use crate::cases::store::Notice;
use crate::policy::RungIdx;

impl LockedCase {
    /// The rung that is due next, and when.
    pub(super) fn next_rung(&self, cx: &BatchContext<'_>) -> Option<(OffsetDateTime, RungIdx)> {
        if self.case().content_status != ContentStatus::Online {
            return None;
        }
        let deferred_until = self.case().removal.deferred_until();
        let ladder = &self.regime(cx).ladder;
        self.case().ladder.next_due(ladder, deferred_until)
    }

    /// Pauses the ladder after a provider's answer, as far as the policy grants it; returns until when, or
    /// `None` if it grants nothing.
    pub(super) fn pause_ladder(
        &mut self,
        cx: &BatchContext<'_>,
        wanted: Option<OffsetDateTime>,
    ) -> Option<OffsetDateTime> {
        let bounds = &cx.deps.policy.pauses;
        self.case_mut().ladder.pause(bounds, cx.now, wanted)
    }

    /// Resumes the ladder when no notice pauses it any more.
    pub(super) fn resume_unless_paused(&mut self, cx: &BatchContext<'_>) {
        let is_paused = self
            .current_notices()
            .any(|n| notice::pauses_ladder(self.notice(n).state));
        if !is_paused {
            self.resume_ladder(cx);
        }
    }

    /// Ends a pause whose time is over: `need_time` falls back to an acknowledgement.
    pub(super) fn end_pause(&mut self, cx: &BatchContext<'_>) {
        for n in self.current_notices().collect::<Vec<_>>() {
            // A provider's question stays open until staff answer it; only its deadlines resume.
            if self.notice(n).state == NoticeState::NeedTime {
                self.apply(n, Command::Resume);
            }
        }
        self.resume_ladder(cx);
    }

    fn resume_ladder(&mut self, cx: &BatchContext<'_>) {
        if self.case().ladder.is_paused()
            && let Some(length) = self.case_mut().ladder.resume(cx.now)
        {
            self.shift_deadlines(length);
        }
    }

    /// Moves the deadlines of open notices later.
    pub(super) fn shift_deadlines(&mut self, length: Duration) {
        for n in self.current_notices().collect::<Vec<_>>() {
            if notice::is_open(self.notice(n).state) {
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
        let pause = match self.case().content_status {
            ContentStatus::Online | ContentStatus::Exhausted => self.case().ladder.paused_until(),
            ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Held
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => None,
        };
        self.case_mut().due_at = rung.into_iter().chain(pause).min();
        self.case_mut().unsettled = self.is_unsettled();
        for n in self.notices().indices() {
            let overdue = self.overdue_from(cx, self.notice(n));
            if self.notice(n).overdue_from != overdue {
                self.notice_mut(n).overdue_from = overdue;
            }
        }
    }

    fn overdue_from(&self, cx: &BatchContext<'_>, notice: &Notice) -> Option<OffsetDateTime> {
        let is_online = matches!(
            self.case().content_status,
            ContentStatus::Online | ContentStatus::Held | ContentStatus::Exhausted
        );
        let was_handed_over = notice.state == NoticeState::Escalated
            && matches!(
                notice.escalated_to,
                Some(Rung::Regulator | Rung::Supervisor)
            );
        let has_deadline = is_online
            && notice.episode == self.case().episode
            && (notice::is_open(notice.state) || was_handed_over);
        if !has_deadline {
            return None;
        }
        // A re-appearance counts as received when it is detected.
        let reappeared_at = self
            .case()
            .ladder
            .started_at()
            .filter(|_| self.case().episode > 1);
        let received = reappeared_at.unwrap_or(self.case().received_at) + self.regime(cx).received;
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
