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
            case.apply_check(&batch.cx, check)?;
        }
    }
    batch.store(conn).await
}

impl LockedCase {
    fn apply_check(&mut self, cx: &BatchContext<'_>, check: &CompletedCheck) -> Result<(), Error> {
        match self.case().content_status {
            ContentStatus::Online | ContentStatus::Exhausted => {
                let outcome = self.apply_page_reviews(&check.outcome);
                self.apply_check_while_online(cx, outcome, check.started_at)
            }
            ContentStatus::Offline | ContentStatus::Watched | ContentStatus::Closed => {
                let outcome = self.apply_page_reviews(&check.outcome);
                self.apply_check_while_offline(cx, outcome)
            }
            ContentStatus::Held | ContentStatus::Withdrawn => {
                self.stop_checks();
                Ok(())
            }
        }
    }

    fn apply_check_while_online(
        &mut self,
        cx: &BatchContext<'_>,
        outcome: &CheckOutcome,
        check_started_at: OffsetDateTime,
    ) -> Result<(), Error> {
        let policy = &cx.deps.policy.checks;
        let claimed = self.case().removal.is_claimed();
        let keep_reviewed = self.is_page_under_review();
        let removal = &mut self.case_mut().removal;
        match outcome {
            CheckOutcome::Unknown => {
                let after = if claimed {
                    policy.interval
                } else {
                    self.online_check_interval(cx)
                };
                self.schedule_check(cx.now + after);
                return Ok(());
            }
            CheckOutcome::Offline => removal.count_offline(),
            CheckOutcome::Online(page) if claimed => {
                removal.count_page(&Fingerprint::from_response(page), keep_reviewed);
            }
            CheckOutcome::Online(page) => {
                removal.record_online(Fingerprint::from_response(page));
                self.schedule_check(cx.now + self.online_check_interval(cx));
                return Ok(());
            }
        }
        match removal.conclude(policy) {
            Conclusion::Offline => self.confirm_removal(cx),
            Conclusion::AnotherPage => self.request_page_review(cx)?,
            Conclusion::Disagreement => self.refute_claims(cx, check_started_at),
            Conclusion::Open => self.schedule_check(cx.now + policy.interval),
        }
        Ok(())
    }

    fn apply_check_while_offline(
        &mut self,
        cx: &BatchContext<'_>,
        outcome: &CheckOutcome,
    ) -> Result<(), Error> {
        let policy = &cx.deps.policy.checks;
        // After a new report, one check that finds the URL offline is not enough.
        let reported = self.case().removal.is_claimed();
        match outcome {
            CheckOutcome::Online(page) => {
                let page = Fingerprint::from_response(page);
                if self.case().removal.matches_online(&page) {
                    return self.reappear(cx);
                }
                self.set_reviewed_page(Some(&page));
                self.case_mut().removal.clear_claim();
                self.advance_watch(cx);
                return self.request_review(cx, ReviewReason::ReappearedChanged, None, None);
            }
            CheckOutcome::Unknown
                if self.case().content_status != ContentStatus::Closed && !reported =>
            {
                self.schedule_check(cx.now + policy.interval);
                return Ok(());
            }
            CheckOutcome::Offline | CheckOutcome::Unknown if !reported => {
                self.advance_watch(cx);
                return Ok(());
            }
            CheckOutcome::Offline => self.case_mut().removal.count_offline(),
            CheckOutcome::Unknown => self.case_mut().removal.count_undecided(),
        }
        match self.case().removal.conclude_report(policy) {
            Conclusion::Offline => {
                self.case_mut().removal.clear_claim();
                self.resume_watch(cx);
            }
            Conclusion::Disagreement | Conclusion::AnotherPage => {
                // The checks cannot decide; a person can.
                self.set_reviewed_page(None);
                self.case_mut().removal.clear_claim();
                self.resume_watch(cx);
                return self.request_review(cx, ReviewReason::ReappearedChanged, None, None);
            }
            Conclusion::Open => self.schedule_check(cx.now + policy.interval),
        }
        Ok(())
    }

    /// Returns to the watch schedule, which a new report interrupted.
    fn resume_watch(&mut self, cx: &BatchContext<'_>) {
        let confirmed = self.case().confirmed_at.unwrap_or(cx.now);
        match cx
            .deps
            .policy
            .watch_at(self.case().removal.watch_step(), confirmed)
        {
            Some(at) if self.case().content_status == ContentStatus::Watched => {
                self.schedule_check(at.max(cx.now));
            }
            _ => self.advance_watch(cx),
        }
    }

    /// Schedules the next check of the watch, or closes the case after the last one.
    fn advance_watch(&mut self, cx: &BatchContext<'_>) {
        if self.case().content_status == ContentStatus::Closed {
            self.stop_checks();
            return;
        }
        let confirmed = self.case().confirmed_at.unwrap_or(cx.now);
        let step = self.case_mut().removal.advance_watch();
        match cx.deps.policy.watch_at(step, confirmed) {
            Some(at) => self.schedule_check(at.max(cx.now)),
            // An open review keeps the case open; checks continue at the interval for online content.
            None if self.case().review.is_some() => {
                self.schedule_check(cx.now + cx.deps.policy.checks.online_interval);
            }
            None => self.close(cx, proto::v1::CloseReason::Removed),
        }
    }

    /// The result of a check in the light of earlier reviews: a page that a person decided is not the
    /// material counts as offline. A page with neither length nor ETag may be another one, so a new report
    /// outweighs that decision.
    fn apply_page_reviews<'o>(&self, outcome: &'o CheckOutcome) -> &'o CheckOutcome {
        let CheckOutcome::Online(page) = outcome else {
            return outcome;
        };
        let is_online = matches!(
            self.case().content_status,
            ContentStatus::Online | ContentStatus::Exhausted
        );
        let removal = &self.case().removal;
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
    fn set_reviewed_page(&mut self, page: Option<&Fingerprint>) {
        if !self.is_page_under_review() {
            self.case_mut().removal.set_reviewed(page);
        }
    }

    fn is_page_under_review(&self) -> bool {
        let review = self.case().review.as_ref();
        review.is_some_and(|(_, reason)| reason.is_about_page())
    }
}
