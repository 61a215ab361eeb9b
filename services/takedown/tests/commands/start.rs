//! `up`, `policy lint`, `migrate` and `init`: settings, policies, the database's schema.

use std::path::Path;

use serde_json::Value;
use testkit::TestDatabase;

use crate::program::{RunningSystem, code, errors, folder, takedown};

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/policies");

/// A file in this folder.
fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn up_applies_settings_and_a_policy() {
    let dir = folder();
    let config = file(
        dir.path(),
        "settings.toml",
        "[ledger]\norigin = \"hotline.example/log\"\n",
    );
    let policy = format!("{POLICIES}/demo.yaml");
    let up = RunningSystem::start_with(&["--config", &config, "--policy", &policy]).await;
    let profile = std::fs::read_to_string(up.path("client.toml")).unwrap();
    assert!(
        profile.contains("hotline.example/log"),
        "the setting is not in use"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_password_is_printed_even_if_the_start_fails() {
    let database = TestDatabase::new(&[]).await;
    let dir = folder();
    // A folder instead of the file that is written last.
    let obstacle = dir.path().join("client.toml");
    std::fs::create_dir_all(obstacle.join("something")).unwrap();
    let output = takedown(Some(&database), dir.path())
        .args(["up", "--console-listen", "127.0.0.1:0"])
        .args(["--gateway-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let result = errors(&output);
    let (_, password) = result
        .split_once("sign in as local-operator with ")
        .unwrap();
    let password = password.lines().next().unwrap().to_owned();

    std::fs::remove_dir_all(obstacle).unwrap();
    let up = RunningSystem::on(Some(database), dir, &[]);
    assert!(up.output["password"].is_null(), "shown once");
    let (client, password) = (up.client(), password.into());
    client.sign_in("local-operator", &password).await.unwrap();
}

#[test]
fn up_refuses_invalid_settings_and_names_the_mistake() {
    let dir = folder();
    let known = file(dir.path(), "unknown.toml", "[ledger]\norigni = \"x\"\n");
    let bad = file(dir.path(), "bad.yaml", "version: 1\nregimes: []\n");
    for (option, path, wanted, message) in [
        (
            "--config",
            "/nowhere/settings.toml",
            "configuration",
            "does not exist",
        ),
        ("--config", &known, "configuration", "origni"),
        (
            "--policy",
            "/nowhere/policy.yaml",
            "io",
            "/nowhere/policy.yaml",
        ),
        ("--policy", &bad, "policy_wrong", "policy lint"),
    ] {
        let output = takedown(None, dir.path())
            .args(["up", "--json", option, path])
            .output()
            .unwrap();
        assert_eq!(code(&output), wanted, "{option} {path}");
        assert!(errors(&output).contains(message), "{}", errors(&output));
        assert!(
            !dir.path().join("postgres").exists(),
            "a database was started"
        );
    }
}

#[test]
fn policy_lint_names_the_line_of_a_mistake() {
    let dir = folder();
    let lint = |path: &str| {
        let output = takedown(None, dir.path())
            .args(["policy", "lint", "--json", path])
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report)
    };
    let good = format!("{POLICIES}/production.yaml");
    let (exit, report) = lint(&good);
    assert_eq!((exit, &report["ok"]), (Some(0), &Value::Bool(true)));

    let text = std::fs::read_to_string(good).unwrap();
    let bad = text.replacen("rung: remind", "rung: shout", 1);
    let at = bad.lines().position(|line| line.contains("shout")).unwrap() + 1;
    let (exit, report) = lint(&file(dir.path(), "bad.yaml", &bad));
    assert_eq!((exit, &report["ok"]), (Some(1), &Value::Bool(false)));
    assert_eq!(report["faults"][0]["line"], at, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_sets_up_an_empty_database_and_may_be_repeated() {
    let database = TestDatabase::new(&[]).await;
    let dir = folder();
    for _ in 0..2 {
        let output = takedown(Some(&database), dir.path())
            .args(["migrate", "--json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["schemas"].as_array().unwrap().len(), 4, "{result}");
    }
    let migrated: bool = sqlx::query_scalar("select to_regclass('report') is not null")
        .fetch_one(&database.pool("intake").await)
        .await
        .unwrap();
    assert!(migrated);
}

#[tokio::test(flavor = "multi_thread")]
async fn init_creates_keyring_and_account_once_and_may_be_repeated() {
    let database = TestDatabase::new(&[]).await;
    let dir = folder();
    let config = file(
        dir.path(),
        "init.toml",
        "ledger_origin = \"hotline.example/log\"\n[addresses]\nintake = \"https://intake:7410\"\n\
         verification = \"https://verification:7411\"\ndispatch = \"https://dispatch:7412\"\n\
         ledger = \"https://ledger:7413\"\ngateway = \"http://gateway:7401\"\nconsole = \"http://console:7400\"\n",
    );
    let init = || {
        let output = takedown(Some(&database), dir.path())
            .args(["init", "--json", "--config", &config])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        (result, read("keyring.json"), read("client.toml"))
    };
    let (first, keyring, client) = init();
    assert_eq!(first["keyring_created"], true);
    assert!(client.contains("https://dispatch:7412") && client.contains("hotline.example/log"));
    let (second, same, renewed) = init();
    assert!(second["password"].is_null(), "shown once");
    assert_eq!(
        (&second["keyring_created"], &same),
        (&false.into(), &keyring)
    );
    assert_ne!(client, renewed, "the credential is renewed");

    // A system that starts on the folder uses this keyring and account.
    let up = RunningSystem::on(Some(database), dir, &[]);
    let password = first["password"].as_str().unwrap().to_owned().into();
    up.client()
        .sign_in("local-operator", &password)
        .await
        .unwrap();

    let nowhere = folder();
    let output = takedown(None, nowhere.path())
        .args(["init", "--json"])
        .output()
        .unwrap();
    assert!(errors(&output).contains("DATABASE_URL"));
}
