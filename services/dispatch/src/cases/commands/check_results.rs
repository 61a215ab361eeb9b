//! Applies the results of checks. A single response proves nothing: several checks over time must agree.

use domain::enums::{ContentStatus, ReviewReason};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::case_batch::CaseBatch;
use super::locked_case::{BatchContext, LockedCase};
use super::{CheckOutcome, CommandDeps, CompletedCheck, ResponseMetadata};
use crate::Error;
use crate::cases::store::{Fingerprint, FingerprintDigest};

/// A new report of removed content gets this many times the checks of a claim while the host cannot be
/// reached.
const REPORT_CHECK_FACTOR: i32 = 4;

/// Maximum page fingerprints kept per case that a person decided are not the material. Several servers may
/// answer for one URL, each with its own fingerprint.
const MAX_OFFLINE_FINGERPRINTS: usize = 16;

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
                    d.case.content_status,
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
        match self.case.content_status {
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
        let claimed = self.case.claim_since.is_some();
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
            CheckOutcome::Offline => {
                self.case_mut().checks += 1;
                self.case_mut().checks_agreed += 1;
            }
            CheckOutcome::Online(page) if claimed => {
                let changed = self.case.online_fingerprint.is_some()
                    && !self.matches_online_fingerprint(page);
                if changed {
                    self.set_reviewed_page(Some(page));
                }
                let case = self.case_mut();
                case.checks += 1;
                case.checks_changed += i32::from(changed);
            }
            CheckOutcome::Online(page) => {
                // Without a claim, a single offline result before this one was a glitch; this response is the
                // reference.
                let case = self.case_mut();
                case.checks = 0;
                case.checks_agreed = 0;
                case.online_fingerprint = Some(fingerprint(page));
                self.schedule_check(cx.now + self.online_check_interval(cx));
                return Ok(());
            }
        }
        if self.case.checks_agreed >= policy.min_agreeing {
            self.confirm_removal(cx);
        } else if claimed && self.case.checks >= policy.max_checks {
            if self.case.checks_changed > 0
                && self.case.checks_changed + self.case.checks_agreed == self.case.checks
            {
                self.request_page_review(cx)?;
            } else {
                self.refute_claims(cx, check_started_at);
            }
        } else {
            self.schedule_check(cx.now + policy.interval);
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
        let reported = self.case.claim_since.is_some();
        match outcome {
            CheckOutcome::Online(page) if self.matches_online_fingerprint(page) => {
                return self.reappear(cx);
            }
            CheckOutcome::Online(page) => {
                self.set_reviewed_page(Some(page));
                self.clear_claim();
                self.advance_watch(cx);
                return self.request_review(cx, ReviewReason::ReappearedChanged, None, None);
            }
            CheckOutcome::Unknown
                if self.case.content_status != ContentStatus::Closed && !reported =>
            {
                self.schedule_check(cx.now + policy.interval);
                return Ok(());
            }
            CheckOutcome::Offline | CheckOutcome::Unknown if !reported => {
                self.advance_watch(cx);
                return Ok(());
            }
            CheckOutcome::Offline => self.case_mut().checks_agreed += 1,
            CheckOutcome::Unknown => {}
        }
        let case = self.case_mut();
        case.checks += 1;
        let (checks_agreed, checks) = (case.checks_agreed, case.checks);
        if checks_agreed >= policy.min_agreeing {
            self.clear_claim();
            self.resume_watch(cx);
        } else if checks >= policy.max_checks * REPORT_CHECK_FACTOR {
            // The checks cannot decide; a person can.
            self.set_reviewed_page(None);
            self.clear_claim();
            self.resume_watch(cx);
            return self.request_review(cx, ReviewReason::ReappearedChanged, None, None);
        } else {
            self.schedule_check(cx.now + policy.interval);
        }
        Ok(())
    }

    /// Returns to the watch schedule, which a new report interrupted.
    fn resume_watch(&mut self, cx: &BatchContext<'_>) {
        let confirmed = self.case.confirmed_at.unwrap_or(cx.now);
        match cx.deps.policy.watch_at(self.case.watch_step, confirmed) {
            Some(at) if self.case.content_status == ContentStatus::Watched => {
                self.schedule_check(at.max(cx.now));
            }
            _ => self.advance_watch(cx),
        }
    }

    /// Schedules the next check of the watch, or closes the case after the last one.
    fn advance_watch(&mut self, cx: &BatchContext<'_>) {
        if self.case.content_status == ContentStatus::Closed {
            self.stop_checks();
            return;
        }
        let confirmed = self.case.confirmed_at.unwrap_or(cx.now);
        let case = self.case_mut();
        case.watch_step += 1;
        match cx.deps.policy.watch_at(case.watch_step, confirmed) {
            Some(at) => self.schedule_check(at.max(cx.now)),
            // An open review keeps the case open; checks continue at the interval for online content.
            None if self.case.review.is_some() => {
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
            self.case.content_status,
            ContentStatus::Online | ContentStatus::Exhausted
        );
        let reported = self.case.claim_since.is_some() && !is_online;
        let is_specific = page.length.is_some() || page.etag.is_some();
        let is_reviewed_offline = self
            .case
            .offline_fingerprints
            .contains(&FingerprintDigest::from_fingerprint(&fingerprint(page)));
        if is_reviewed_offline
            && !self.matches_online_fingerprint(page)
            && (is_specific || !reported)
        {
            &CheckOutcome::Offline
        } else {
            outcome
        }
    }

    /// Sets the page that a person is asked about. While a review about a page is open, its page does not
    /// change: the answer must not apply to a page that appeared in the meantime.
    fn set_reviewed_page(&mut self, page: Option<&ResponseMetadata>) {
        let review = self.case.review.as_ref();
        if !review.is_some_and(|(_, reason)| reason.is_about_page()) {
            self.case_mut().reviewed_fingerprint =
                page.map(|page| FingerprintDigest::from_fingerprint(&fingerprint(page)));
        }
    }

    /// Records what a person decided about the page under review: whether the material is offline.
    pub(super) fn record_page_review(&mut self, offline: bool) {
        let case = self.case_mut();
        let Some(digest) = case.reviewed_fingerprint.take() else {
            return;
        };
        case.offline_fingerprints.retain(|other| *other != digest);
        if offline {
            case.offline_fingerprints.push(digest);
            let excess = case
                .offline_fingerprints
                .len()
                .saturating_sub(MAX_OFFLINE_FINGERPRINTS);
            case.offline_fingerprints.drain(..excess);
        }
    }

    /// Whether length, ETag and type match the fingerprint recorded while the URL was online. A part that is
    /// missing on either side is not compared. Without a recorded fingerprint nothing matches.
    fn matches_online_fingerprint(&self, page: &ResponseMetadata) -> bool {
        let now = fingerprint(page);
        let differs = |before: &Option<String>, now: &Option<String>| matches!((before, now), (Some(before), Some(now)) if before != now);
        self.case.online_fingerprint.as_ref().is_some_and(|before| {
            let length_differs =
                matches!((before.length, now.length), (Some(before), Some(now)) if before != now);
            !length_differs
                && !differs(&before.etag, &now.etag)
                && !differs(&before.content_type, &now.content_type)
        })
    }
}

/// The fingerprint as it is stored. An ETag is often a hash of the material, so only a digest of it is kept.
fn fingerprint(page: &ResponseMetadata) -> Fingerprint {
    Fingerprint {
        status: i32::from(page.status),
        length: page.length.and_then(|length| i64::try_from(length).ok()),
        etag: page
            .etag
            .as_ref()
            .map(|etag| hex::encode(&Sha256::digest(etag.as_bytes())[..16])),
        content_type: page
            .content_type
            .as_ref()
            .map(|kind| kind.chars().filter(|c| !c.is_control()).take(100).collect()),
    }
}
