//! Checks Kafka: that topics exist, and which acknowledged events they lack. Consumers read missing events
//! from the logs, so most findings need no action.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::bus::{BusConfig, PartitionState, TopicState, inspect_topic};
use platform::sealed::Keyring;
use roles::system::SHARED_LOGS;
use sqlx::{AssertSqlSafe, PgConnection};

use super::CheckResult;
use super::database::query_failed;

/// What can be wrong with a partition, or with a consumer group's offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PartitionFault {
    /// Kafka has events that the log does not have.
    AheadOfLog,
    /// The partition is new, although records were acknowledged.
    Recreated,
    /// The last record is older than the last acknowledged one.
    LostAcknowledged,
    /// The group's next record has expired.
    Expired,
    /// The group's offset is beyond the end.
    BeyondEnd,
    /// The group's offset skips events that were not applied.
    Skipped,
    /// The group's offset repeats events that were applied.
    Repeated,
}

impl PartitionFault {
    fn description(self) -> &'static str {
        match self {
            Self::AheadOfLog => {
                "Kafka has events that the log does not have: the log was restored from a backup"
            }
            Self::Recreated => "the topic was deleted and created again",
            Self::LostAcknowledged => "Kafka lost records that it had acknowledged",
            Self::Expired => "the consumer was down longer than Kafka's retention",
            Self::BeyondEnd => {
                "the group's offsets are beyond the end: records were lost, or the topic was created again"
            }
            Self::Skipped => {
                "the group's offsets were moved forward (to the latest), past events that it has not applied"
            }
            Self::Repeated => {
                "the group's offsets were moved back (to the earliest); events that it has applied are dropped"
            }
        }
    }
}

/// A shard's positions in the database.
#[derive(Debug, Clone, Copy, Default)]
struct ShardPositions {
    /// Every record up to here is acknowledged. Read before Kafka.
    published_to: i64,
    /// The head of the log and the consumer's cursor. Read after Kafka.
    head: i64,
    cursor: i64,
}

pub(super) async fn check(
    conn: &mut PgConnection,
    bus: &BusConfig,
    keyring: &Arc<Keyring>,
) -> Vec<CheckResult> {
    let mut results = Vec::new();
    for (producer, consumer) in SHARED_LOGS {
        let check = format!("{consumer} consumes {producer} over Kafka");
        let Ok(published) = positions(conn, published_to(producer)).await else {
            results.push(query_failed(check));
            continue;
        };
        let partitions = match inspect_topic(bus, keyring, consumer, producer).await {
            Ok(TopicState {
                partitions: Some(partitions),
            }) => partitions,
            Ok(TopicState { partitions: None }) => {
                results.push(CheckResult::problem(
                    check,
                    format!("the topic {} does not exist", bus.topic(producer)),
                    "create it with `takedown migrate --config FILE`; nothing is lost, events are read from the log meanwhile",
                ));
                continue;
            }
            Err(_) => {
                results.push(CheckResult::problem(
                    "Kafka",
                    format!("no broker responds at {}", bus.bootstrap),
                    "start the broker, or correct the table `bus`; nothing is lost, events are read from the logs meanwhile",
                ));
                return results;
            }
        };
        let (heads, cursors) = (
            positions(conn, heads(producer)).await,
            positions(conn, cursors(producer, consumer)).await,
        );
        let (Ok(heads), Ok(cursors)) = (heads, cursors) else {
            results.push(query_failed(check));
            continue;
        };
        let position = |positions: &BTreeMap<i16, i64>, partition: &PartitionState| {
            positions.get(&partition.shard).copied().unwrap_or(0)
        };
        let faults = partitions.iter().map(|partition| {
            let shard = ShardPositions {
                published_to: position(&published, partition),
                head: position(&heads, partition),
                cursor: position(&cursors, partition),
            };
            (faults_of(partition, shard), shard)
        });
        results.push(summarise(check, consumer, faults));
    }
    results
}

/// Positions by shard.
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

fn faults_of(partition: &PartitionState, shard: ShardPositions) -> Vec<PartitionFault> {
    let mut faults = Vec::new();
    if partition.last.is_some_and(|last| last > shard.head) {
        faults.push(PartitionFault::AheadOfLog);
    }
    if partition.high == 0 && shard.published_to > 0 {
        faults.push(PartitionFault::Recreated);
    } else if partition.last.is_some_and(|last| last < shard.published_to) {
        faults.push(PartitionFault::LostAcknowledged);
    }
    let Some(committed) = partition.committed else {
        return faults;
    };
    if committed < partition.low {
        faults.push(PartitionFault::Expired);
    } else if committed > partition.high {
        faults.push(PartitionFault::BeyondEnd);
    }
    let at_the_end =
        committed == partition.high && partition.last.is_some_and(|last| last > shard.cursor);
    if at_the_end || partition.next.is_some_and(|next| next > shard.cursor + 1) {
        faults.push(PartitionFault::Skipped);
    }
    if committed == partition.low && partition.next.is_some_and(|next| next <= shard.cursor) {
        faults.push(PartitionFault::Repeated);
    }
    faults
}

