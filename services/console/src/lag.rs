//! Reports that intake has accepted and the ledger has not heard of yet: on their way for a moment, lost after it.
//! Must not ask anybody.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long a report may be on its way before somebody has to look.
const PATIENCE: Duration = Duration::from_secs(30);

/// What intake had accepted, and when that was seen, until the ledger has as many.
#[derive(Default)]
pub(crate) struct Lag(VecDeque<(Instant, u64)>);

/// Where accepted reports are that stand in no stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) on_the_way: u64,
    pub(crate) lost: u64,
}

impl Lag {
    /// Compares both sides as they are now: `accepted` by intake's word, `standing` by the ledger's sum of stages.
    pub(crate) fn look(&mut self, now: Instant, accepted: u64, standing: u64) -> Gap {
        self.0.retain(|(_, then)| *then > standing);
        if accepted > standing && self.0.back().is_none_or(|(_, last)| *last < accepted) {
            self.0.push_back((now, accepted));
        }
        let late = self
            .0
            .iter()
            .take_while(|(seen, _)| now.duration_since(*seen) >= PATIENCE)
            .last();
        let lost = late.map_or(0, |(_, then)| then - standing);
        Gap {
            on_the_way: accepted.saturating_sub(standing) - lost,
            lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lags_is_on_its_way_and_what_stays_away_is_lost() {
        let mut lag = Lag::default();
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let gap = |on_the_way, lost| Gap { on_the_way, lost };
        assert_eq!(lag.look(at(0), 100, 100), gap(0, 0));
        // One report never arrives, while others come and are heard.
        assert_eq!(lag.look(at(1), 110, 105), gap(5, 0));
        assert_eq!(lag.look(at(20), 120, 109), gap(11, 0));
        assert_eq!(lag.look(at(31), 130, 109), gap(20, 1));
        assert_eq!(lag.look(at(32), 130, 129), gap(1, 0));
        assert_eq!(lag.look(at(61), 130, 129), gap(0, 1));
        assert_eq!(lag.look(at(62), 130, 130), gap(0, 0));
    }
}
