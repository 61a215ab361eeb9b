//! Consumers that have events before them and pass none: a cursor must move, or be at the end.
//! Must not ask anybody.

use std::collections::HashMap;
use std::time::Duration;

use proto::v1::Sign;
use tokio::time::Instant;

/// How long a cursor may stand before the end of its log.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where each cursor stood, and since when it has had events before it. By consumer and producer.
#[derive(Default)]
pub(crate) struct Cursors(HashMap<(String, String), (f64, Option<Instant>)>);

/// One consumer of one producer's log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    pub(crate) consumer: String,
    pub(crate) producer: String,
    /// Events that it has before it.
    pub(crate) before: f64,
    pub(crate) since: Duration,
}

impl Standing {
    pub(crate) fn is_late(&self) -> bool {
        self.before > 0.0 && self.since >= PATIENCE
    }
}

impl Cursors {
    /// Signs with the role that gave them.
    pub(crate) fn look<'a>(
        &mut self,
        now: Instant,
        signs: impl Iterator<Item = (&'static str, &'a Sign)> + Clone,
    ) -> Vec<Standing> {
        let heads: HashMap<&str, f64> = signs
            .clone()
            .filter(|(_, sign)| sign.name == "takedown.log.head")
            .map(|(_, sign)| (sign.of.as_str(), sign.value))
            .collect();
        let cursors = signs.filter(|(_, sign)| sign.name == "takedown.bus.cursor");
        let standing = cursors.filter_map(|(role, sign)| {
            let head = heads.get(sign.of.as_str())?;
            let key = (role.to_owned(), sign.of.clone());
            let (at, since) = self.0.entry(key).or_insert((sign.value, None));
            if *head <= sign.value {
                *since = None;
            } else if *at < sign.value || since.is_none() {
                *since = Some(now);
            }
            *at = sign.value;
            Some(Standing {
                consumer: role.to_owned(),
                producer: sign.of.clone(),
                before: (head - sign.value).max(0.0),
                since: since.map_or(Duration::ZERO, |since| now.duration_since(since)),
            })
        });
        standing.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(name: &str, value: f64) -> Sign {
        Sign {
            name: name.into(),
            of: "intake".into(),
            value,
        }
    }

    #[test]
    fn a_cursor_that_stands_before_the_end_is_late_and_one_that_moves_or_is_there_is_not() {
        let mut cursors = Cursors::default();
        let begun = Instant::now();
        let mut late = |seconds, head, cursor| {
            let (head, cursor) = (
                sign("takedown.log.head", head),
                sign("takedown.bus.cursor", cursor),
            );
            let signs = [("intake", &head), ("ledger", &cursor)];
            let now = begun + Duration::from_secs(seconds);
            let standing = cursors.look(now, signs.into_iter());
            (standing[0].before, standing[0].is_late())
        };
        assert_eq!(late(0, 100.0, 100.0), (0.0, false));
        // It was at the end until now: that it stood there counts for nothing.
        assert_eq!(late(300, 110.0, 100.0), (10.0, false));
        assert_eq!(late(355, 120.0, 101.0), (19.0, false));
        assert_eq!(late(400, 120.0, 101.0), (19.0, false));
        assert_eq!(late(416, 130.0, 101.0), (29.0, true));
        assert_eq!(late(425, 130.0, 130.0), (0.0, false));
        assert_eq!(late(500, 131.0, 130.0), (1.0, false));
    }
}
