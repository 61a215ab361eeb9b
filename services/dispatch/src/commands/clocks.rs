//! When a rung is due, what stops it, and which clock of a notice runs out next.

use domain::word::{LiveState, NoticeState, Rung};
use time::{Duration, OffsetDateTime};

use super::dossier::{Context, Dossier};
use crate::lifecycle::notice::{self, Command};
use crate::policy::RungRule;
use crate::store::{Notice, Pause};

/// Whether a rung turns to somebody else, or goes another way to the same.
pub(super) const fn turns(rung: Rung) -> bool {
    match rung {
        Rung::NextContact | Rung::Upstream | Rung::Registrar => true,
        Rung::Host | Rung::Remind | Rung::Regulator | Rung::Supervisor => false,
    }
}

impl Dossier {
    /// When a rung is due; never while a pause stops it. A claim under check defers the providers' rungs, within bounds.
    pub(super) fn rung_due(&self, cx: &Context<'_>, n: usize) -> Option<OffsetDateTime> {
        let rule = self.regime(cx).ladder.get(n)?;
        if rule.never_pauses() {
            return Some(self.case.episode_at? + rule.after);
        }
        if self.case.pause.is_some() {
            return None;
        }
        let due = self.case.ladder_from? + rule.after;
        let due = match self.case.hurried_to {
            Some(by) if self.is_next_contact(cx, n) => due.min(by),
            _ => due,
        };
        match (self.case.claim_since, self.case.claim_until) {
            (Some(_), Some(until)) => Some(due.max(until)),
            _ => Some(due),
        }
    }

    /// Whether this rung is the next that turns to another contact.
    fn is_next_contact(&self, cx: &Context<'_>, n: usize) -> bool {
        let ladder = &self.regime(cx).ladder;
        let next = (0..ladder.len()).find(|n| turns(ladder[*n].rung) && !self.has_fired(cx, *n));
        next == Some(n)
    }

    /// Whether a rung has fired in this episode: known by what it is and when it is due, so that a policy that was
    /// changed meanwhile skips none and fires none twice. A row of an earlier version knows positions only.
    pub(super) fn has_fired(&self, cx: &Context<'_>, n: usize) -> bool {
        match (&self.case.fired, self.regime(cx).ladder.get(n)) {
            (Some(fired), Some(rule)) => fired.split(' ').any(|mark| mark == rule.mark()),
            (_, _) => self.case.rungs_fired & (1 << n) != 0,
        }
    }

    pub(super) fn mark_fired(&mut self, cx: &Context<'_>, n: usize) {
        let ladder = &self.regime(cx).ladder;
        let mut marks: Vec<String> = match self.case.fired.as_deref() {
            Some(fired) => fired
                .split(' ')
                .filter(|m| !m.is_empty())
                .map(str::to_owned)
                .collect(),
            None => (0..ladder.len())
                .filter(|n| self.has_fired(cx, *n))
                .map(|n| ladder[n].mark())
                .collect(),
        };
        marks.push(ladder[n].mark());
        let case = self.case_mut();
        case.rungs_fired |= 1 << n;
        case.fired = Some(marks.join(" "));
    }

    /// Of the rungs that have fired, only these still count as fired.
    pub(super) fn keep_fired(&mut self, cx: &Context<'_>, keep: impl Fn(&RungRule) -> bool) {
        let ladder = &self.regime(cx).ladder;
        let kept: Vec<usize> = (0..ladder.len())
            .filter(|n| self.has_fired(cx, *n) && keep(&ladder[*n]))
            .collect();
        let case = self.case_mut();
        case.rungs_fired = 0;
        case.fired = Some(String::new());
        for n in kept {
            self.mark_fired(cx, n);
        }
    }

    /// The rung that is due next, and when. Rungs that are due at the same time fire in their order.
    pub(super) fn next_rung(&self, cx: &Context<'_>) -> Option<(OffsetDateTime, usize)> {
        if self.case.live != LiveState::Up {
            return None;
        }
        (0..self.regime(cx).ladder.len())
            .filter(|n| !self.has_fired(cx, *n))
            .filter_map(|n| Some((self.rung_due(cx, n)?, n)))
            .min()
    }

