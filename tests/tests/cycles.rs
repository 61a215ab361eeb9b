//! The modules of a crate depend on each other in one direction.
//!
//! A file depends on another if it names something that the other one defines, however often it is re-exported between
//! (`cycles/module_graph.rs`). The rule holds among siblings, at each level: among the modules below the same parent, each
//! taken with everything below it, no two may depend on each other, nor more in a circle.
//!
//! Names between a module and its own ancestor are not counted. A parent may use its children and define what they share
//! (an error, a handler with its state), because it is read with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use module_graph::{FileDependency, file_dependencies};

#[path = "cycles/module_graph.rs"]
mod module_graph;

fn read_sources(src: &Path, dir: &Path, sources: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).expect("a folder of the clone") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(src, &path, sources);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let name = path.strip_prefix(src).expect("it is below");
            sources.insert(name.to_str().expect("UTF-8").to_owned(), text);
        }
    }
}

/// Cycles that are there today: the crate and its modules. Each is to be broken; one that is no more must be removed.
const ACCEPTED: &[(&str, &[&str])] = &[
    (
        "dispatch",
        &[
            "auth",
            "cases",
            "checks",
            "config",
            "delivery",
            "directory",
            "grpc",
            "idempotency",
        ],
    ),
    (
        "dispatch",
        &["delivery::channels::mail", "delivery::channels::xarf"],
    ),
    (
        "dispatch",
        &[
            "directory::grpc::preferences",
            "directory::grpc::provider_proto",
        ],
    ),
    ("dispatch", &["directory::snapshot", "directory::store"]),
    ("platform", &["embedded::binaries", "embedded::download"]),
    ("simulator", &["expected_figures", "expected_outcome"]),
    ("simulator", &["hosts", "http"]),
    (
        "simulator",
        &["multi_process::certificates", "multi_process::files"],
    ),
    ("simulator", &["outbox", "simulated_host"]),
];

/// The folders with the sources of each crate of the workspace.
fn crates() -> BTreeMap<String, PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata failed");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let package = |package: &serde_json::Value| {
        let name = package["name"].as_str().expect("a name");
        let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
        (name.to_owned(), manifest.with_file_name("src"))
    };
    packages.iter().map(package).collect()
}

/// The names from the crate's root to a file's module.
fn module_path(file: &str) -> Vec<&str> {
    let mut path: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if matches!(path.last(), Some(&("mod" | "lib" | "main"))) {
        path.pop();
    }
    path
}

/// The siblings that a dependency connects: the modules below the closest common parent; `None` between a module and its parent.
fn siblings(dependency: &FileDependency) -> Option<(String, String)> {
    let (from, to) = (module_path(&dependency.from), module_path(&dependency.to));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    (common < from.len() && common < to.len())
        .then(|| (from[..=common].join("::"), to[..=common].join("::")))
}

/// A group of siblings that depend on each other, with the names that connect them.
#[derive(Debug)]
struct Cycle<'a> {
    modules: BTreeSet<String>,
    dependencies: Vec<&'a FileDependency>,
}

fn cycles(dependencies: &[FileDependency]) -> Vec<Cycle<'_>> {
    let mut uses: BTreeMap<String, BTreeMap<String, Vec<&FileDependency>>> = BTreeMap::new();
    for dependency in dependencies {
        if let Some((from, to)) = siblings(dependency) {
            let used = uses.entry(from).or_default();
            used.entry(to).or_default().push(dependency);
        }
    }
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for start in uses.keys() {
        let mut found = BTreeSet::new();
        let mut next = vec![start];
        while let Some(module) = next.pop() {
            let used = uses.get(module).into_iter().flat_map(BTreeMap::keys);
            next.extend(used.filter(|used| found.insert(used.as_str())));
        }
        reached.insert(start, found);
    }
    let reaches = |a: &str, b: &str| reached.get(a).is_some_and(|found| found.contains(b));
    let mut cycles: Vec<Cycle<'_>> = Vec::new();
    for (from, used) in &uses {
        for (to, dependencies) in used.iter().filter(|(to, _)| reaches(to, from)) {
            let known = cycles.iter_mut().find(|cycle| {
                let member = cycle.modules.first().expect("it has modules");
                reaches(member, from) && reaches(from, member)
            });
            if let Some(cycle) = known {
                cycle.modules.extend([from.clone(), to.clone()]);
                cycle.dependencies.extend(dependencies);
            } else {
                cycles.push(Cycle {
                    modules: BTreeSet::from([from.clone(), to.clone()]),
                    dependencies: dependencies.clone(),
                });
            }
        }
    }
    cycles
}

