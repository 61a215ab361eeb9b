//! A system that keeps its database itself, as it is started first on a machine.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use crate::program::{Up, announced, errors, folder, takedown, terminate};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_database_outlives_a_kill_and_is_gone_on_with() {
    let mut up = Up::private();
    let receipt = up.json(&["report", "submit", "--url", "https://h.example/p"]);
    // Its address is in client.toml alone.
    assert_eq!(up.json(&["parked", "list"]), serde_json::json!([]));
    assert_eq!(up.json(&["doctor"])["ok"], true);

    let pid_file = up.path("postgres/data/postmaster.pid");
    // The first line is the server's process; the last one changes with what it does.
    let server = || {
        let text = std::fs::read_to_string(&pid_file).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    let before = server();
    up.killed_and_started_again();
    assert_eq!(server(), before, "the same server goes on");
    let reference = receipt["reference"].as_str().unwrap();
    assert!(up.json(&["report", "status", reference])["outcome"].is_string());
    assert!(up.terminate().success());
    assert!(!pid_file.exists(), "it ends with us");
}

/// The commands of the README's quick start, without `./dev takedown` and what is said about them.
fn quick_start() -> Vec<Vec<String>> {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("./dev takedown "));
    lines
        .map(|line| line.split('#').next().unwrap_or_default())
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_works_as_it_is_written() {
    let home = folder();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    symlink(root.join("tests"), home.path().join("tests")).unwrap();
    let command = |args: &[String]| {
        let mut command = takedown(None, home.path());
        command
            .env_remove("TAKEDOWN_DATA_DIR")
            .env_remove("XDG_DATA_HOME")
            .env(
                "XDG_CACHE_HOME",
                platform::config::cache_dir().parent().unwrap(),
            )
            .env("HOME", home.path())
            .current_dir(home.path())
            .args(args);
        command
    };
    let all = quick_start();
    let (up, others) = all.split_first().unwrap();
    assert_eq!(up[0], "up");
    assert!(others.len() >= 3, "{others:?}");
    let (mut child, _) = announced(command(up));
    let outputs: Vec<Output> = others
        .iter()
        .map(|args| command(args).output().unwrap())
        .collect();
    assert!(terminate(&mut child).success());
    for (args, output) in others.iter().zip(outputs) {
        assert!(output.status.success(), "{args:?}: {}", errors(&output));
    }
}

#[test]
#[ignore = "plays a demo: a minute"]
fn a_temporary_demo_leaves_nothing_behind() {
    // Nobody else may enter it: as root, the database's files go to a place of their own.
    let temporary = tempfile::tempdir().unwrap();
    let output = takedown(None, temporary.path())
        .args(["demo", "--exit", "--reports", "5"])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    let said = errors(&output);
    let left = said
        .split_whitespace()
        .find(|word| word.starts_with("/var/tmp/takedown-"));
    assert!(left.is_none_or(|home| !Path::new(home).exists()), "{said}");
    let inside = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(inside, 0, "{said}");
}
