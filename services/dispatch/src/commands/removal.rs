//! Gone or not: claims of removal, their confirmation or refutation, the watch, and what comes back.

use domain::wire::timestamp;
use domain::word::{Answer, LiveState, NoticeState, ReviewReason, Rung};
use proto::v1;
use proto::v1::event::Body;
use time::OffsetDateTime;

use super::dossier::{Context, Dossier};
use crate::Error;
use crate::lifecycle::{case, notice};

impl Dossier {
    /// A removal is said to have happened: it is looked at now, and again, until enough looks agree.
    pub(super) fn claim(&mut self, cx: &Context<'_>) {
        if self.case.claim_since.is_some() {
            return;
        }
        let window = cx.rules.policy.probe.claim_window;
        let case = self.case_mut();
        case.claim_since = Some(cx.now);
        case.claim_until = Some(cx.now + window);
        case.checks = 0;
        case.agreed = 0;
        case.changed = 0;
        if matches!(self.case.live, LiveState::Up | LiveState::Exhausted) {
            self.look_at(cx.now);
        }
    }

    pub(super) fn forget_claim(&mut self) {
        let case = self.case_mut();
        case.claim_since = None;
        case.claim_until = None;
        case.checks = 0;
        case.agreed = 0;
        case.changed = 0;
    }

    /// Enough checks agree that it is gone, or a person says so of what answers in its place.
    pub(super) fn confirm(&mut self, cx: &Context<'_>) {
        let case::Outcome::To(_) = self.put_case(case::Command::Confirm) else {
            return;
        };
        let body = Body::RemovalConfirmed(v1::RemovalConfirmed {
            episode: self.case.episode.cast_unsigned(),
            agreed: self.case.agreed.cast_unsigned(),
            checks: self.case.checks.cast_unsigned(),
            confirmed_at: Some(timestamp(cx.now)),
        });
        self.say(cx, body);
        for n in 0..self.notices.len() {
            self.cancel(n);
            if let notice::Outcome::To(_) = self.put(n, notice::Command::Confirm) {
                self.notice_mut(n).confirmed_at = Some(cx.now);
                self.put(n, notice::Command::Watch);
            }
        }
        self.forget_claim();
        let case = self.case_mut();
        case.confirmed_at = Some(cx.now);
        case.watch_step = 0;
        case.pause = None;
        case.resolve_at = None;
        // What a dispute or a changed page asked is answered: it is not there.
        case.review = None;
        match cx.rules.policy.watch_at(0, cx.now) {
            Some(at) => {
                self.put_case(case::Command::Watch);
                self.look_at(at);
            }
            None => self.close(cx, v1::CloseReason::Removed),
        }
    }

    /// Checks contradict what was claimed before the last of them began: it counts against whoever claimed it, and they are
    /// reminded at once. A later claim stands, and is looked at for itself.
    pub(super) fn refute(&mut self, cx: &Context<'_>, since: OffsetDateTime) {
        self.forget_claim();
        let (claimed, later): (Vec<usize>, Vec<usize>) =
            self.current().filter(|n| self.claims(*n)).partition(|n| {
                let claimed_at = self.notices[*n].removal_claimed_at;
                claimed_at.is_none_or(|at| at <= since)
            });
        for n in &claimed {
            self.put(*n, notice::Command::Refute);
            let notice = self.notice_mut(*n);
            notice.false_claims += 1;
            // It stands no longer, so that the next refutation does not count it again.
            notice.answer = None;
        }
        for n in claimed {
            let newest = self.branch_of(&self.notices[n].provider_id.clone());
            if newest == Some(n) && self.remind_one(cx, n, cx.now) {
                self.case_mut().last_rung = Some(Rung::Remind);
            }
        }
        // What the claim put off fires before the next claim can put it off again.
        self.fire_what_is_due(cx);
        if later.is_empty() {
            self.look_at(cx.now + self.open_interval(cx));
        } else {
            self.claim(cx);
        }
    }

    /// Whether a provider's word that it is gone stands, also where the ladder went past that notice meanwhile.
    fn claims(&self, n: usize) -> bool {
        let notice = &self.notices[n];
        let said = matches!(notice.answer, Some(Answer::Removed | Answer::Unavailable));
        notice.state == NoticeState::RemovalClaimed
            || (notice.state == NoticeState::Escalated && said)
    }

    /// Something else answers in its place: a person must say whether that is a removal.
    pub(super) fn ask_about_change(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        let claimed = self
            .current()
            .filter(|n| self.claims(*n))
            .last()
            .map(|n| self.notices[n].id);
        let case = self.case_mut();
        case.checks = 0;
        case.agreed = 0;
        case.changed = 0;
        self.look_at(cx.now + self.open_interval(cx));
        self.ask_review(cx, ReviewReason::Soft404, claimed, None)
    }

    /// It is there again: a new episode, told anew to whoever hosts it.
    pub(super) fn reappear(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        let was_closed = self.case.live == LiveState::Closed;
        let case::Outcome::To(_) = self.put_case(case::Command::Reappear) else {
            return Ok(());
        };
        let episode = (self.case.episode + 1).cast_unsigned();
        if was_closed {
            self.say(cx, Body::CaseReopened(v1::CaseReopened { episode }));
        }
        self.say(
            cx,
            Body::Reappeared(v1::Reappeared {
                episode,
                seen_at: Some(timestamp(cx.now)),
            }),
        );
        // The earlier appearance is history: nothing more is expected of its notices.
        for n in self.current().collect::<Vec<_>>() {
            self.put(n, notice::Command::Close);
        }
        let url = self.url(cx)?;
        self.begin(cx, &url)
    }

    /// The last look of the watch found nothing, or the verdict is gone.
    pub(super) fn close(&mut self, cx: &Context<'_>, reason: v1::CloseReason) {
        if reason == v1::CloseReason::Removed {
            let case::Outcome::To(_) = self.put_case(case::Command::Close) else {
                return;
            };
            for n in 0..self.notices.len() {
                self.put(n, notice::Command::Close);
            }
        }
        self.case_mut().closed_at = Some(cx.now);
        self.look_no_more();
        self.say(
            cx,
            Body::CaseClosed(v1::CaseClosed {
                reason: reason.into(),
                closed_at: Some(timestamp(cx.now)),
            }),
        );
    }

    /// How long until the next look at what is up and not claimed to be gone.
    pub(super) fn open_interval(&self, cx: &Context<'_>) -> time::Duration {
        let probe = &cx.rules.policy.probe;
        match self.case.live {
            LiveState::Exhausted => probe.exhausted,
            LiveState::Up
            | LiveState::Gone
            | LiveState::Watched
            | LiveState::Held
            | LiveState::Closed
            | LiveState::Withdrawn => probe.open,
        }
    }
}