/// A problem only if a consumer still lacks events that Kafka lost, or if a log was restored.
fn summarise(
    check: String,
    consumer: &str,
    shards: impl Iterator<Item = (Vec<PartitionFault>, ShardPositions)>,
) -> CheckResult {
    let mut counts: BTreeMap<PartitionFault, usize> = BTreeMap::new();
    let mut missing = 0;
    for (faults, shard) in shards {
        let needs_log = faults
            .iter()
            .any(|fault| *fault != PartitionFault::Repeated);
        if needs_log && shard.cursor < shard.head {
            missing += shard.head - shard.cursor;
        }
        for fault in faults {
            *counts.entry(fault).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return CheckResult::ok(check, "Kafka has every acknowledged record");
    }
    let descriptions = counts
        .iter()
        .map(|(fault, shards)| format!("{} (shards: {shards})", fault.description()));
    let descriptions = descriptions.collect::<Vec<_>>().join("; ");
    if counts.contains_key(&PartitionFault::AheadOfLog) {
        let remedy = "restore every service from the same backup and delete the topics, as described in docs/OPERATIONS.md (A restored backup)";
        return CheckResult::problem(check, descriptions, remedy);
    }
    if missing > 0 {
        return CheckResult::problem(
            check,
            format!("{descriptions}; {missing} events are still to be read from the log"),
            format!(
                "check that {consumer} is running: it reads them within a minute; nothing else needs to be done"
            ),
        );
    }
    CheckResult::ok(
        check,
        format!("{descriptions}; {consumer} has every event of the log"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten records of positions 11 to 20 at offsets 10 to 19, all applied, with a change.
    fn partition(change: impl FnOnce(&mut PartitionState)) -> PartitionState {
        let mut partition = PartitionState {
            shard: 3,
            low: 10,
            high: 20,
            committed: Some(20),
            last: Some(20),
            next: None,
        };
        change(&mut partition);
        partition
    }

    const APPLIED: ShardPositions = ShardPositions {
        published_to: 20,
        head: 20,
        cursor: 20,
    };

    fn find_faults(
        change: impl FnOnce(&mut PartitionState),
        shard: ShardPositions,
    ) -> Vec<PartitionFault> {
        faults_of(&partition(change), shard)
    }

    #[test]
    fn each_fault_is_distinguished_from_the_others() {
        assert_eq!(find_faults(|_| {}, APPLIED), []);
        let recreated = |partition: &mut PartitionState| {
            (partition.low, partition.high, partition.last) = (0, 0, None);
        };
        assert_eq!(
            find_faults(recreated, APPLIED),
            [PartitionFault::Recreated, PartitionFault::BeyondEnd]
        );
        let shorter =
            |partition: &mut PartitionState| (partition.high, partition.last) = (15, Some(15));
        assert_eq!(
            find_faults(shorter, APPLIED),
            [PartitionFault::LostAcknowledged, PartitionFault::BeyondEnd]
        );
        let expired = ShardPositions {
            cursor: 4,
            ..APPLIED
        };
        assert_eq!(
            find_faults(|partition| partition.committed = Some(4), expired),
            [PartitionFault::Expired]
        );
        let behind = ShardPositions {
            cursor: 14,
            ..APPLIED
        };
        assert_eq!(find_faults(|_| {}, behind), [PartitionFault::Skipped]);
        let ahead = |partition: &mut PartitionState| {
            (partition.committed, partition.next) = (Some(16), Some(17));
        };
        assert_eq!(find_faults(ahead, behind), [PartitionFault::Skipped]);
        let back = |partition: &mut PartitionState| {
            (partition.committed, partition.next) = (Some(10), Some(11));
        };
        assert_eq!(find_faults(back, APPLIED), [PartitionFault::Repeated]);
        let restored = ShardPositions {
            published_to: 12,
            head: 12,
            cursor: 12,
        };
        assert!(find_faults(|_| {}, restored).contains(&PartitionFault::AheadOfLog));
    }

    #[test]
    fn an_uncommitted_offset_and_an_expired_record_are_not_faults() {
        assert_eq!(
            find_faults(|partition| partition.committed = None, APPLIED),
            []
        );
        let lagging = |partition: &mut PartitionState| {
            (partition.committed, partition.next) = (Some(18), Some(19));
        };
        assert_eq!(find_faults(lagging, APPLIED), []);
        let truncated =
            |partition: &mut PartitionState| (partition.low, partition.last) = (20, None);
        assert_eq!(find_faults(truncated, APPLIED), []);
    }

    #[test]
    fn a_repaired_fault_is_named_and_a_missing_event_has_a_remedy() {
        let row = |fault, shard| {
            summarise("c".into(), "ledger", [(vec![fault], shard)].into_iter()).row()
        };
        let [state, _, detail, remedy] = row(PartitionFault::LostAcknowledged, APPLIED);
        assert_eq!((state.as_str(), remedy.as_str()), ("ok", ""));
        assert!(
            detail.contains("lost records that it had acknowledged"),
            "{detail}"
        );
        let behind = ShardPositions {
            cursor: 14,
            ..APPLIED
        };
        let [state, _, detail, remedy] = row(PartitionFault::Skipped, behind);
        assert_eq!(state, "problem");
        assert!(
            detail.contains("6 events") && remedy.contains("ledger is running"),
            "{detail} {remedy}"
        );
        let [state, .., remedy] = row(PartitionFault::AheadOfLog, APPLIED);
        assert!(
            state == "problem" && remedy.contains("same backup"),
            "{remedy}"
        );
    }
}
