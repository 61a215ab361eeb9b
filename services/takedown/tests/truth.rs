//! A street of hosts, played to its end: what the system says must be what the street's files say.
//!
//! The counts that the files give by themselves are derived here, apart from the demo's own expectations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::{Value, json};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    demo: takedown::demo::Args,
}

fn street() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/street")
}

/// The truth's rows by column.
fn truth() -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(street().join("truth.csv")).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

/// What the files alone say must come out.
fn counted() -> BTreeMap<&'static str, usize> {
    let rows = truth();
    let accepted: Vec<_> = rows
        .iter()
        .filter(|row| row["expect"] == "accept")
        .collect();
    let cases = |wanted: &dyn Fn(&str) -> bool| {
        let these = accepted.iter().filter(|row| wanted(&row["verdict"]));
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
        // A second look ends actionable.
        ("actionable", all - not_actionable),
    ])
}

/// What becomes of the actionable cases, by who is asked. On this street nobody further up is slow, and of two who are
/// asked at once at most one comes back or lies: so each figure is exact.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ends {
    open: u64,
    false_claims: u64,
    moved: u64,
    reappeared: u64,
}

fn ends() -> Ends {
    let text = std::fs::read(street().join("providers.json")).unwrap();
    let providers: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let by_id: BTreeMap<&str, &Value> = providers
        .iter()
        .map(|p| (p["id"].as_str().unwrap(), p))
        .collect();
    let behaviour = |id: &str| by_id[id]["behaviour"].as_str().unwrap();
    let acts = |id: &&str| !["silent", "bounces", "not_ours"].contains(&behaviour(id));
    let rows = truth();
    let hosts: BTreeMap<&str, &str> = rows
        .iter()
        .filter(|row| row["expect"] == "accept" && !row["verdict"].starts_with("not_actionable"))
        .map(|row| (row["case"].as_str(), row["provider"].as_str()))
        .collect();
    let mut ends = Ends::default();
    for host in hosts.into_values() {
        let next = ["origin", "upstream", "registrar"].map(|role| by_id[host][role].as_str());
        let mut asked = std::iter::once(host).chain(next.into_iter().flatten());
        let does = asked.find(acts).map(behaviour);
        let again = u64::from(does == Some("reappears"));
        let named = by_id[host]["upstream"].as_str();
        let is_moved = behaviour(host) == "not_ours" && named != by_id[host]["origin"].as_str();
        ends.open += u64::from(does.is_none());
        ends.false_claims += u64::from(does == Some("claims_falsely"));
        ends.reappeared += again;
        ends.moved += u64::from(is_moved) * (1 + again);
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn a_street_ends_as_its_files_say() {
    ends_as_its_files_say(&[]).await;
}

/// The same with a process for each role and TLS between them.
#[tokio::test(flavor = "multi_thread")]
async fn a_street_ends_as_its_files_say_with_a_process_for_each_role() {
    ends_as_its_files_say(&["--spread"]).await;
}

mod on_a_broker {
    /// The same with Kafka between the processes.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_street_ends_as_its_files_say_over_kafka() {
        super::ends_as_its_files_say(&["--bus", "kafka"]).await;
    }
}

async fn ends_as_its_files_say(form: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.json");
    let street = street();
    let line = [
        "demo",
        "--exit",
        "--street",
        street.to_str().unwrap(),
        "--json",
        out.to_str().unwrap(),
    ];
    let args = Line::parse_from(line.iter().chain(form));
    let database = platform::testing::TestDatabase::new(&[]).await;
    let as_expected = takedown::demo::run(args.demo, Some(database.url().into()))
        .await
        .unwrap();
    let figures: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let figure = |name: &str| {
        figures[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name}"))
    };

    for (name, wanted) in counted() {
        assert_eq!(figure(name), wanted as u64, "{name}");
    }
    let wanted = ends();
    let is = Ends {
        open: figure("open"),
        false_claims: figure("false_claims"),
        moved: figure("moved"),
        reappeared: figure("reappeared"),
    };
    assert_eq!(is, wanted);
    let Ends {
        open,
        false_claims,
        moved,
        reappeared,
    } = wanted;
    assert!(
        [open, false_claims, moved, reappeared]
            .iter()
            .all(|n| *n > 0),
        "the street is too quiet: {is:?}"
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
    assert!(as_expected, "the demo's own expectations differ");
}
