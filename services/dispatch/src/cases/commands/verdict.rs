//! Results of reviews: the verdict is upheld or withdrawn.

use domain::enums::{ContentStatus, NoticeState, ReviewReason};
use domain::id::{CaseId, NoticeId, ReviewId};
use proto::v1;
use proto::v1::event::Body;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CommandDeps;
use super::case_batch::CaseBatch;
use super::episode::{addressees, is_resolvable};
use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use super::police_hold::CaseInstruction;
use crate::cases::lifecycle::Message;
use crate::cases::lifecycle::case::{self, CaseTransition};
use crate::cases::lifecycle::notice::{self, NoticeTransition};
use crate::{Error, delivery};

/// A verdict that a review has upheld.
#[derive(Debug, Clone, Copy)]
pub struct UpheldVerdict {
    pub case_id: CaseId,
    pub review_id: ReviewId,
    /// In a review of a changed page: the page is not the material, which is thus offline.
    pub offline: bool,
    pub cause: Option<Uuid>,
}

/// Applies upheld verdicts: what waited for the review resumes.
pub async fn uphold_verdicts(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    upheld: &[UpheldVerdict],
) -> Result<(), Error> {
    let mut batch = CaseBatch::load(conn, deps, now, upheld.iter().map(|u| u.case_id)).await?;
    batch
        .load_seals(conn, upheld.iter().map(|u| u.case_id))
        .await?;
    for verdict in upheld {
        if let Some(case) = batch.cases.get_mut(&verdict.case_id) {
            case.set_cause(verdict.cause);
            case.uphold(&batch.cx, verdict.review_id, verdict.offline)?;
        }
    }
    batch.store(conn).await
}

/// Withdraws verdicts: notified providers get a retraction, and nothing else is sent any more.
pub async fn withdraw_verdicts(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    withdrawn: &[CaseInstruction],
) -> Result<(), Error> {
    let mut batch = CaseBatch::load(conn, deps, now, withdrawn.iter().map(|w| w.case_id)).await?;
    // A message in transit may still arrive, so it needs a retraction like one that has arrived.
    let queued: Vec<NoticeId> = batch
        .cases
        .values()
        .flat_map(|d| d.notices().iter().filter(|n| n.sent_at.is_none()))
        .map(|notice| notice.id)
        .collect();
    let in_doubt = delivery::cancel(conn, &queued).await?;
    for instruction in withdrawn {
        if let Some(case) = batch.cases.get_mut(&instruction.case_id) {
            case.set_cause(instruction.cause);
            case.withdraw(&batch.cx, &in_doubt);
        }
    }
    batch.store(conn).await
}

impl LockedCase {
    pub(super) fn uphold(
        &mut self,
        cx: &BatchContext<'_>,
        review: ReviewId,
        offline: bool,
    ) -> Result<(), Error> {
        let reason = match self.case().review {
            Some((open, reason)) if open == review => reason,
            Some(_) | None => return Ok(()),
        };
        self.case_mut().review = None;
        if reason.is_about_page() {
            self.case_mut().removal.record_page_review(offline);
        }
        match reason {
            ReviewReason::Disputed => {
                for n in self.current_notices().collect::<Vec<_>>() {
                    if let NoticeTransition::ChangeTo(_) = self.apply(n, notice::Command::Uphold) {
                        self.send_message(n, Message::Upheld, None);
                    }
                }
                self.resume_unless_paused(cx);
            }
            ReviewReason::Soft404 => {
                if matches!(
                    self.case().content_status,
                    ContentStatus::Online | ContentStatus::Exhausted
                ) {
                    if offline {
                        // A person's decision, not the checks so far, confirms the removal.
                        self.case_mut().removal.clear_claim();
                        self.confirm_removal(cx);
                    } else {
                        self.refute_claims(cx, cx.now);
                    }
                }
            }
            // The material is not back: the watch continues.
            ReviewReason::ReappearedChanged if offline => {}
            ReviewReason::ReappearedChanged => self.reappear(cx)?,
            ReviewReason::NoContact => self.retry_attribution(cx)?,
            // A hidden service has no provider to notify; only the supervisor's and the regulator's rungs
            // remain.
            ReviewReason::Onion => self.fire_remaining_rungs(cx),
            // A person has read the mail and acted on it elsewhere.
            ReviewReason::Replied => {}
        }
        self.request_pending_review(cx)
    }

