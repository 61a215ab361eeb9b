//! The direction of dependencies, and a few things that no crate may do.
//!
//! `proto <- domain <- services -> platform`; no service knows another, the edges know no database, and
//! only the program and these tests see everything. Platform knows one service of `proto`, the log's own. A new crate must be given its place here first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const CORE: [&str; 4] = ["intake", "verification", "dispatch", "ledger"];
const EDGES: [&str; 2] = ["gateway", "console"];

/// What an edge to the outside must not be able to reach by itself.
const DATABASE: [&str; 4] = ["sqlx", "postgres", "tokio-postgres", "diesel"];

/// The modules of `platform` that lead to one.
const WAYS_TO_A_DATABASE: [&str; 3] = ["db", "embedded", "testing"];

/// The crates of this workspace that each may depend on; `None` for one that has no place yet.
fn may_see(name: &str) -> Option<BTreeSet<&'static str>> {
    let below = ["proto", "domain", "platform"];
    if CORE.contains(&name) || EDGES.contains(&name) {
        return Some(below.into());
    }
    match name {
        "proto" => Some(BTreeSet::new()),
        "platform" | "domain" => Some(["proto"].into()),
        "takedown" => Some(below.into_iter().chain(CORE).chain(EDGES).collect()),
        "tests" => Some(
            below
                .into_iter()
                .chain(CORE)
                .chain(EDGES)
                .chain(["takedown"])
                .collect(),
        ),
        _ => None,
    }
}

/// Each crate of the workspace with all it depends on: normal, build and test dependencies alike.
fn workspace() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata failed");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let names = |list: &serde_json::Value| -> BTreeSet<String> {
        let list = list.as_array().expect("a list");
        list.iter()
            .map(|d| d["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    metadata["packages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| {
            (
                p["name"].as_str().expect("a name").to_owned(),
                names(&p["dependencies"]),
            )
        })
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Arrows that point the wrong way.
fn wrong(crates: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, dependencies) in crates {
        let Some(allowed) = may_see(name) else {
            wrong.push(format!("{name} has no place in the layers"));
            continue;
        };
        for dependency in dependencies {
            let ours = crates.contains_key(dependency);
            if ours && !allowed.contains(dependency.as_str()) {
                wrong.push(format!("{name} must not depend on {dependency}"));
            }
            if EDGES.contains(&name.as_str()) && DATABASE.contains(&dependency.as_str()) {
                wrong.push(format!(
                    "{name} must not reach a database, but depends on {dependency}"
                ));
            }
        }
    }
    wrong
}

/// The modules of `platform` that a source names, also those that share a pair of braces.
fn platform_modules(text: &str) -> BTreeSet<&str> {
    let mut modules = BTreeSet::new();
    for (at, path) in text.match_indices("platform::") {
        let rest = &text[at + path.len()..];
        let mut depth = 0_usize;
        let mut is_next = true;
        for (at, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                // The end of the list, or of a path beside which there was none.
                '}' if depth < 2 => break,
                '}' => depth -= 1,
                ',' if depth == 1 => is_next = true,
                c if c.is_whitespace() => {}
                _ if is_next && depth < 2 => {
                    let end = |c: char| !c.is_alphanumeric() && c != '_';
                    modules.extend(rest[at..].split(end).next());
                    is_next = false;
                }
                _ => {}
            }
            if depth == 0 && !is_next {
                break;
            }
        }
    }
    modules
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder of the clone") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_arrow_points_the_right_way() {
    let crates = workspace();
    assert!(crates.len() >= 10, "the workspace was not read: {crates:?}");
    assert_eq!(wrong(&crates), Vec::<String>::new());
}

#[test]
fn a_wrong_arrow_would_be_found() {
    let mut crates = workspace();
    for (from, to) in [
        ("intake", "ledger"),
        ("domain", "platform"),
        ("platform", "domain"),
        ("gateway", "sqlx"),
        ("helpers", "serde"),
    ] {
        crates.entry(from.into()).or_default().insert(to.into());
    }
    assert_eq!(wrong(&crates).len(), 5, "{:?}", wrong(&crates));
}

/// What platform may know of the wire: how a log is read, what lies parked, and a figure of the metrics; nothing that an
/// event means.
#[test]
fn platform_knows_the_log_service_alone() {
    let known = [
        "log_service_",
        "LogService",
        "read_log_",
        "ReadLog",
        "LogBounds",
        "LogEvent",
        "Sign",
        "parked_service_",
        "ParkedService",
    ];
    let mut files = Vec::new();
    rust_files(&root().join("services/platform/src"), &mut files);
    let mut uses = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        for (_, rest) in text
            .match_indices("proto::v1::")
            .map(|(at, _)| text.split_at(at))
        {
            let rest = &rest["proto::v1::".len()..];
            let names = rest.strip_prefix('{').map_or(rest, |list| list);
            let end = names.find(['}', ';']).unwrap_or(names.len());
            for name in names[..end]
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
            {
                uses += 1;
                assert!(
                    known.iter().any(|k| name.starts_with(k)),
                    "{} knows {name}",
                    file.display()
                );
            }
        }
    }
    assert!(uses > 5, "the uses were not found");
}

#[test]
fn an_edge_opens_no_pool() {
    for edge in EDGES {
        let mut files = Vec::new();
        rust_files(&root().join("services").join(edge).join("src"), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source file");
            let mut ways = platform_modules(&text);
            ways.retain(|module| WAYS_TO_A_DATABASE.contains(module));
            assert!(ways.is_empty(), "{}: platform::{ways:?}", file.display());
        }
    }
}

#[test]
fn a_pool_would_be_found_however_it_is_imported() {
    for (text, wanted) in [
        ("use platform::db::Pool;", vec!["db"]),
        ("platform::testing::TestDatabase::new()", vec!["testing"]),
        (
            "use platform::{clock::{self, Clock}, db, embedded as e};",
            vec!["clock", "db", "embedded"],
        ),
        (
            "use platform::{\n    error::{Kind, Problem},\n    log,\n};",
            vec!["error", "log"],
        ),
        ("use platform::grpc; use other::db;", vec!["grpc"]),
    ] {
        assert_eq!(
            platform_modules(text),
            BTreeSet::from_iter(wanted),
            "{text}"
        );
    }
}

#[test]
fn every_module_says_what_it_is_and_every_exception_its_reason() {
    let mut files = Vec::new();
    rust_files(&root().join("services"), &mut files);
    rust_files(&root().join("tests"), &mut files);
    let mut faults = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        if !text.trim_start().starts_with("//!") {
            faults.push(format!("{} does not open with //!", file.display()));
        }
        for attribute in ["#[allow(", "#![allow("] {
            for (_, rest) in text
                .match_indices(attribute)
                .map(|(at, _)| text.split_at(at))
            {
                let end = rest.find(")]").unwrap_or(rest.len());
                if !rest[..end].contains("reason") && !file.ends_with("layering.rs") {
                    faults.push(format!("{} allows a lint without a reason", file.display()));
                }
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}
