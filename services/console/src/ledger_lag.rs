//! Reports that intake has accepted and the ledger does not have yet: on the way at first, lost after a time limit.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long a report may be on the way to the ledger before it counts as lost.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Counts of accepted reports that the ledger had not reached when they were read, oldest first.
#[derive(Default)]
pub(crate) struct LedgerLag(VecDeque<(Instant, u64)>);

/// Accepted reports that are in no stage of the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LedgerGap {
    pub(crate) in_transit: u64,
    pub(crate) lost: u64,
}

impl LedgerLag {
    /// Compares both services at `now`: `accepted` is intake's count, `recorded` the ledger's sum over all stages.
    pub(crate) fn update(&mut self, now: Instant, accepted: u64, recorded: u64) -> LedgerGap {
        self.0.retain(|(_, then)| *then > recorded);
        if accepted > recorded && self.0.back().is_none_or(|(_, last)| *last < accepted) {
            self.0.push_back((now, accepted));
        }
        let overdue = self
            .0
            .iter()
            .take_while(|(read_at, _)| now.duration_since(*read_at) >= TIME_LIMIT)
            .last();
        let lost = overdue.map_or(0, |(_, then)| then - recorded);
        LedgerGap {
            in_transit: accepted.saturating_sub(recorded) - lost,
            lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_does_not_arrive_within_the_limit_is_lost() {
        let mut lag = LedgerLag::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let gap = |in_transit, lost| LedgerGap { in_transit, lost };
        assert_eq!(lag.update(at(0), 100, 100), gap(0, 0));
        // One report never arrives, while later ones do.
        assert_eq!(lag.update(at(1), 110, 105), gap(5, 0));
        assert_eq!(lag.update(at(20), 120, 109), gap(11, 0));
        assert_eq!(lag.update(at(31), 130, 109), gap(20, 1));
        assert_eq!(lag.update(at(32), 130, 129), gap(1, 0));
        assert_eq!(lag.update(at(61), 130, 129), gap(0, 1));
        assert_eq!(lag.update(at(62), 130, 130), gap(0, 0));
    }
}
