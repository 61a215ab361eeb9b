//! Kafka: whether the topics are there, and what they lack of what the logs say they were given. The logs have it all, and
//! consumers read there what Kafka does not bring: so most of what is found here is only named.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::bus::{BusConfig, Seat, Survey, survey};
use platform::sealed::Keyring;
use sqlx::{AssertSqlSafe, PgConnection};

use super::Finding;
use super::database::refused;
use crate::system::SHARED_LOGS;

/// What can be wrong with a partition, or with a group's place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    /// Kafka has events that the log does not have.
    BeyondTheLog,
    /// Nothing was ever in it, and records were acknowledged.
    MadeAgain,
    /// The last record is before the last that was acknowledged.
    Acknowledged,
    /// The group's next record is no longer kept.
    AwayTooLong,
    /// The group's place is behind the end.
    BeyondTheEnd,
    /// The group's place is behind events that were not passed.
    SetForward,
    /// The group begins again with what it has passed.
    SetBack,
}

impl Loss {
    fn words(self) -> &'static str {
        match self {
            Self::BeyondTheLog => {
                "Kafka holds events beyond the log: the log was restored from a backup"
            }
            Self::MadeAgain => "the topic was deleted and made again",
            Self::Acknowledged => "Kafka lost records that it had acknowledged",
            Self::AwayTooLong => "the consumer was away longer than Kafka keeps",
            Self::BeyondTheEnd => {
                "the group's offsets are beyond the end: records were lost, or the topic was made again"
            }
            Self::SetForward => {
                "the group's offsets were set forward (to the latest), over events that it has not passed"
            }
            Self::SetBack => {
                "the group's offsets were set back (to the earliest); what it has passed is dropped"
            }
        }
    }
}

/// What the database says of a shard: asked before Kafka is, and after.
#[derive(Debug, Clone, Copy, Default)]
struct Shard {
    /// Before: every record up to here is acknowledged.
    published_to: i64,
    /// After: the head of the log, and how far the consumer is.
    head: i64,
    cursor: i64,
}

pub(super) async fn look(
    conn: &mut PgConnection,
    bus: &BusConfig,
    keyring: &Arc<Keyring>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (producer, consumer) in SHARED_LOGS {
        let check = format!("{consumer} hears {producer} over Kafka");
        let Ok(published) = positions(conn, published_to(producer)).await else {
            findings.push(refused(check));
            continue;
        };
        let seats = match survey(bus, keyring, consumer, producer).await {
            Ok(Survey { seats: Some(seats) }) => seats,
            Ok(Survey { seats: None }) => {
                findings.push(Finding::wrong(
                    check,
                    format!("the topic {} is not there: deleted, or never made", bus.topic(producer)),
                    "make it with `takedown migrate --config FILE`; nothing is lost, events are read from the log meanwhile",
                ));
                continue;
            }
            Err(_) => {
                findings.push(Finding::wrong(
                    "Kafka",
                    format!("no broker answers at {}", bus.bootstrap),
                    "bring it back, or mend the table `bus`; nothing is lost, events are read from the logs meanwhile",
                ));
                return findings;
            }
        };
        let (heads, cursors) = (
            positions(conn, heads(producer)).await,
            positions(conn, cursors(producer, consumer)).await,
        );
        let (Ok(heads), Ok(cursors)) = (heads, cursors) else {
            findings.push(refused(check));
            continue;
        };
        let at = |of: &BTreeMap<i16, i64>, seat: &Seat| of.get(&seat.shard).copied().unwrap_or(0);
        let seen = seats.iter().map(|seat| {
            let shard = Shard {
                published_to: at(&published, seat),
                head: at(&heads, seat),
                cursor: at(&cursors, seat),
            };
            (losses(seat, shard), shard)
        });
        findings.push(finding(check, consumer, seen));
    }
    findings
}

/// Position by shard.
async fn positions(conn: &mut PgConnection, statement: String) -> sqlx::Result<BTreeMap<i16, i64>> {
    let rows: Vec<(i16, i64)> = sqlx::query_as(AssertSqlSafe(statement))
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().collect())
}

fn published_to(producer: &str) -> String {
    format!("-- published_to\nselect shard, published_to from {producer}.log_shard")
}

fn heads(producer: &str) -> String {
    format!("-- heads\nselect shard, position from {producer}.log_shard")
}

fn cursors(producer: &str, consumer: &str) -> String {
    format!(
        "-- cursors\nselect shard, position from {consumer}.cursor where producer = '{producer}'"
    )
}

fn losses(seat: &Seat, shard: Shard) -> Vec<Loss> {
    let mut found = Vec::new();
    if seat.last.is_some_and(|last| last > shard.head) {
        found.push(Loss::BeyondTheLog);
    }
    if seat.high == 0 && shard.published_to > 0 {
        found.push(Loss::MadeAgain);
    } else if seat.last.is_some_and(|last| last < shard.published_to) {
        found.push(Loss::Acknowledged);
    }
    let Some(committed) = seat.committed else {
        return found;
    };
    if committed < seat.low {
        found.push(Loss::AwayTooLong);
    } else if committed > seat.high {
        found.push(Loss::BeyondTheEnd);
    }
    let at_the_end = committed == seat.high && seat.last.is_some_and(|last| last > shard.cursor);
    if at_the_end || seat.next.is_some_and(|next| next > shard.cursor + 1) {
        found.push(Loss::SetForward);
    }
    if committed == seat.low && seat.next.is_some_and(|next| next <= shard.cursor) {
        found.push(Loss::SetBack);
    }
    found
}

