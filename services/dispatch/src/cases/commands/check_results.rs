//! Applies the results of checks. A single response proves nothing: several checks over time must agree.

use domain::enums::{ContentStatus, ReviewReason};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::case_batch::CaseBatch;
use super::locked_case::{BatchContext, LockedCase};
use super::{CheckOutcome, CommandDeps, CompletedCheck};
use crate::Error;
use crate::cases::page::Fingerprint;
use crate::cases::removal::Conclusion;

/// Records checks in order and schedules the next one of each case. Cases that need no more checks get none.
pub async fn record_checks(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    checks: &[CompletedCheck],
) -> Result<(), Error> {
    let mut batch = CaseBatch::load(conn, deps, now, checks.iter().map(|s| s.case_id)).await?;
    let maybe_reappeared: Vec<_> = checks
        .iter()
        .filter(|s| matches!(s.outcome, CheckOutcome::Online(_)))
        .map(|s| s.case_id)
        .filter(|id| {
            batch.cases.get(id).is_some_and(|d| {
                !matches!(
                    d.case().content_status,
                    ContentStatus::Online | ContentStatus::Exhausted
                )
            })
        })
        .collect();
    batch.load_seals(conn, maybe_reappeared).await?;
    for check in checks {
        if let Some(case) = batch.cases.get_mut(&check.case_id) {
            apply_check(case, &batch.cx, check)?;
        }
    }
    batch.store(conn).await
}

fn apply_check(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    check: &CompletedCheck,
) -> Result<(), Error> {
    match case.case().content_status {
        ContentStatus::Online | ContentStatus::Exhausted => {
            let outcome = apply_page_reviews(case, &check.outcome);
            apply_check_while_online(case, cx, outcome, check.started_at)
        }
        ContentStatus::Offline | ContentStatus::Watched | ContentStatus::Closed => {
            let outcome = apply_page_reviews(case, &check.outcome);
            apply_check_while_offline(case, cx, outcome)
        }
        ContentStatus::Held | ContentStatus::Withdrawn => {
            case.stop_checks();
            Ok(())
        }
    }
}

fn apply_check_while_online(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    outcome: &CheckOutcome,
    check_started_at: OffsetDateTime,
) -> Result<(), Error> {
    let policy = &cx.deps.policy.checks;
    let claimed = case.case().removal.is_claimed();
    let keep_reviewed = is_page_under_review(case);
    let removal = &mut case.case_mut().removal;
    match outcome {
        CheckOutcome::Unknown => {
            let after = if claimed {
                policy.interval
            } else {
                case.online_check_interval(cx)
            };
            case.schedule_check(cx.now + after);
            return Ok(());
        }
        CheckOutcome::Offline => removal.count_offline(),
        CheckOutcome::Online(page) if claimed => {
            removal.count_page(&Fingerprint::from_response(page), keep_reviewed);
        }
        CheckOutcome::Online(page) => {
            removal.record_online(Fingerprint::from_response(page));
            case.schedule_check(cx.now + case.online_check_interval(cx));
            return Ok(());
        }
    }
    match removal.conclude(policy) {
        Conclusion::Offline => case.confirm_removal(cx),
        Conclusion::AnotherPage => case.request_page_review(cx)?,
        Conclusion::Disagreement => case.refute_claims(cx, check_started_at),
        Conclusion::Open => case.schedule_check(cx.now + policy.interval),
    }
    Ok(())
}

