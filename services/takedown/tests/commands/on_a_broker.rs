//! The system in one process with Kafka, and the checks of Kafka by `doctor`.

use std::fs;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;
use testkit::Broker;
use testkit::TestDatabase;

use crate::program::{RunningSystem, errors, folder, takedown, wait_for};

const CHECK: &str = "ledger consumes intake over Kafka";

/// The result of `doctor` for the ledger's consumption of intake: state, detail, remedy.
fn kafka_check(up: &RunningSystem) -> (String, String, String) {
    let output = up.command(&["doctor", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let of_kafka = |check: &&Value| check["check"] == CHECK || check["check"] == "Kafka";
    let check = checks.iter().find(of_kafka);
    let check = check.unwrap_or_else(|| panic!("{report:#}"));
    let text = |name: &str| check[name].as_str().unwrap().to_owned();
    (text("state"), text("detail"), text("remedy"))
}

/// Waits until `doctor` reports this; returns the remedy.
async fn wait_for_check(up: &RunningSystem, state: &str, detail: &str) -> String {
    wait_for(|| {
        let (current_state, current_detail, remedy) = kafka_check(up);
        (current_state == state && current_detail.contains(detail)).then_some(remedy)
    })
    .await
}

async fn delete_topic(bootstrap: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .unwrap();
    let options = AdminOptions::new();
    let deleted = admin.delete_topics(&["takedown.intake.v1"], &options).await;
    deleted.unwrap().remove(0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_a_missing_topic_and_broker_and_the_remedy() {
    let dir = folder();
    let mut broker = Broker::start(&dir.path().join("kafka"), &|line| eprintln!("{line}"))
        .await
        .unwrap();
    let config = dir.path().join("bus.toml");
    let bus = format!(
        "[bus]\nkind = \"kafka\"\nbootstrap = \"{}\"\ncompare_millis = 2000\n",
        broker.bootstrap()
    );
    fs::write(&config, bus).unwrap();
    let config = config.to_str().unwrap().to_owned();
    let database = TestDatabase::new(&[]).await;
    let create_topics = ["migrate", "--config", &config];
    let output = takedown(Some(&database), dir.path())
        .args(create_topics)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));

    let up = RunningSystem::on(Some(database), dir, &["--config", &config]);
    let submit = |url: &str| up.json(&["report", "submit", "--url", url]);
    submit("https://h.example/1");
    wait_for_check(&up, "ok", "its offsets fit").await;

    delete_topic(&broker.bootstrap()).await;
    let remedy = wait_for_check(&up, "problem", "takedown.intake.v1 does not exist").await;
    assert!(remedy.contains("takedown migrate"), "{remedy}");
    up.json(&create_topics);
    // The consumers have read the missing events from the log.
    wait_for_check(&up, "ok", "its offsets fit").await;

    broker.kill().await;
    let remedy = wait_for_check(&up, "problem", "no broker responds").await;
    assert!(remedy.contains("start the broker"), "{remedy}");
    broker.restart().await.unwrap();
    wait_for_check(&up, "ok", "").await;
    broker.stop().await.unwrap();
}
