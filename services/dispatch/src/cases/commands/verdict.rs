//! Results of reviews: the verdict is upheld or withdrawn.

use domain::enums::{ContentStatus, NoticeState, NoticeWithdrawalReason, ReviewReason};
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
            uphold(case, &batch.cx, verdict.review_id, verdict.offline)?;
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
            withdraw(case, &batch.cx, &in_doubt);
        }
    }
    batch.store(conn).await
}

fn uphold(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    review: ReviewId,
    offline: bool,
) -> Result<(), Error> {
    let reason = match case.case().review {
        Some((open, reason)) if open == review => reason,
        Some(_) | None => return Ok(()),
    };
    case.case_mut().review = None;
    if reason.is_about_page() {
        case.case_mut().removal.record_page_review(offline);
    }
    match reason {
        ReviewReason::Disputed => {
            for n in case.current_notices().collect::<Vec<_>>() {
                if let NoticeTransition::ChangeTo(_) = case.apply(n, notice::Command::Uphold) {
                    case.send_message(n, Message::Upheld, None);
                }
            }
            case.resume_unless_paused(cx);
        }
        ReviewReason::Soft404 => {
            if matches!(
                case.case().content_status,
                ContentStatus::Online | ContentStatus::Exhausted
            ) {
                if offline {
                    // A person's decision, not the checks so far, confirms the removal.
                    case.case_mut().removal.clear_claim();
                    case.confirm_removal(cx);
                } else {
                    case.refute_claims(cx, cx.now);
                }
            }
        }
        // The material is not back: the watch continues.
        ReviewReason::ReappearedChanged if offline => {}
        ReviewReason::ReappearedChanged => case.reappear(cx)?,
        ReviewReason::NoContact => retry_attribution(case, cx)?,
        // A hidden service has no provider to notify; only the supervisor's and the regulator's rungs
        // remain.
        ReviewReason::Onion => case.fire_remaining_rungs(cx),
        // A person has read the mail and acted on it elsewhere.
        ReviewReason::Replied => {}
    }
    request_pending_review(case, cx)
}

/// One review is open at a time: a dispute that arrived during another one is requested now.
fn request_pending_review(case: &mut LockedCase, cx: &BatchContext<'_>) -> Result<(), Error> {
    let disputed = case
        .current_notices()
        .find(|n| case.notice(*n).state == NoticeState::Disputed);
    let Some(n) = disputed else {
        return Ok(());
    };
    let note = case.provider_note(cx, n)?;
    let id = case.notice(n).id;
    case.request_review(cx, ReviewReason::Disputed, Some(id), note.as_deref())
}

/// Attributes the host again: it may have been added to the directory in the meantime.
fn retry_attribution(case: &mut LockedCase, cx: &BatchContext<'_>) -> Result<(), Error> {
    if !matches!(
        case.case().content_status,
        ContentStatus::Online | ContentStatus::Exhausted
    ) {
        return Ok(());
    }
    let url = case.case_url(cx)?;
    let found = cx
        .directory
        .by_url(&url)
        .map(|provider| addressees(cx, provider))
        .unwrap_or_default()
        .into_iter()
        .filter(|provider| !case.is_notified(&provider.id))
        .collect::<Vec<_>>();
    if !found.is_empty() {
        case.notify_hosts(cx, &found);
    } else if is_resolvable(cx, &url) {
        // Its network may have been added too.
        case.case_mut().resolve_at = Some(cx.now);
    } else {
        case.fire_remaining_rungs(cx);
    }
    Ok(())
}

fn withdraw(case: &mut LockedCase, cx: &BatchContext<'_>, in_doubt: &[NoticeId]) {
    let CaseTransition::ChangeTo(_) = case.apply_to_case(case::Command::Withdraw) else {
        return;
    };
    let notified = notified_providers(case, in_doubt);
    for n in case.notices().indices() {
        case.cancel(n);
        if let NoticeTransition::ChangeTo(_) = case.apply(n, notice::Command::Withdraw) {
            let body = Body::NoticeWithdrawn(v1::NoticeWithdrawn {
                notice: Some(case.notice_key(n)),
                reason: NoticeWithdrawalReason::VerdictWithdrawn.wire(),
            });
            case.emit(cx, body);
        }
    }
    for n in notified {
        case.send_message(n, Message::Retraction, None);
    }
    let row = case.case_mut();
    row.removal.clear_claim();
    row.removal.forget_page_reviews();
    row.ladder.drop_pause();
    row.review = None;
    row.resolve_at = None;
    row.resumes_as = None;
    row.held_since = None;
    case.close(cx, v1::CloseReason::VerdictWithdrawn);
}

/// Indices of the newest notice to each provider that was notified, or may have been.
fn notified_providers(case: &LockedCase, in_doubt: &[NoticeId]) -> Vec<NoticeIdx> {
    let mut notified: Vec<NoticeIdx> = Vec::new();
    for n in case.notices().indices() {
        let notice = case.notice(n);
        let reached = notice.sent_at.is_some() || in_doubt.contains(&notice.id);
        if !reached || notice.state == NoticeState::Withdrawn {
            continue;
        }
        let same_provider = |m: &&mut NoticeIdx| case.notice(**m).provider_id == notice.provider_id;
        match notified.iter_mut().find(same_provider) {
            Some(older) => *older = n,
            None => notified.push(n),
        }
    }
    notified
}
