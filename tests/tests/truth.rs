//! A street of hosts, played to its end: what the system says must be what the street's files say.
//!
//! The counts that the files give by themselves are derived here, apart from the demo's own expectations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::Value;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    demo: takedown::demo::Args,
}

fn street() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/street")
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

/// Cases whose host never acts, and neither does anybody above it: they end open, on the regulator's list.
fn hopeless() -> usize {
    let text = std::fs::read(street().join("providers.json")).unwrap();
    let providers: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let by_id: BTreeMap<&str, &Value> = providers
        .iter()
        .map(|p| (p["id"].as_str().unwrap(), p))
        .collect();
    let acts = |id: &str| {
        let behaviour = by_id[id]["behaviour"].as_str().unwrap();
        behaviour != "silent" && behaviour != "bounces"
    };
    let helped = |id: &str| {
        let chain = ["origin", "upstream", "registrar"].map(|role| by_id[id][role].as_str());
        acts(id) || chain.into_iter().flatten().any(acts)
    };
    let rows = truth();
    let lost = rows.iter().filter(|row| {
        row["expect"] == "accept"
            && !row["verdict"].starts_with("not_actionable")
            && !helped(&row["provider"])
    });
    lost.map(|row| row["case"].as_str())
        .collect::<BTreeSet<_>>()
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_street_ends_as_its_files_say() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.json");
    let args = Line::parse_from([
        "demo",
        "--exit",
        "--street",
        street().to_str().unwrap(),
        "--json",
        out.to_str().unwrap(),
    ]);
    let as_expected = takedown::demo::run(args.demo).await.unwrap();
    let figures: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let figure = |name: &str| {
        figures[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name}"))
    };

    for (name, wanted) in counted() {
        assert_eq!(figure(name), wanted as u64, "{name}");
    }
    let open = hopeless() as u64;
    assert!(open > 0, "the street has nobody who stays silent");
    assert_eq!(figure("open"), open);
    assert_eq!(
        figures["escalated_by_rung"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_u64)
            .sum::<u64>(),
        open
    );
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
    for happened in [
        "false_claims",
        "moved",
        "reappeared",
        "attempts",
        "acknowledged",
        "delivered",
    ] {
        assert!(figure(happened) > 0, "{happened} never happened");
    }
    assert!(as_expected, "the demo's own expectations differ");
}
