//! What the checks of a URL have found so far: the claim under check, the pages that were seen, and how far the
//! watch has got. A single response proves nothing: several checks over time must agree.

use time::{Duration, OffsetDateTime};

use super::page::{Fingerprint, FingerprintDigest};
use crate::policy::CheckPolicy;

/// A new report of removed content gets this many times the checks of a claim while the host cannot be
/// reached.
const REPORT_CHECK_FACTOR: i32 = 4;

/// Maximum page fingerprints kept per case that a person decided are not the material. Several servers may
/// answer for one URL, each with its own fingerprint.
const MAX_OFFLINE_FINGERPRINTS: usize = 16;

/// The stored form of [`Removal`]; the migration explains the columns.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RemovalRow {
    pub claim_since: Option<OffsetDateTime>,
    pub claim_until: Option<OffsetDateTime>,
    pub checks: i32,
    pub checks_agreed: i32,
    pub checks_changed: i32,
    pub watch_step: i32,
    pub online_fingerprint: Option<Fingerprint>,
    /// Of the changed page in the latest review.
    pub reviewed_fingerprint: Option<FingerprintDigest>,
    /// Of pages that a person decided are not the material, the newest last.
    pub offline_fingerprints: Vec<FingerprintDigest>,
}

/// What the counted checks say about a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// Enough checks found the URL offline.
    Offline,
    /// Every check found it offline or found another page.
    AnotherPage,
    /// The checks are used up without agreement.
    Disagreement,
    /// More checks are needed.
    Open,
}

/// Progress of a removal.
#[derive(Clone, Default)]
pub struct Removal(RemovalRow);

impl Removal {
    pub fn from_row(row: RemovalRow) -> Self {
        Self(row)
    }

    pub fn row(&self) -> &RemovalRow {
        &self.0
    }

    /// Whether a claim of removal, or a new report of removed content, is being checked.
    pub(super) fn is_claimed(&self) -> bool {
        self.0.claim_since.is_some()
    }

    /// Until when the claim under check defers the providers' rungs.
    pub(super) fn deferred_until(&self) -> Option<OffsetDateTime> {
        self.0.claim_since.and(self.0.claim_until)
    }

    /// Starts the checks of a claim of removal.
    pub(super) fn claim(&mut self, now: OffsetDateTime, window: Duration) {
        self.clear_claim();
        self.0.claim_since = Some(now);
        self.0.claim_until = Some(now + window);
    }

    /// Starts the checks of a new report, which defer nothing.
    pub(super) fn recheck(&mut self, now: OffsetDateTime) {
        self.clear_claim();
        self.0.claim_since = Some(now);
    }

    /// Ends the checks of a claim and resets their counts.
    pub(super) fn clear_claim(&mut self) {
        self.0.claim_since = None;
        self.0.claim_until = None;
        self.reset_counts();
    }

    pub(super) fn reset_counts(&mut self) {
        self.0.checks = 0;
        self.0.checks_agreed = 0;
        self.0.checks_changed = 0;
    }

    /// Moves the claim's bound later by the length of a police hold.
    pub(super) fn shift(&mut self, length: Duration) {
        self.0.claim_until = self.0.claim_until.map(|until| until + length);
    }

    /// Counts a check that found the URL offline.
    pub(super) fn count_offline(&mut self) {
        self.0.checks += 1;
        self.0.checks_agreed += 1;
    }

    /// Counts a check that decides nothing.
    pub(super) fn count_undecided(&mut self) {
        self.0.checks += 1;
    }

    /// Counts a check that found a page, and remembers one that is not the page of the material.
    pub(super) fn count_page(&mut self, page: &Fingerprint, keep_reviewed: bool) {
        let changed = self.0.online_fingerprint.is_some() && !self.matches_online(page);
        if changed && !keep_reviewed {
            self.set_reviewed(Some(page));
        }
        self.0.checks += 1;
        self.0.checks_changed += i32::from(changed);
    }

    /// Records the page of the material, seen while nobody claims a removal. A single offline result before it
    /// was a glitch.
    pub(super) fn record_online(&mut self, page: Fingerprint) {
        self.0.checks = 0;
        self.0.checks_agreed = 0;
        self.0.online_fingerprint = Some(page);
    }

    /// What the checks say while the URL is to be removed.
    pub(super) fn conclude(&self, policy: &CheckPolicy) -> Conclusion {
        let row = &self.0;
        if row.checks_agreed >= policy.min_agreeing {
            Conclusion::Offline
        } else if !self.is_claimed() || row.checks < policy.max_checks {
            Conclusion::Open
        } else if row.checks_changed > 0 && row.checks_changed + row.checks_agreed == row.checks {
            Conclusion::AnotherPage
        } else {
            Conclusion::Disagreement
        }
    }

    /// What the checks of a new report say after a confirmed removal.
    pub(super) fn conclude_report(&self, policy: &CheckPolicy) -> Conclusion {
        if self.0.checks_agreed >= policy.min_agreeing {
            Conclusion::Offline
        } else if self.0.checks >= policy.max_checks * REPORT_CHECK_FACTOR {
            Conclusion::Disagreement
        } else {
            Conclusion::Open
        }
    }

    /// Whether length, ETag and type match the page of the material. A part that is missing on either side is
    /// not compared. Without a recorded page nothing matches.
    pub(super) fn matches_online(&self, page: &Fingerprint) -> bool {
        let differs = |before: &Option<String>, now: &Option<String>| matches!((before, now), (Some(before), Some(now)) if before != now);
        self.0.online_fingerprint.as_ref().is_some_and(|before| {
            let length_differs =
                matches!((before.length, page.length), (Some(before), Some(now)) if before != now);
            !length_differs
                && !differs(&before.etag, &page.etag)
                && !differs(&before.content_type, &page.content_type)
        })
    }

    /// Whether a person decided that this page is not the material.
    pub(super) fn is_reviewed_offline(&self, page: &Fingerprint) -> bool {
        let digest = FingerprintDigest::from_fingerprint(page);
        self.0.offline_fingerprints.contains(&digest)
    }

    /// Sets the page that a person is asked about.
    pub(super) fn set_reviewed(&mut self, page: Option<&Fingerprint>) {
        self.0.reviewed_fingerprint = page.map(FingerprintDigest::from_fingerprint);
    }

    /// Records what a person decided about the page under review: whether the material is offline.
    pub(super) fn record_page_review(&mut self, offline: bool) {
        let Some(digest) = self.0.reviewed_fingerprint.take() else {
            return;
        };
        let pages = &mut self.0.offline_fingerprints;
        pages.retain(|other| *other != digest);
        if offline {
            pages.push(digest);
            let excess = pages.len().saturating_sub(MAX_OFFLINE_FINGERPRINTS);
            pages.drain(..excess);
        }
    }

    /// Forgets what people decided about pages: one that was not the material by this verdict may be it by the
    /// next.
    pub(super) fn forget_page_reviews(&mut self) {
        self.0.reviewed_fingerprint = None;
        self.0.offline_fingerprints.clear();
    }

    /// Number of the watch's next check, from 0.
    pub(super) fn watch_step(&self) -> i32 {
        self.0.watch_step
    }

    pub(super) fn restart_watch(&mut self) {
        self.0.watch_step = 0;
    }

    /// Goes on to the next check of the watch; returns its number.
    pub(super) fn advance_watch(&mut self) -> i32 {
        self.0.watch_step += 1;
        self.0.watch_step
    }
}