    /// Stops the ladder by a provider's word, as far as the policy grants it; tells until when.
    pub(super) fn pause(
        &mut self,
        cx: &Context<'_>,
        wanted: Option<OffsetDateTime>,
    ) -> Option<OffsetDateTime> {
        let bounds = &cx.rules.policy.pauses;
        let left = bounds.total - Duration::milliseconds(self.case.paused_ms);
        let most = bounds.each.min(left);
        if let Some(pause) = self.case.pause {
            let until = wanted
                .unwrap_or(pause.since + most)
                .clamp(pause.until, (pause.since + most).max(pause.until));
            self.case_mut().pause = Some(Pause { until, ..pause });
            return Some(until);
        }
        if self.case.pauses >= bounds.times || !most.is_positive() {
            return None;
        }
        let latest = cx.now + most;
        let until = wanted.map_or(latest, |wanted| wanted.min(latest));
        let case = self.case_mut();
        case.pauses += 1;
        case.pause = Some(Pause {
            since: cx.now,
            until,
        });
        Some(until)
    }

    /// Lets the ladder go on when no provider's word stops it any more.
    pub(super) fn resume_when_answered(&mut self, cx: &Context<'_>) {
        let asking = self
            .current()
            .any(|n| notice::is_asking(self.notices[n].state));
        if !asking {
            self.resume(cx);
        }
    }

    /// The time that was granted is over: who asked for it is taken at their acknowledgement.
    pub(super) fn end_pause(&mut self, cx: &Context<'_>) {
        for n in self.current().collect::<Vec<_>>() {
            // A question of fact stays open until somebody answers it; only the clock goes on.
            if self.notices[n].state == NoticeState::NeedTime {
                self.put(n, Command::Resume);
            }
        }
        self.resume(cx);
    }

    fn resume(&mut self, cx: &Context<'_>) {
        let Some(pause) = self.case.pause else {
            return;
        };
        let length = (cx.now.min(pause.until) - pause.since).max(Duration::ZERO);
        self.case_mut().pause = None;
        self.case_mut().paused_ms += length.whole_milliseconds() as i64;
        self.shift(length);
    }

    /// Moves the ladder and the open notices' clocks later.
    pub(super) fn shift(&mut self, length: Duration) {
        let case = self.case_mut();
        case.ladder_from = case.ladder_from.map(|from| from + length);
        for n in self.current().collect::<Vec<_>>() {
            if notice::is_open(self.notices[n].state) {
                let notice = self.notice_mut(n);
                notice.acknowledge_due_at += length;
                notice.due_at += length;
            }
        }
    }

    /// Works out what follows from the rest: the next timer, overdue clocks, whether work is still to come.
    pub(super) fn settle(&mut self, cx: &Context<'_>) {
        let rung = self.next_rung(cx).map(|(due, _)| due);
        let pause = match self.case.live {
            LiveState::Up | LiveState::Exhausted => self.case.pause.map(|pause| pause.until),
            LiveState::Gone
            | LiveState::Watched
            | LiveState::Held
            | LiveState::Closed
            | LiveState::Withdrawn => None,
        };
        self.case.due_at = rung.into_iter().chain(pause).min();
        self.case.unsettled = self.is_unsettled();
        for n in 0..self.notices.len() {
            let overdue = self.overdue_from(cx, &self.notices[n]);
            if self.notices[n].overdue_from != overdue {
                self.notice_mut(n).overdue_from = overdue;
            }
        }
    }

    fn overdue_from(&self, cx: &Context<'_>, notice: &Notice) -> Option<OffsetDateTime> {
        let up = matches!(
            self.case.live,
            LiveState::Up | LiveState::Held | LiveState::Exhausted
        );
        let given_up = notice.state == NoticeState::Escalated
            && matches!(
                notice.escalated_to,
                Some(Rung::Regulator | Rung::Supervisor)
            );
        let runs = up
            && notice.episode == self.case.episode
            && (notice::is_open(notice.state) || given_up);
        if !runs {
            return None;
        }
        // A re-appearance is received when it is seen.
        let appeared = self.case.episode_at.filter(|_| self.case.episode > 1);
        let received = appeared.unwrap_or(self.case.received_at) + self.regime(cx).received;
        if notice::is_asking(notice.state) {
            return Some(received);
        }
        let provider = match notice.acknowledged_at {
            None => notice.acknowledge_due_at.min(notice.due_at),
            Some(_) => notice.due_at,
        };
        Some(provider.min(received))
    }
}
