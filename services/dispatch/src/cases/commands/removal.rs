//! Removal of the content: claims and their confirmation or refutation, the watch, and re-appearances.

use domain::enums::{Answer, ContentStatus, NoticeState, ReviewReason, Rung};
use domain::wire::timestamp;
use proto::v1;
use proto::v1::event::Body;
use time::OffsetDateTime;

use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use crate::Error;
use crate::cases::lifecycle::case::{self, CaseTransition};
use crate::cases::lifecycle::notice::{self, NoticeTransition};

impl LockedCase {
    /// Starts the checks of a claimed removal: one now, then more until enough of them agree.
    pub(super) fn start_claim_check(&mut self, cx: &BatchContext<'_>) {
        if self.case().removal.is_claimed() {
            return;
        }
        let window = cx.deps.policy.checks.claim_window;
        self.case_mut().removal.claim(cx.now, window);
        if matches!(
            self.case().content_status,
            ContentStatus::Online | ContentStatus::Exhausted
        ) {
            self.schedule_check(cx.now);
        }
    }

    /// Records the removal: enough checks found the URL offline, or a person decided that the changed page is
    /// not the material.
    pub(super) fn confirm_removal(&mut self, cx: &BatchContext<'_>) {
        let CaseTransition::ChangeTo(_) = self.apply_to_case(case::Command::Confirm) else {
            return;
        };
        let counted = self.case().removal.row();
        let body = Body::RemovalConfirmed(v1::RemovalConfirmed {
            episode: self.case().episode.cast_unsigned(),
            agreed: counted.checks_agreed.cast_unsigned(),
            checks: counted.checks.cast_unsigned(),
            confirmed_at: Some(timestamp(cx.now)),
        });
        self.emit(cx, body);
        for n in self.notices().indices() {
            self.cancel(n);
            if let NoticeTransition::ChangeTo(_) = self.apply(n, notice::Command::Confirm) {
                self.notice_mut(n).confirmed_at = Some(cx.now);
                self.apply(n, notice::Command::Watch);
            }
        }
        let case = self.case_mut();
        case.removal.clear_claim();
        case.removal.restart_watch();
        case.ladder.drop_pause();
        case.confirmed_at = Some(cx.now);
        case.resolve_at = None;
        // The removal settles an open dispute or question about a changed page.
        case.review = None;
        match cx.deps.policy.watch_at(0, cx.now) {
            Some(at) => {
                self.apply_to_case(case::Command::Watch);
                self.schedule_check(at);
            }
            None => self.close(cx, v1::CloseReason::Removed),
        }
    }

    /// Refutes the claims made before the last check began (`check_started_at`): each counts as a false
    /// claim, and its provider is reminded at once. A later claim stands and gets checks of its own.
    pub(super) fn refute_claims(
        &mut self,
        cx: &BatchContext<'_>,
        check_started_at: OffsetDateTime,
    ) {
        self.case_mut().removal.clear_claim();
        let (claimed, later): (Vec<NoticeIdx>, Vec<NoticeIdx>) = self
            .current_notices()
            .filter(|n| self.has_claimed_removal(*n))
            .partition(|n| {
                let claimed_at = self.notice(*n).removal_claimed_at;
                claimed_at.is_none_or(|at| at <= check_started_at)
            });
        for n in &claimed {
            self.apply(*n, notice::Command::Refute);
            let notice = self.notice_mut(*n);
            notice.false_claims += 1;
            // Cleared so that the next refutation does not count this claim again.
            notice.answer = None;
        }
        for n in claimed {
            let newest = self.newest_notice_to(&self.notice(n).provider_id.clone());
            if newest == Some(n) && self.remind_provider(cx, n, cx.now) {
                self.case_mut().ladder.set_last_rung(Rung::Remind);
            }
        }
        // Rungs that the claim deferred fire before the next claim can defer them again.
        self.fire_due(cx);
        if later.is_empty() {
            self.schedule_check(cx.now + self.online_check_interval(cx));
        } else {
            self.start_claim_check(cx);
        }
    }

    /// Whether a claim of removal stands for this notice, including one that the ladder has escalated past.
    fn has_claimed_removal(&self, n: NoticeIdx) -> bool {
        let notice = self.notice(n);
        let claimed = matches!(notice.answer, Some(Answer::Removed | Answer::Unavailable));
        notice.state == NoticeState::RemovalClaimed
            || (notice.state == NoticeState::Escalated && claimed)
    }

    /// Requests a review: another page is at the URL, and a person must decide whether that is a removal.
    pub(super) fn request_page_review(&mut self, cx: &BatchContext<'_>) -> Result<(), Error> {
        let claimed = self
            .current_notices()
            .filter(|n| self.has_claimed_removal(*n))
            .last()
            .map(|n| self.notice(n).id);
        self.case_mut().removal.reset_counts();
        self.schedule_check(cx.now + self.online_check_interval(cx));
        self.request_review(cx, ReviewReason::Soft404, claimed, None)
    }

    /// Opens a new episode for content that is online again, with new notices to its hosts.
    pub(super) fn reappear(&mut self, cx: &BatchContext<'_>) -> Result<(), Error> {
        let was_closed = self.case().content_status == ContentStatus::Closed;
        let CaseTransition::ChangeTo(_) = self.apply_to_case(case::Command::Reappear) else {
            return Ok(());
        };
        let episode = (self.case().episode + 1).cast_unsigned();
        if was_closed {
            self.emit(cx, Body::CaseReopened(v1::CaseReopened { episode }));
        }
        self.emit(
            cx,
            Body::Reappeared(v1::Reappeared {
                episode,
                seen_at: Some(timestamp(cx.now)),
            }),
        );
        // Nothing more is expected of the earlier episode's notices.
        for n in self.current_notices().collect::<Vec<_>>() {
            self.apply(n, notice::Command::Close);
        }
        let url = self.case_url(cx)?;
        self.start(cx, &url)
    }

    /// Closes the case: the watch has ended, or the verdict was withdrawn.
    pub(super) fn close(&mut self, cx: &BatchContext<'_>, reason: v1::CloseReason) {
        if reason == v1::CloseReason::Removed {
            let CaseTransition::ChangeTo(_) = self.apply_to_case(case::Command::Close) else {
                return;
            };
            for n in self.notices().indices() {
                self.apply(n, notice::Command::Close);
            }
        }
        self.case_mut().closed_at = Some(cx.now);
        self.stop_checks();
        self.emit(
            cx,
            Body::CaseClosed(v1::CaseClosed {
                reason: reason.into(),
                closed_at: Some(timestamp(cx.now)),
            }),
        );
    }

    /// Time until the next check of a URL that is online and not claimed to be removed.
    pub(super) fn online_check_interval(&self, cx: &BatchContext<'_>) -> time::Duration {
        let policy = &cx.deps.policy.checks;
        match self.case().content_status {
            ContentStatus::Exhausted => policy.exhausted_interval,
            ContentStatus::Online
            | ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Held
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => policy.online_interval,
        }
    }
}
