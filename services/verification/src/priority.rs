//! The priority of a case in the queue.

use crate::case::Case;

const PER_FURTHER_REPORT: i32 = 10;
/// More reports than these add nothing.
const MAX_REPORTS: i32 = 50;
const SELF_REPORTED: i32 = 2000;
const UNDER_13: i32 = 1000;
const UNDER_REVIEW: i32 = 600;

impl Case {
    /// Higher is more urgent. In this order: a child who asks for help, a child under 13, a verdict under
    /// review (a notice may be wrong or paused), then the number of reports that were not withdrawn.
    pub(crate) fn priority(&self) -> i32 {
        let reports = (self.reports - self.withdrawn_reports).clamp(0, MAX_REPORTS);
        let mut priority = (reports - 1) * PER_FURTHER_REPORT;
        if self.self_reported {
            priority += SELF_REPORTED;
        }
        if self.under_13 {
            priority += UNDER_13;
        }
        if self.review.is_some() {
            priority += UNDER_REVIEW;
        }
        priority
    }
}
