//! Every path, item (after a `#`), picture, alarm and alert that the documents name exists, and none is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The code spans of a document that name a path of this repository.
fn named_paths(document: &str) -> Vec<String> {
    let folders = ["proto/", "services/", "tests/", "deploy/", "docs/", ".ci/"];
    document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|span| folders.iter().any(|folder| span.starts_with(folder)) && !span.contains(' '))
        .map(str::to_owned)
        .collect()
}

/// The paths and items in a document that do not exist.
fn missing(document: &str) -> Vec<String> {
    named_paths(document)
        .into_iter()
        .filter(|name| {
            let (path, item) = name.split_once('#').unwrap_or((name, ""));
            let path = root().join(path);
            if item.is_empty() {
                return !path.exists();
            }
            let text = fs::read_to_string(path).unwrap_or_default();
            !text.lines().any(|line| declares(line, item))
        })
        .collect()
}

/// Whether a line declares the item, with any visibility.
fn declares(line: &str, item: &str) -> bool {
    let tokens: Vec<&str> = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    tokens
        .windows(2)
        .any(|pair| matches!(pair[0], "fn" | "struct" | "enum" | "trait") && pair[1] == item)
}

#[test]
fn every_path_and_item_in_the_documents_exists() {
    for document in [
        "docs/ARCHITECTURE.md",
        "docs/CONSOLE.md",
        "docs/DEPLOYMENT.md",
        "docs/OPERATIONS.md",
        "docs/PROVIDER_MAIL.md",
        "README.md",
    ] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        assert!(document != "docs/ARCHITECTURE.md" || named_paths(&text).len() > 30);
        assert_eq!(missing(&text), Vec::<String>::new(), "{document}");
    }
}

#[test]
fn the_console_guide_shows_exactly_the_pictures_in_the_repository() {
    let document = fs::read_to_string(root().join("docs/CONSOLE.md")).unwrap();
    let shown: BTreeSet<String> = document
        .split("](images/")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(str::to_owned)
        .collect();
    let existing: BTreeSet<String> = fs::read_dir(root().join("docs/images"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(shown.len() > 10, "{shown:?}");
    assert_eq!(shown, existing);
}

#[test]
fn a_path_that_does_not_exist_is_reported() {
    let document = "see `services/intake/src/lib.rs`, `services/absent.rs` and `services/intake/src/lib.rs#vanished`";
    assert_eq!(
        missing(document),
        ["services/absent.rs", "services/intake/src/lib.rs#vanished"]
    );
}

/// The sources of the services, without their tests.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_alarm_has_a_remedy_in_the_guide() {
    let mut code = String::new();
    sources(&root().join("services"), &mut code);
    let raised: BTreeSet<&str> = code
        .split("alarm = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(raised.len() > 15, "{raised:?}");
    let document = fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let (_, alarms) = document.split_once("\n## Alarms\n").unwrap();
    let documented: BTreeSet<&str> = alarms
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let undocumented: Vec<_> = raised.difference(&documented).collect();
    assert_eq!(
        undocumented,
        Vec::<&&str>::new(),
        "no line in docs/OPERATIONS.md"
    );
    // Some codes are passed as values.
    let unknown = documented
        .iter()
        .filter(|name| !code.contains(&format!("\"{name}\"")));
    assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (alerts, guide) = (
        read("deploy/chart/files/alerts.yaml"),
        read("docs/OPERATIONS.md"),
    );
    let after = |text: &str, prefix: &str| -> BTreeSet<String> {
        let lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(prefix));
        lines.map(str::to_owned).collect()
    };
    let named = after(&alerts, "- alert: ");
    assert!(named.len() > 10);
    let sections = after(&guide, "### Takedown");
    let sections = sections.iter().map(|name| format!("Takedown{name}"));
    assert_eq!(named, sections.collect());
    // The annotation links to the section of the alert's name.
    let runbooks = after(&alerts, "runbook: docs/OPERATIONS.md#");
    assert_eq!(
        runbooks,
        named.iter().map(|name| name.to_lowercase()).collect()
    );
}