fn apply_check_while_offline(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    outcome: &CheckOutcome,
) -> Result<(), Error> {
    let policy = &cx.deps.policy.checks;
    // After a new report, one check that finds the URL offline is not enough.
    let reported = case.case().removal.is_claimed();
    match outcome {
        CheckOutcome::Online(page) => {
            let page = Fingerprint::from_response(page);
            if case.case().removal.matches_online(&page) {
                return case.reappear(cx);
            }
            set_reviewed_page(case, Some(&page));
            case.case_mut().removal.clear_claim();
            advance_watch(case, cx);
            return case.request_review(cx, ReviewReason::ReappearedChanged, None, None);
        }
        CheckOutcome::Unknown
            if case.case().content_status != ContentStatus::Closed && !reported =>
        {
            case.schedule_check(cx.now + policy.interval);
            return Ok(());
        }
        CheckOutcome::Offline | CheckOutcome::Unknown if !reported => {
            advance_watch(case, cx);
            return Ok(());
        }
        CheckOutcome::Offline => case.case_mut().removal.count_offline(),
        CheckOutcome::Unknown => case.case_mut().removal.count_undecided(),
    }
    match case.case().removal.conclude_report(policy) {
        Conclusion::Offline => {
            case.case_mut().removal.clear_claim();
            resume_watch(case, cx);
        }
        Conclusion::Disagreement | Conclusion::AnotherPage => {
            // The checks cannot decide; a person can.
            set_reviewed_page(case, None);
            case.case_mut().removal.clear_claim();
            resume_watch(case, cx);
            return case.request_review(cx, ReviewReason::ReappearedChanged, None, None);
        }
        Conclusion::Open => case.schedule_check(cx.now + policy.interval),
    }
    Ok(())
}

/// Returns to the watch schedule, which a new report interrupted.
fn resume_watch(case: &mut LockedCase, cx: &BatchContext<'_>) {
    let confirmed = case.case().confirmed_at.unwrap_or(cx.now);
    match cx
        .deps
        .policy
        .watch_at(case.case().removal.watch_step(), confirmed)
    {
        Some(at) if case.case().content_status == ContentStatus::Watched => {
            case.schedule_check(at.max(cx.now));
        }
        _ => advance_watch(case, cx),
    }
}

/// Schedules the next check of the watch, or closes the case after the last one.
fn advance_watch(case: &mut LockedCase, cx: &BatchContext<'_>) {
    if case.case().content_status == ContentStatus::Closed {
        case.stop_checks();
        return;
    }
    let confirmed = case.case().confirmed_at.unwrap_or(cx.now);
    let step = case.case_mut().removal.advance_watch();
    match cx.deps.policy.watch_at(step, confirmed) {
        Some(at) => case.schedule_check(at.max(cx.now)),
        // An open review keeps the case open; checks continue at the interval for online content.
        None if case.case().review.is_some() => {
            case.schedule_check(cx.now + cx.deps.policy.checks.online_interval);
        }
        None => case.close(cx, proto::v1::CloseReason::Removed),
    }
}

/// The result of a check in the light of earlier reviews: a page that a person decided is not the
/// material counts as offline. A page with neither length nor ETag may be another one, so a new report
/// outweighs that decision.
fn apply_page_reviews<'o>(case: &LockedCase, outcome: &'o CheckOutcome) -> &'o CheckOutcome {
    let CheckOutcome::Online(page) = outcome else {
        return outcome;
    };
    let is_online = matches!(
        case.case().content_status,
        ContentStatus::Online | ContentStatus::Exhausted
    );
    let removal = &case.case().removal;
    let reported = removal.is_claimed() && !is_online;
    let is_specific = page.length.is_some() || page.etag.is_some();
    let page = Fingerprint::from_response(page);
    if removal.is_reviewed_offline(&page)
        && !removal.matches_online(&page)
        && (is_specific || !reported)
    {
        &CheckOutcome::Offline
    } else {
        outcome
    }
}

/// Sets the page that a person is asked about. While a review about a page is open, its page does not
/// change: the answer must not apply to a page that appeared in the meantime.
fn set_reviewed_page(case: &mut LockedCase, page: Option<&Fingerprint>) {
    if !is_page_under_review(case) {
        case.case_mut().removal.set_reviewed(page);
    }
}

fn is_page_under_review(case: &LockedCase) -> bool {
    let review = case.case().review.as_ref();
    review.is_some_and(|(_, reason)| reason.is_about_page())
}