/// Something is to be done where a consumer still lacks what Kafka does not bring it, and where a log was restored.
fn finding(
    check: String,
    consumer: &str,
    shards: impl Iterator<Item = (Vec<Loss>, Shard)>,
) -> Finding {
    let mut counts: BTreeMap<Loss, usize> = BTreeMap::new();
    let mut lacking = 0;
    for (losses, shard) in shards {
        let mends = losses.iter().any(|loss| *loss != Loss::SetBack);
        if mends && shard.cursor < shard.head {
            lacking += shard.head - shard.cursor;
        }
        for loss in losses {
            *counts.entry(loss).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Finding::right(check, "Kafka has what it acknowledged");
    }
    let named = counts
        .iter()
        .map(|(loss, shards)| format!("{} (shards: {shards})", loss.words()));
    let named = named.collect::<Vec<_>>().join("; ");
    if counts.contains_key(&Loss::BeyondTheLog) {
        let todo = "restore every service from the same backup and delete the topics, as docs/OPERATIONS.md says of a restored backup";
        return Finding::wrong(check, named, todo);
    }
    if lacking > 0 {
        return Finding::wrong(
            check,
            format!("{named}; {lacking} events are still to be read from the log"),
            format!(
                "see that {consumer} is running: it reads them within a minute, and nothing else is to be done"
            ),
        );
    }
    Finding::right(
        check,
        format!("{named}; {consumer} has every event of the log"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten records of positions 11 to 20 at the offsets 10 to 19, all passed; and what differs from that.
    fn seat(change: impl FnOnce(&mut Seat)) -> Seat {
        let mut seat = Seat {
            shard: 3,
            low: 10,
            high: 20,
            committed: Some(20),
            last: Some(20),
            next: None,
        };
        change(&mut seat);
        seat
    }

    const PASSED: Shard = Shard {
        published_to: 20,
        head: 20,
        cursor: 20,
    };

    fn found(change: impl FnOnce(&mut Seat), shard: Shard) -> Vec<Loss> {
        losses(&seat(change), shard)
    }

    #[test]
    fn each_loss_is_told_from_the_others() {
        assert_eq!(found(|_| {}, PASSED), []);
        let made_again = |seat: &mut Seat| (seat.low, seat.high, seat.last) = (0, 0, None);
        assert_eq!(
            found(made_again, PASSED),
            [Loss::MadeAgain, Loss::BeyondTheEnd]
        );
        let shorter = |seat: &mut Seat| (seat.high, seat.last) = (15, Some(15));
        assert_eq!(
            found(shorter, PASSED),
            [Loss::Acknowledged, Loss::BeyondTheEnd]
        );
        let away = Shard {
            cursor: 4,
            ..PASSED
        };
        assert_eq!(
            found(|seat| seat.committed = Some(4), away),
            [Loss::AwayTooLong]
        );
        let behind = Shard {
            cursor: 14,
            ..PASSED
        };
        assert_eq!(found(|_| {}, behind), [Loss::SetForward]);
        let ahead = |seat: &mut Seat| (seat.committed, seat.next) = (Some(16), Some(17));
        assert_eq!(found(ahead, behind), [Loss::SetForward]);
        let back = |seat: &mut Seat| (seat.committed, seat.next) = (Some(10), Some(11));
        assert_eq!(found(back, PASSED), [Loss::SetBack]);
        let restored = Shard {
            published_to: 12,
            head: 12,
            cursor: 12,
        };
        assert!(found(|_| {}, restored).contains(&Loss::BeyondTheLog));
    }

    #[test]
    fn what_a_group_has_not_told_yet_and_what_kafka_no_longer_keeps_is_no_loss() {
        assert_eq!(found(|seat| seat.committed = None, PASSED), []);
        let lagging = |seat: &mut Seat| (seat.committed, seat.next) = (Some(18), Some(19));
        assert_eq!(found(lagging, PASSED), []);
        let forgotten = |seat: &mut Seat| (seat.low, seat.last) = (20, None);
        assert_eq!(found(forgotten, PASSED), []);
    }

    #[test]
    fn what_is_mended_is_named_and_what_is_lacking_says_what_to_do() {
        let row =
            |loss, shard| finding("c".into(), "ledger", [(vec![loss], shard)].into_iter()).row();
        let [state, _, detail, todo] = row(Loss::Acknowledged, PASSED);
        assert_eq!((state.as_str(), todo.as_str()), ("ok", ""));
        assert!(
            detail.contains("lost records that it had acknowledged"),
            "{detail}"
        );
        let behind = Shard {
            cursor: 14,
            ..PASSED
        };
        let [state, _, detail, todo] = row(Loss::SetForward, behind);
        assert_eq!(state, "problem");
        assert!(
            detail.contains("6 events") && todo.contains("ledger is running"),
            "{detail} {todo}"
        );
        let [state, .., todo] = row(Loss::BeyondTheLog, PASSED);
        assert!(state == "problem" && todo.contains("same backup"), "{todo}");
    }
}
