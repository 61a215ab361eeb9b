//! The system in one process with its events over Kafka, and what `doctor` says of Kafka.

use std::fs;

use platform::broker::Broker;
use platform::testing::TestDatabase;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;

use crate::program::{Up, errors, folder, takedown, until};

const CHECK: &str = "ledger hears intake over Kafka";

/// What `doctor` says of the ledger's way to intake's events: state, what was found, what to do.
fn said(up: &Up) -> (String, String, String) {
    let output = up.command(&["doctor", "--json"]).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = said["checks"].as_array().unwrap();
    let of_kafka = |check: &&Value| check["check"] == CHECK || check["check"] == "Kafka";
    let found = checks.iter().find(of_kafka);
    let found = found.unwrap_or_else(|| panic!("{said:#}"));
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    (text("state"), text("detail"), text("todo"))
}

/// Waits until `doctor` says so.
async fn until_said(up: &Up, state: &str, detail: &str) -> String {
    until(|| {
        let (now, found, todo) = said(up);
        (now == state && found.contains(detail)).then_some(todo)
    })
    .await
}

async fn delete_topic(bootstrap: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .unwrap();
    let options = AdminOptions::new();
    let gone = admin.delete_topics(&["takedown.intake.v1"], &options).await;
    gone.unwrap().remove(0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_what_kafka_lost_and_the_way_out() {
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
    let make_topics = ["migrate", "--config", &config];
    let made = takedown(Some(&database), dir.path())
        .args(make_topics)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", errors(&made));

    let up = Up::on(Some(database), dir, &["--config", &config]);
    let submit = |url: &str| up.json(&["report", "submit", "--url", url]);
    submit("https://h.example/1");
    until_said(&up, "ok", "Kafka has what it acknowledged").await;

    delete_topic(&broker.bootstrap()).await;
    let todo = until_said(&up, "problem", "takedown.intake.v1 is not there").await;
    assert!(todo.contains("takedown migrate"), "{todo}");
    up.json(&make_topics);
    // The system runs, so what the topic lacks has long been read from the log: it is named, and nothing is to be done.
    until_said(&up, "ok", "deleted and made again").await;

    broker.kill().await;
    let todo = until_said(&up, "problem", "no broker answers").await;
    assert!(todo.contains("bring it back"), "{todo}");
    broker.restart().await.unwrap();
    until_said(&up, "ok", "").await;
    broker.stop().await.unwrap();
}
