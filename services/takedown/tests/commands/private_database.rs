//! A system with a private database, as on the first start on a machine.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use crate::program::{RunningSystem, errors, folder, start_and_wait, takedown, terminate};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_database_survives_a_kill_and_is_adopted_by_the_next_start() {
    let mut up = RunningSystem::private();
    let receipt = up.json(&["report", "submit", "--url", "https://h.example/p"]);
    // Commands read its address from client.toml.
    assert_eq!(up.json(&["parked", "list"]), serde_json::json!([]));
    assert_eq!(up.json(&["doctor"])["ok"], true);

    let pid_file = up.path("postgres/data/postmaster.pid");
    // The first line is the server's pid; the last line changes with its state.
    let server = || {
        let text = std::fs::read_to_string(&pid_file).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    let before = server();
    up.kill_and_restart();
    assert_eq!(server(), before, "the same server keeps running");
    let reference = receipt["reference"].as_str().unwrap();
    assert!(up.json(&["report", "status", reference])["outcome"].is_string());
    assert!(up.terminate().success());
    assert!(!pid_file.exists(), "it is stopped with the system");
}

/// The commands of the README's quick start, without `./dev takedown` and comments.
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
async fn the_quick_start_of_the_readme_works() {
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
    let (mut child, _) = start_and_wait(command(up));
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
#[ignore = "runs a demo, which takes a minute"]
fn a_temporary_demo_leaves_nothing_behind() {
    // Other users may not enter it: as root, the database's files go to a folder of their own.
    let temporary = tempfile::tempdir().unwrap();
    let output = takedown(None, temporary.path())
        .args(["demo", "--exit", "--reports", "5"])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    let stderr = errors(&output);
    let leftover = stderr
        .split_whitespace()
        .find(|part| part.starts_with("/var/tmp/takedown-"));
    assert!(
        leftover.is_none_or(|home| !Path::new(home).exists()),
        "{stderr}"
    );
    let inside = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(inside, 0, "{stderr}");
}
