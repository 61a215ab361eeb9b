//! Runs a scenario to its end: the system's figures must match the scenario's files.
//!
//! The expected counts are derived here from the files, independently of the demo's own expected figures.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::{Value, json};

#[derive(Parser)]
struct DemoCommand {
    #[command(flatten)]
    demo: takedown::demo::DemoArgs,
}

fn scenario_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/scenario")
}

/// The rows of `truth.csv`, by column.
fn truth_rows() -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(scenario_folder().join("truth.csv")).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

/// The counts that follow from the files.
fn expected_counts() -> BTreeMap<&'static str, usize> {
    let rows = truth_rows();
    let accepted: Vec<_> = rows
        .iter()
        .filter(|row| row["expect"] == "accept")
        .collect();
    let cases = |filter: &dyn Fn(&str) -> bool| {
        let these = accepted.iter().filter(|row| filter(&row["verdict"]));
        these
            .map(|row| row["case"].as_str())
            .collect::<BTreeSet<_>>()
            .len()
    };
    let all = cases(&|_| true);
    let not_actionable = cases(&|verdict| verdict.starts_with("not_actionable"));
    BTreeMap::from([
        ("accepted", accepted.len()),
        ("refused", rows.len() - accepted.len()),
        ("cases", all),
        ("joined", accepted.len() - all),
        ("not_actionable", not_actionable),
        // A case with a second opinion ends as actionable.
        ("actionable", all - not_actionable),
    ])
}

/// Outcomes of the actionable cases, by the providers that are notified. Each figure is exact, because no upstream or
/// registrar of this scenario is slow, and of two providers notified at once at most one reappears or claims falsely.
#[derive(Debug, Default, PartialEq, Eq)]
struct ExpectedOutcomes {
    open: u64,
    false_claims: u64,
    moved: u64,
    reappeared: u64,
}

fn expected_outcomes() -> ExpectedOutcomes {
    let text = std::fs::read(scenario_folder().join("providers.json")).unwrap();
    let providers: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let by_id: BTreeMap<&str, &Value> = providers
        .iter()
        .map(|p| (p["id"].as_str().unwrap(), p))
        .collect();
    let behaviour = |id: &str| by_id[id]["behaviour"].as_str().unwrap();
    let acts = |id: &&str| !["silent", "bounces", "not_ours"].contains(&behaviour(id));
    let rows = truth_rows();
    let hosts: BTreeMap<&str, &str> = rows
        .iter()
        .filter(|row| row["expect"] == "accept" && !row["verdict"].starts_with("not_actionable"))
        .map(|row| (row["case"].as_str(), row["provider"].as_str()))
        .collect();
    let mut outcomes = ExpectedOutcomes::default();
    for host in hosts.into_values() {
        let next = ["origin", "upstream", "registrar"].map(|role| by_id[host][role].as_str());
        let mut notified = std::iter::once(host).chain(next.into_iter().flatten());
        let actor = notified.find(acts).map(behaviour);
        let again = u64::from(actor == Some("reappears"));
        let named = by_id[host]["upstream"].as_str();
        let is_moved = behaviour(host) == "not_ours" && named != by_id[host]["origin"].as_str();
        outcomes.open += u64::from(actor.is_none());
        outcomes.false_claims += u64::from(actor == Some("claims_falsely"));
        outcomes.reappeared += again;
        outcomes.moved += u64::from(is_moved) * (1 + again);
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_has_its_expected_figures() {
    assert_expected_figures(&[]).await;
}

/// The same with one process per role and TLS between them.
#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_has_its_expected_figures_with_one_process_per_role() {
    assert_expected_figures(&["--multi-process"]).await;
}

mod on_a_broker {
    /// The same with Kafka between the processes.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_scenario_has_its_expected_figures_over_kafka() {
        super::assert_expected_figures(&["--bus", "kafka"]).await;
    }
}

async fn assert_expected_figures(options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.json");
    let scenario_folder = scenario_folder();
    let arguments = [
        "demo",
        "--exit",
        "--scenario",
        scenario_folder.to_str().unwrap(),
        "--json",
        out.to_str().unwrap(),
    ];
    let args = DemoCommand::parse_from(arguments.iter().chain(options));
    let database = testkit::TestDatabase::new(&[]).await;
    let as_expected = takedown::demo::run(args.demo, Some(database.url().into()))
        .await
        .unwrap();
    let figures: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let figure = |name: &str| {
        figures[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name}"))
    };

    for (name, expected) in expected_counts() {
        assert_eq!(figure(name), expected as u64, "{name}");
    }
    let expected = expected_outcomes();
    let actual = ExpectedOutcomes {
        open: figure("open"),
        false_claims: figure("false_claims"),
        moved: figure("moved"),
        reappeared: figure("reappeared"),
    };
    assert_eq!(actual, expected);
    let ExpectedOutcomes {
        open,
        false_claims,
        moved,
        reappeared,
    } = expected;
    assert!(
        [open, false_claims, moved, reappeared]
            .iter()
            .all(|n| *n > 0),
        "the scenario lacks some outcome: {actual:?}"
    );
    // The policy's last rung.
    assert_eq!(figures["escalated_by_rung"], json!({ "regulator": open }));
    assert_eq!(figure("confirmed_removed"), figure("actionable") - open);
    assert_eq!(figure("lost"), 0);
    assert_eq!(figure("duplicate_effective_notices"), 0);
    let notices: u64 = figures["notices_by_channel"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum();
    assert!(notices >= figure("actionable"));
    assert!(figure("attempts") > notices, "nothing was sent again");
    assert!(figure("delivered") > 0 && figure("acknowledged") > 0);
    assert!(as_expected, "the demo's own expected figures differ");
}
