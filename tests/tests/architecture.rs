//! What the documents name exists: every path, every item named behind a `#`, and every alarm; and no alarm is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The code spans of a document that name a path: they hold a slash and no space, and begin with a folder of ours.
fn named(document: &str) -> Vec<String> {
    let tops = ["proto/", "services/", "tests/", "deploy/", "docs/", ".ci/"];
    document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|span| tops.iter().any(|top| span.starts_with(top)) && !span.contains(' '))
        .map(str::to_owned)
        .collect()
}

/// What is missing of the names in a document.
fn missing(document: &str) -> Vec<String> {
    named(document)
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

/// Whether a line declares the item, whatever may see it.
fn declares(line: &str, item: &str) -> bool {
    let words: Vec<&str> = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    words
        .windows(2)
        .any(|pair| matches!(pair[0], "fn" | "struct" | "enum" | "trait") && pair[1] == item)
}

#[test]
fn every_path_and_item_that_the_documents_name_exists() {
    for document in [
        "docs/ARCHITECTURE.md",
        "docs/CONSOLE.md",
        "docs/DEPLOYMENT.md",
        "docs/OPERATIONS.md",
        "docs/PROVIDER_MAIL.md",
        "README.md",
    ] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        assert!(document != "docs/ARCHITECTURE.md" || named(&text).len() > 30);
        assert_eq!(missing(&text), Vec::<String>::new(), "{document}");
    }
}

#[test]
fn every_picture_that_a_document_shows_is_there_and_no_other() {
    let document = fs::read_to_string(root().join("docs/CONSOLE.md")).unwrap();
    let shown: BTreeSet<String> = document
        .split("](images/")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(str::to_owned)
        .collect();
    let kept: BTreeSet<String> = fs::read_dir(root().join("docs/images"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(shown.len() > 10, "{shown:?}");
    assert_eq!(shown, kept);
}

#[test]
fn a_name_that_is_gone_is_found_missing() {
    let document = "see `services/intake/src/lib.rs`, `services/gone.rs` and `services/intake/src/lib.rs#vanished`";
    assert_eq!(
        missing(document),
        ["services/gone.rs", "services/intake/src/lib.rs#vanished"]
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
fn every_alarm_has_a_line_that_says_what_to_do() {
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
    let told: BTreeSet<&str> = alarms
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let silent: Vec<_> = raised.difference(&told).collect();
    assert_eq!(silent, Vec::<&&str>::new(), "no line in docs/OPERATIONS.md");
    // Some are raised by a code that is a value.
    let invented = told
        .iter()
        .filter(|name| !code.contains(&format!("\"{name}\"")));
    assert_eq!(invented.collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (alerts, guide) = (
        read("deploy/chart/files/alerts.yaml"),
        read("docs/OPERATIONS.md"),
    );
    let after = |text: &str, mark: &str| -> BTreeSet<String> {
        let lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(mark));
        lines.map(str::to_owned).collect()
    };
    let named = after(&alerts, "- alert: ");
    assert!(named.len() > 10);
    let sections = after(&guide, "### Takedown");
    let sections = sections.iter().map(|name| format!("Takedown{name}"));
    assert_eq!(named, sections.collect());
    // Where an alert leads is the section of its name.
    let places = after(&alerts, "runbook: docs/OPERATIONS.md#");
    assert_eq!(
        places,
        named.iter().map(|name| name.to_lowercase()).collect()
    );
}
