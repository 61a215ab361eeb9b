//! The configuration files that the chart renders: each is parsed like its role parses it, and has the fields of deploy/config and
//! no others. Needs helm in TAKEDOWN_HELM, as `./dev test` sets it. `tests/deploy` checks the rest of the chart.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use platform::config::{env_var, load};
use roles::role::{Role, config};
use serde::de::DeserializeOwned;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Renders the chart with a file of values.
fn render(values: &str) -> String {
    let helm = env_var("TAKEDOWN_HELM")
        .expect("TAKEDOWN_HELM is not set; run `./dev test --all`, or pass `--skip rendered`");
    let output = Command::new(helm)
        .args(["template", "takedown", "deploy/chart", "--values"])
        .arg(format!("deploy/chart/{values}"))
        .current_dir(root())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// A file in a ConfigMap: the lines indented below its name.
fn text(rendered: &str, name: &str) -> String {
    let head = format!("\n  {name}: |\n");
    let (_, rest) = rendered
        .split_once(&head)
        .unwrap_or_else(|| panic!("{name} is missing"));
    rest.lines()
        .take_while(|line| line.starts_with("    ") || line.is_empty())
        .flat_map(|line| [line.trim_start(), "\n"])
        .collect()
}

/// The fields of a TOML text with one field per line, such as `settings.mail.port`.
fn fields(text: &str) -> BTreeSet<String> {
    let mut table = String::new();
    let mut fields = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            table = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((name, _)) = line.split_once(" = ") {
            fields.insert(format!("{table}{name}"));
        }
    }
    fields
}

/// Parses a file like the role does.
fn read(role: Role, path: &Path) {
    fn read_as<T: DeserializeOwned>(path: &Path) -> Result<(), String> {
        let read: Result<T, _> = load(Some(path), "TAKEDOWN_NOWHERE_");
        read.map(drop).map_err(|error| error.to_string())
    }
    let read = match role {
        Role::Intake => read_as::<config::Intake>(path),
        Role::Verification => read_as::<config::Verification>(path),
        Role::Dispatch => read_as::<config::Dispatch>(path),
        Role::Ledger => read_as::<config::Ledger>(path),
        Role::Gateway => read_as::<config::Gateway>(path),
        Role::Console => read_as::<config::Console>(path),
    };
    read.unwrap_or_else(|error| panic!("{role}: {error}"));
}

/// Fields that are left out if they are not configured.
const OPTIONAL: [&str; 7] = [
    "mail_listen",
    "policy",
    "settings.mail.host",
    "settings.mail.name",
    "settings.mail.port",
    "settings.mail.return_domain",
    "settings.mail.tls",
];

/// Fields that the samples have only in comments.
const IN_COMMENTS: [&str; 6] = [
    "settings.mail.tls",
    "monitor.listen",
    "bus.bootstrap",
    "bus.tls.ca",
    "bus.tls.certificate",
    "bus.tls.key",
];

#[test]
fn rendered_files_are_valid_configurations_of_the_roles() {
    let folder = tempfile::tempdir().unwrap();
    for values in [
        "values.yaml",
        "ci/kafka-values.yaml",
        "ci/small-values.yaml",
    ] {
        let rendered = render(values);
        for role in Role::ALL {
            let path = folder.path().join(format!("{role}.toml"));
            fs::write(&path, text(&rendered, &format!("{role}.toml"))).unwrap();
            read(role, &path);
        }
        for name in Role::ALL.map(Role::name).into_iter().chain(["migrate"]) {
            let sample = root().join(format!("deploy/config/{name}.toml"));
            let sample = fields(&fs::read_to_string(sample).unwrap());
            let rendered_fields = fields(&text(&rendered, &format!("{name}.toml")));
            assert!(sample.len() > 4, "{name}: {sample:?}");
            let additional: Vec<_> = rendered_fields.difference(&sample).collect();
            assert!(
                additional
                    .iter()
                    .all(|field| IN_COMMENTS.contains(&field.as_str())),
                "{values}: {name} has {additional:?}"
            );
            let missing: Vec<_> = sample.difference(&rendered_fields).collect();
            let is_complete = values == "ci/kafka-values.yaml";
            assert!(
                missing
                    .iter()
                    .all(|field| !is_complete && OPTIONAL.contains(&field.as_str())),
                "{values}: {name} lacks {missing:?}"
            );
        }
    }
}

#[test]
fn the_chart_has_the_version_of_the_workspace() {
    let chart = fs::read_to_string(root().join("deploy/chart/Chart.yaml")).unwrap();
    let version = concat!("\nappVersion: ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(chart.contains(version), "{chart}");
}