    /// One review is open at a time: a dispute that arrived during another one is requested now.
    fn request_pending_review(&mut self, cx: &BatchContext<'_>) -> Result<(), Error> {
        let disputed = self
            .current_notices()
            .find(|n| self.notice(*n).state == NoticeState::Disputed);
        let Some(n) = disputed else {
            return Ok(());
        };
        let note = self.provider_note(cx, n)?;
        let id = self.notice(n).id;
        self.request_review(cx, ReviewReason::Disputed, Some(id), note.as_deref())
    }

    /// Attributes the host again: it may have been added to the directory in the meantime.
    fn retry_attribution(&mut self, cx: &BatchContext<'_>) -> Result<(), Error> {
        if !matches!(
            self.case().content_status,
            ContentStatus::Online | ContentStatus::Exhausted
        ) {
            return Ok(());
        }
        let url = self.case_url(cx)?;
        let found = cx
            .directory
            .by_url(&url)
            .map(|provider| addressees(cx, provider))
            .unwrap_or_default()
            .into_iter()
            .filter(|provider| !self.is_notified(&provider.id))
            .collect::<Vec<_>>();
        if !found.is_empty() {
            self.notify_hosts(cx, &found);
        } else if is_resolvable(cx, &url) {
            // Its network may have been added too.
            self.case_mut().resolve_at = Some(cx.now);
        } else {
            self.fire_remaining_rungs(cx);
        }
        Ok(())
    }

    /// Fires the remaining rungs of the ladder now, in order, because no provider is left to notify.
    pub(super) fn fire_remaining_rungs(&mut self, cx: &BatchContext<'_>) {
        let ladder = &self.regime(cx).ladder;
        for rung in ladder.indices() {
            let has_fired = self.case().ladder.has_fired(ladder, rung);
            if self.case().content_status == ContentStatus::Online && !has_fired {
                self.fire(cx, rung, cx.now);
            }
        }
    }

    pub(super) fn withdraw(&mut self, cx: &BatchContext<'_>, in_doubt: &[NoticeId]) {
        let CaseTransition::ChangeTo(_) = self.apply_to_case(case::Command::Withdraw) else {
            return;
        };
        let notified = self.notified_providers(in_doubt);
        for n in self.notices().indices() {
            self.cancel(n);
            if let NoticeTransition::ChangeTo(_) = self.apply(n, notice::Command::Withdraw) {
                let body = Body::NoticeWithdrawn(v1::NoticeWithdrawn {
                    notice: Some(self.notice_key(n)),
                    reason: "verdict_withdrawn".to_owned(),
                });
                self.emit(cx, body);
            }
        }
        for n in notified {
            self.send_message(n, Message::Retraction, None);
        }
        let case = self.case_mut();
        case.removal.clear_claim();
        case.removal.forget_page_reviews();
        case.ladder.drop_pause();
        case.review = None;
        case.resolve_at = None;
        case.resumes_as = None;
        case.held_since = None;
        self.close(cx, v1::CloseReason::VerdictWithdrawn);
    }

    /// Indices of the newest notice to each provider that was notified, or may have been.
    fn notified_providers(&self, in_doubt: &[NoticeId]) -> Vec<NoticeIdx> {
        let mut notified: Vec<NoticeIdx> = Vec::new();
        for n in self.notices().indices() {
            let notice = self.notice(n);
            let reached = notice.sent_at.is_some() || in_doubt.contains(&notice.id);
            if !reached || notice.state == NoticeState::Withdrawn {
                continue;
            }
            let same_provider =
                |m: &&mut NoticeIdx| self.notice(**m).provider_id == notice.provider_id;
            match notified.iter_mut().find(same_provider) {
                Some(older) => *older = n,
                None => notified.push(n),
            }
        }
        notified
    }
}