/// The cycles of a crate, each as its modules and, for a reader, its dependencies.
fn crate_cycles(sources: &BTreeMap<String, String>) -> Vec<(BTreeSet<String>, String)> {
    let roots = ["lib.rs", "main.rs"].into_iter();
    let dependencies = roots
        .filter(|root| sources.contains_key(*root))
        .flat_map(|root| file_dependencies(root, sources))
        .collect::<Vec<_>>();
    let describe = |cycle: Cycle<'_>| {
        let lines = cycle.dependencies.iter().map(|dependency| {
            let FileDependency {
                from,
                to,
                line,
                name,
            } = dependency;
            format!("    {from}:{line} names {name} of {to}\n")
        });
        let lines = lines.collect();
        (cycle.modules, lines)
    };
    cycles(&dependencies).into_iter().map(describe).collect()
}

#[test]
fn modules_depend_on_each_other_in_one_direction() {
    let mut accepted: BTreeSet<(String, BTreeSet<String>)> = ACCEPTED
        .iter()
        .map(|(name, modules)| {
            let modules = modules.iter().map(|module| (*module).to_owned());
            ((*name).to_owned(), modules.collect())
        })
        .collect();
    assert_eq!(accepted.len(), ACCEPTED.len(), "an entry is listed twice");
    let crates = crates();
    assert!(crates.len() >= 10, "the workspace was not read: {crates:?}");
    let mut faults = Vec::new();
    for (name, src) in crates {
        let mut sources = BTreeMap::new();
        read_sources(&src, &src, &mut sources);
        for (modules, dependencies) in crate_cycles(&sources) {
            if !accepted.remove(&(name.clone(), modules.clone())) {
                faults.push(format!(
                    "{name}: {modules:?} depend on each other:\n{dependencies}"
                ));
            }
        }
    }
    for (name, modules) in accepted {
        faults.push(format!(
            "{name}: {modules:?} is accepted, but no cycle; remove it"
        ));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn sources(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let files = files.iter();
    files
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

#[test]
fn a_cycle_is_found_through_re_exports_and_below_other_modules() {
    let sources = sources(&[
        ("lib.rs", "mod orders; mod stock;"),
        (
            "orders/mod.rs",
            "mod price;\nmod total;\npub(crate) use price::Price;\nuse total::total;\nfn all() { total(); }",
        ),
        ("orders/price.rs", "pub(crate) struct Price;"),
        (
            "orders/total.rs",
            "pub(crate) fn total() {\n    crate::stock::count();\n}",
        ),
        (
            "stock.rs",
            "use crate::orders;\npub(crate) fn count() { println!(\"{}\", orders::Price); }",
        ),
    ]);
    let [(modules, dependencies)] = &crate_cycles(&sources)[..] else {
        panic!("not one cycle");
    };
    assert_eq!(modules.iter().collect::<Vec<_>>(), ["orders", "stock"]);
    assert_eq!(
        dependencies.lines().map(str::trim).collect::<Vec<_>>(),
        [
            "orders/total.rs:2 names crate::stock::count of stock.rs",
            "stock.rs:2 names orders::Price of orders/price.rs",
        ]
    );
}

#[test]
fn what_is_no_cycle_is_not_reported() {
    let sources = sources(&[
        ("lib.rs", "pub mod a; mod b; pub use a::{Error, run};"),
        // A parent with what its children share, a module with the name of a function, and a test that names its parent.
        (
            "a/mod.rs",
            "mod first; mod second; pub struct Error; pub fn run() { first::first(); second::second(); }",
        ),
        (
            "a/first.rs",
            "use super::Error; pub fn first() -> Error { super::second::second() }",
        ),
        (
            "a/second.rs",
            "pub fn second() -> crate::Error { crate::b::b::b() }",
        ),
        (
            "b.rs",
            "pub mod b { pub fn b() -> u8 { 1 } }\n#[cfg(test)]\nmod tests { use crate::a::run; }\n\
             #[test]\nfn t() { crate::a::run(); }",
        ),
    ]);
    assert_eq!(crate_cycles(&sources), []);
}
