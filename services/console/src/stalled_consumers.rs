//! Detects stalled consumers: a cursor must move, or be at the end of its producer's log. Works on gauges that were read
//! already.

use std::collections::HashMap;
use std::time::Duration;

use proto::v1::GaugeReading;
use tokio::time::Instant;

/// How long a cursor may stay at one position before the end of its log.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// The last position of each cursor, and since when it has been behind. By consumer and producer.
#[derive(Default)]
pub(crate) struct CursorHistory(HashMap<(String, String), (f64, Option<Instant>)>);

/// How far one consumer is in the log of one producer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConsumerProgress {
    pub(crate) consumer: String,
    pub(crate) producer: String,
    /// Events that it has not applied yet.
    pub(crate) behind: f64,
    /// How long its cursor has not moved although events were waiting.
    pub(crate) unmoved: Duration,
}

impl ConsumerProgress {
    pub(crate) fn is_stalled(&self) -> bool {
        self.behind > 0.0 && self.unmoved >= TIME_LIMIT
    }
}

impl CursorHistory {
    /// Takes each gauge with the role that exported it.
    pub(crate) fn update<'a>(
        &mut self,
        now: Instant,
        gauges: impl Iterator<Item = (&'static str, &'a GaugeReading)> + Clone,
    ) -> Vec<ConsumerProgress> {
        let heads: HashMap<&str, f64> = gauges
            .clone()
            .filter(|(_, gauge)| gauge.name == "takedown.log.head")
            .map(|(_, gauge)| (gauge.label.as_str(), gauge.value))
            .collect();
        let cursors = gauges.filter(|(_, gauge)| gauge.name == "takedown.bus.cursor");
        let progress = cursors.filter_map(|(role, gauge)| {
            let head = heads.get(gauge.label.as_str())?;
            let key = (role.to_owned(), gauge.label.clone());
            let (position, behind_since) = self.0.entry(key).or_insert((gauge.value, None));
            if *head <= gauge.value {
                *behind_since = None;
            } else if *position < gauge.value || behind_since.is_none() {
                *behind_since = Some(now);
            }
            *position = gauge.value;
            Some(ConsumerProgress {
                consumer: role.to_owned(),
                producer: gauge.label.clone(),
                behind: (head - gauge.value).max(0.0),
                unmoved: behind_since.map_or(Duration::ZERO, |since| now.duration_since(since)),
            })
        });
        progress.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(name: &str, value: f64) -> GaugeReading {
        GaugeReading {
            name: name.into(),
            label: "intake".into(),
            value,
        }
    }

    #[test]
    fn only_a_cursor_that_is_behind_and_does_not_move_is_stalled() {
        let mut history = CursorHistory::default();
        let start = Instant::now();
        let mut progress = |seconds, head, cursor| {
            let (head, cursor) = (
                gauge("takedown.log.head", head),
                gauge("takedown.bus.cursor", cursor),
            );
            let gauges = [("intake", &head), ("ledger", &cursor)];
            let now = start + Duration::from_secs(seconds);
            let consumers = history.update(now, gauges.into_iter());
            (consumers[0].behind, consumers[0].is_stalled())
        };
        assert_eq!(progress(0, 100.0, 100.0), (0.0, false));
        // It was at the end of the log until now: the time before does not count.
        assert_eq!(progress(300, 110.0, 100.0), (10.0, false));
        assert_eq!(progress(355, 120.0, 101.0), (19.0, false));
        assert_eq!(progress(400, 120.0, 101.0), (19.0, false));
        assert_eq!(progress(416, 130.0, 101.0), (29.0, true));
        assert_eq!(progress(425, 130.0, 130.0), (0.0, false));
        assert_eq!(progress(500, 131.0, 130.0), (1.0, false));
    }
}
