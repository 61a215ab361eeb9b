//! A backup is restored on an empty machine; an incomplete or damaged one is refused before anything is
//! written.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::program::{RunningSystem, code, errors, folder, takedown, wait_for};

/// Runs a command on a folder with a private database.
fn run_private(dir: &Path, args: &[&str]) -> Output {
    takedown(None, dir)
        .args(args)
        .arg("--json")
        .output()
        .unwrap()
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", errors(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_system_is_restored_on_an_empty_machine() {
    let mut first = RunningSystem::private();
    let receipt = first.json(&["report", "submit", "--url", "https://h.example/kept"]);
    let reference = receipt["reference"].as_str().unwrap().to_owned();
    let before = first.json(&["report", "status", &reference]);
    let parent = folder();
    let backup = parent.path().join("backup");
    let backup = backup.to_str().unwrap();
    let taken = first.json(&["backup", backup]);
    assert!(taken["rows"].as_u64().unwrap() > 0, "{taken}");
    // A report after the backup is not in it.
    let later = first.json(&["report", "submit", "--url", "https://h.example/later"]);
    assert!(first.terminate().success());

    let machine = folder();
    let restored = json_of(&run_private(machine.path(), &["restore", backup]));
    assert_eq!(restored["rows"], taken["rows"]);
    let second = RunningSystem::on(None, machine, &[]);
    let status = second.json(&["report", "status", &reference]);
    assert_eq!(status["received_at"], before["received_at"], "{status}");
    let later = later["reference"].as_str().unwrap();
    assert_eq!(second.refusal(&["report", "status", later]), "not_found");
    // The restored system accepts reports, and its ledger verifies across the restore.
    second.json(&["report", "submit", "--url", "https://h.example/new"]);
    wait_for(|| {
        let verified = second.json(&["ledger", "verify"]);
        assert_eq!(verified["ok"], true, "{verified}");
        (verified["leaves"].as_u64().unwrap() >= 2).then_some(())
    })
    .await;
    assert_eq!(second.json(&["doctor"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_never_overwritten_and_never_restored_over_existing_data() {
    let up = RunningSystem::private();
    up.json(&["report", "submit", "--url", "https://h.example/p"]);
    let parent = folder();
    let backup = parent.path().join("backup");
    let backup = backup.to_str().unwrap();
    up.json(&["backup", backup]);
    assert_eq!(up.refusal(&["backup", backup]), "backup_exists");
    assert_eq!(up.refusal(&["restore", backup]), "keyring_exists");
    let other = folder();
    std::fs::write(other.path().join("keyring.json"), "{}").unwrap();
    let output = run_private(other.path(), &["restore", backup]);
    assert_eq!(code(&output), "keyring_exists");
    let unchanged = std::fs::read_to_string(other.path().join("keyring.json")).unwrap();
    assert_eq!(unchanged, "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused_before_anything_is_written() {
    let up = RunningSystem::private();
    up.json(&["report", "submit", "--url", "https://h.example/p"]);
    let parent = folder();
    let damaged = |name: &str, damage: &dyn Fn(&Path)| {
        let backup = parent.path().join(name);
        up.json(&["backup", backup.to_str().unwrap()]);
        damage(&backup);
        let machine = folder();
        let output = run_private(machine.path(), &["restore", backup.to_str().unwrap()]);
        let entries = std::fs::read_dir(machine.path()).unwrap().count();
        assert_eq!(entries, 0, "{name}");
        code(&output)
    };
    let no_manifest = |dir: &Path| std::fs::remove_file(dir.join("manifest.json")).unwrap();
    assert_eq!(damaged("cut", &no_manifest), "backup_incomplete");
    let one_byte = |dir: &Path| {
        let path = dir.join("intake.report.copy.gz");
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 9;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    assert_eq!(damaged("altered", &one_byte), "backup_damaged");
    let no_table = |dir: &Path| {
        std::fs::remove_file(dir.join("ledger.leaf.copy.gz")).unwrap();
    };
    assert_eq!(damaged("short", &no_table), "backup_damaged");
    let other_keys = |dir: &Path| std::fs::write(dir.join("keyring.json"), "{}").unwrap();
    assert_eq!(damaged("keys", &other_keys), "backup_damaged");
    let newer = |dir: &Path| {
        let path = dir.join("manifest.json");
        let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let versions = manifest["migrations"]["intake"]["intake"].as_array_mut();
        versions.unwrap().push(9999.into());
        std::fs::write(&path, manifest.to_string()).unwrap();
    };
    assert_eq!(damaged("newer", &newer), "backup_newer");
}
