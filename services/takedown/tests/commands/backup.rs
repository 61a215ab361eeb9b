//! A backup restored into an empty machine goes on where it was taken; one that is not whole is refused before anything is
//! written.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::program::{Up, code, errors, folder, takedown, until};

/// On a folder whose database is private.
fn alone(dir: &Path, args: &[&str]) -> Output {
    takedown(None, dir)
        .args(args)
        .arg("--json")
        .output()
        .unwrap()
}

fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{}", errors(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_backed_up_while_it_ran_goes_on_on_an_empty_machine() {
    let mut first = Up::private();
    let receipt = first.json(&["report", "submit", "--url", "https://h.example/kept"]);
    let reference = receipt["reference"].as_str().unwrap().to_owned();
    let before = first.json(&["report", "status", &reference]);
    let place = folder();
    let backup = place.path().join("backup");
    let backup = backup.to_str().unwrap();
    let taken = first.json(&["backup", backup]);
    assert!(taken["rows"].as_u64().unwrap() > 0, "{taken}");
    // What came after the backup is not in it.
    let later = first.json(&["report", "submit", "--url", "https://h.example/later"]);
    assert!(first.terminate().success());

    let machine = folder();
    let restored = told(&alone(machine.path(), &["restore", backup]));
    assert_eq!(restored["rows"], taken["rows"]);
    let second = Up::on(None, machine, &[]);
    let status = second.json(&["report", "status", &reference]);
    assert_eq!(status["received_at"], before["received_at"], "{status}");
    let later = later["reference"].as_str().unwrap();
    assert_eq!(second.refusal(&["report", "status", later]), "not_found");
    // The restored system is alive: it takes reports, and its ledger holds over both lives.
    second.json(&["report", "submit", "--url", "https://h.example/new"]);
    until(|| {
        let verified = second.json(&["ledger", "verify"]);
        assert_eq!(verified["ok"], true, "{verified}");
        (verified["leaves"].as_u64().unwrap() >= 2).then_some(())
    })
    .await;
    assert_eq!(second.json(&["doctor"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_never_overwritten_and_never_restored_over_anything() {
    let up = Up::private();
    up.json(&["report", "submit", "--url", "https://h.example/p"]);
    let place = folder();
    let backup = place.path().join("backup");
    let backup = backup.to_str().unwrap();
    up.json(&["backup", backup]);
    assert_eq!(up.refusal(&["backup", backup]), "backup_exists");
    assert_eq!(up.refusal(&["restore", backup]), "keyring_exists");
    let other = folder();
    std::fs::write(other.path().join("keyring.json"), "{}").unwrap();
    let output = alone(other.path(), &["restore", backup]);
    assert_eq!(code(&output), "keyring_exists");
    let kept = std::fs::read_to_string(other.path().join("keyring.json")).unwrap();
    assert_eq!(kept, "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_whole_is_refused_before_anything_is_written() {
    let up = Up::private();
    up.json(&["report", "submit", "--url", "https://h.example/p"]);
    let place = folder();
    let spoilt = |name: &str, spoil: &dyn Fn(&Path)| {
        let backup = place.path().join(name);
        up.json(&["backup", backup.to_str().unwrap()]);
        spoil(&backup);
        let machine = folder();
        let output = alone(machine.path(), &["restore", backup.to_str().unwrap()]);
        let left = std::fs::read_dir(machine.path()).unwrap().count();
        assert_eq!(left, 0, "{name}");
        code(&output)
    };
    let no_manifest = |dir: &Path| std::fs::remove_file(dir.join("manifest.json")).unwrap();
    assert_eq!(spoilt("cut", &no_manifest), "backup_incomplete");
    let one_byte = |dir: &Path| {
        let path = dir.join("intake.report.copy.gz");
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 9;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    assert_eq!(spoilt("altered", &one_byte), "backup_damaged");
    let no_table = |dir: &Path| {
        std::fs::remove_file(dir.join("ledger.leaf.copy.gz")).unwrap();
    };
    assert_eq!(spoilt("short", &no_table), "backup_damaged");
    let other_keys = |dir: &Path| std::fs::write(dir.join("keyring.json"), "{}").unwrap();
    assert_eq!(spoilt("keys", &other_keys), "backup_damaged");
    let newer = |dir: &Path| {
        let path = dir.join("manifest.json");
        let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let versions = manifest["migrations"]["intake"]["intake"].as_array_mut();
        versions.unwrap().push(9999.into());
        std::fs::write(&path, manifest.to_string()).unwrap();
    };
    assert_eq!(spoilt("newer", &newer), "backup_newer");
}
