//! Checks Kafka: that topics exist, and that their records and the consumers' offsets fit the logs. What Kafka lost is read
//! from the logs, so it needs no action.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::bus::{BusConfig, PartitionState, TopicState, inspect_topic};
use platform::sealed::Keyring;
use roles::system::SHARED_LOGS;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{CheckResult, query_failed};

pub(super) async fn check(
    conn: &mut PgConnection,
    bus: &BusConfig,
    keyring: &Arc<Keyring>,
) -> Vec<CheckResult> {
    let mut results = Vec::new();
    for (producer, consumer) in SHARED_LOGS {
        let check = format!("{consumer} consumes {producer} over Kafka");
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
        // Read after Kafka: no record is ahead of a log that was read later.
        match heads(conn, producer).await {
            Ok(heads) => results.push(compare(check, consumer, &partitions, &heads)),
            Err(_) => results.push(query_failed(check)),
        }
    }
    results
}

/// The heads of a log, by shard.
async fn heads(conn: &mut PgConnection, producer: &str) -> sqlx::Result<BTreeMap<i16, i64>> {
    let statement = format!("-- heads\nselect shard, position from {producer}.log_shard");
    let rows: Vec<(i16, i64)> = sqlx::query_as(AssertSqlSafe(statement))
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().collect())
}

fn compare(
    check: String,
    consumer: &str,
    partitions: &[PartitionState],
    heads: &BTreeMap<i16, i64>,
) -> CheckResult {
    let head = |shard| heads.get(&shard).copied().unwrap_or(0);
    if partitions.iter().any(|p| p.last > Some(head(p.shard))) {
        return CheckResult::problem(
            check,
            "Kafka has events that the log does not have: the log was restored from a backup",
            "restore every service from the same backup and delete the topics, as described in docs/OPERATIONS.md (A restored backup)",
        );
    }
    let is_outside = |partition: &&PartitionState| {
        let kept = partition.low..=partition.high;
        partition
            .committed
            .is_some_and(|offset| !kept.contains(&offset))
    };
    let detail = match partitions.iter().filter(is_outside).count() {
        0 => "the topic exists, and its offsets fit".to_owned(),
        count => format!(
            "Kafka does not have the next records of {count} shards; {consumer} reads them from the log"
        ),
    };
    CheckResult::ok(check, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares a log of twenty events with its last ten records, all of them read, with a change.
    fn compare_with(change: impl FnOnce(&mut PartitionState)) -> [String; 4] {
        let mut partition = PartitionState {
            shard: 3,
            low: 10,
            high: 20,
            committed: Some(20),
            last: Some(20),
        };
        change(&mut partition);
        let heads = BTreeMap::from([(3, 20)]);
        compare("c".into(), "ledger", &[partition], &heads).row()
    }

    #[test]
    fn a_restored_log_is_a_problem_with_a_remedy() {
        let [state, _, detail, remedy] = compare_with(|partition| partition.last = Some(21));
        assert_eq!(state, "problem");
        assert!(detail.contains("restored") && remedy.contains("same backup"));
    }

    #[test]
    fn offsets_without_their_records_are_named_and_need_no_action() {
        let cases: [fn(&mut PartitionState); 2] = [
            |partition| partition.committed = Some(9),
            |partition| partition.committed = Some(21),
        ];
        for change in cases {
            let [state, _, detail, remedy] = compare_with(change);
            assert_eq!((state.as_str(), remedy.as_str()), ("ok", ""));
            assert!(detail.contains("1 shards; ledger reads them"), "{detail}");
        }
    }

    #[test]
    fn a_consumer_that_is_behind_or_new_and_an_empty_topic_fit() {
        let cases: [fn(&mut PartitionState); 4] = [
            |_| {},
            |partition| partition.committed = Some(10),
            |partition| partition.committed = None,
            |partition| (partition.low, partition.last) = (20, None),
        ];
        for change in cases {
            let [state, _, detail, _] = compare_with(change);
            assert_eq!(state, "ok");
            assert!(detail.contains("offsets fit"), "{detail}");
        }
    }
}
