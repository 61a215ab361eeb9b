//! What the chart hands to the roles: each file is read as its role reads it, and has the fields of deploy/config and no
//! others. `./dev test` says where helm is; the rest of the chart is judged by `tests/deploy`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use platform::config::{load, variable};
use serde::de::DeserializeOwned;
use takedown::role::{Role, config};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The chart with the values of a file.
fn render(values: &str) -> String {
    let helm = variable("TAKEDOWN_HELM")
        .expect("there is no TAKEDOWN_HELM; run `./dev test --all`, or pass `--skip rendered`");
    let output = Command::new(helm)
        .args(["template", "takedown", "deploy/chart", "--values"])
        .arg(format!("deploy/chart/{values}"))
        .current_dir(root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A text of a ConfigMap: what is indented below its name.
fn text(rendered: &str, name: &str) -> String {
    let head = format!("\n  {name}: |\n");
    let (_, rest) = rendered
        .split_once(&head)
        .unwrap_or_else(|| panic!("there is no {name}"));
    rest.lines()
        .take_while(|line| line.starts_with("    ") || line.is_empty())
        .flat_map(|line| [line.trim_start(), "\n"])
        .collect()
}

/// The fields of a TOML text, such as `settings.mail.port`; each stands on a line of its own.
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

/// Reads a file as the role does.
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

/// What is not said where it is not wanted.
const OPTIONAL: [&str; 7] = [
    "mail_listen",
    "policy",
    "settings.mail.host",
    "settings.mail.name",
    "settings.mail.port",
    "settings.mail.return_domain",
    "settings.mail.tls",
];

/// What the samples say in words: the probes' listener, Kafka, and the mail door's certificate.
const BESIDE: [&str; 6] = [
    "settings.mail.tls",
    "monitor.listen",
    "bus.bootstrap",
    "bus.tls.ca",
    "bus.tls.certificate",
    "bus.tls.key",
];

#[test]
fn rendered_files_are_what_the_roles_read() {
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
            let ours = fields(&text(&rendered, &format!("{name}.toml")));
            assert!(sample.len() > 4, "{name}: {sample:?}");
            let more: Vec<_> = ours.difference(&sample).collect();
            assert!(
                more.iter().all(|field| BESIDE.contains(&field.as_str())),
                "{values}: {name} has {more:?}"
            );
            let less: Vec<_> = sample.difference(&ours).collect();
            let whole = values == "ci/kafka-values.yaml";
            assert!(
                less.iter()
                    .all(|field| !whole && OPTIONAL.contains(&field.as_str())),
                "{values}: {name} lacks {less:?}"
            );
        }
    }
}

#[test]
fn the_chart_is_of_this_version() {
    let chart = fs::read_to_string(root().join("deploy/chart/Chart.yaml")).unwrap();
    let version = concat!("\nappVersion: ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(chart.contains(version), "{chart}");
}
