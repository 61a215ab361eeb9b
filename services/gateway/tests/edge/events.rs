//! The event stream: what it tells, where it goes on, how many there may be, and how it ends.

use std::time::Duration;

use futures::StreamExt as _;
use gateway::Config;

use crate::backend::Call;
use crate::setup::{Gateway, KEY, PATIENCE, problem, start, start_with};

const EVENTS: &str = "/provider/v1/events";

/// Reads until the text holds this.
async fn until(response: reqwest::Response, wanted: &str) -> String {
    let mut text = String::new();
    let mut bytes = response.bytes_stream();
    let reading = async {
        while !text.contains(wanted) {
            let chunk = bytes.next().await.expect("the stream goes on").unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("it comes in time");
    text
}

/// Asks as a client of event streams does.
async fn following(gateway: &Gateway, key: &str) -> reqwest::Response {
    let request = gateway.request("GET", EVENTS).bearer_auth(key);
    let request = request.header("accept", "text/event-stream");
    request.send().await.unwrap()
}

fn cursors(gateway: &Gateway) -> Vec<String> {
    gateway
        .asked
        .take()
        .into_iter()
        .filter_map(|(_, call)| match call {
            Call::List(asked) => asked.page.map(|page| page.cursor),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_stream_tells_each_notice_with_the_cursor_from_which_it_goes_on() {
    let gateway = start().await;
    let response = following(&gateway, KEY).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let told = until(response, "\"salt\"").await;
    assert!(told.contains("event: notice.created"), "{told}");
    assert!(told.contains("id: 42"), "{told}");
    assert!(told.contains("\"provider_id\":\"amber-host\""), "{told}");

    let again = gateway
        .keyed("GET", EVENTS)
        .header("last-event-id", "7")
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 200);
    let asked = cursors(&gateway);
    assert_eq!(asked.first().map(String::as_str), Some(""));
    assert!(asked.contains(&"7".to_owned()), "{asked:?}");
    let queried = gateway.get(&format!("{EVENTS}?cursor=9")).await;
    assert_eq!(queried.status(), 200);
    assert!(cursors(&gateway).contains(&"9".to_owned()));
}

#[tokio::test]
async fn what_is_wrong_at_the_start_is_said_by_a_status() {
    let gateway = start().await;
    problem(gateway.request("GET", EVENTS), 401, "credential_missing").await;
    let forged = gateway.keyed("GET", &format!("{EVENTS}?cursor=13"));
    assert_eq!(
        problem(forged, 422, "cursor_malformed").await["field"],
        "cursor"
    );
    let unknown = gateway.keyed("GET", &format!("{EVENTS}?after=1"));
    problem(unknown, 400, "parameter_unknown").await;
}

#[tokio::test]
async fn one_caller_takes_no_more_places_than_it_may_and_gives_them_back() {
    let mut config = Config::default();
    config.limits.streams = 2;
    config.limits.streams_each = 1;
    let gateway = start_with(config).await;
    let first = following(&gateway, KEY).await;
    assert_eq!(first.status(), 200);
    problem(gateway.keyed("GET", EVENTS), 429, "streams_full").await;
    let another = |key: &str| gateway.request("GET", EVENTS).bearer_auth(key.to_owned());
    let second = following(&gateway, "b").await;
    assert_eq!(second.status(), 200);
    problem(another("c"), 429, "streams_full").await;
    drop(first);
    let back = async {
        while following(&gateway, KEY).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back)
        .await
        .expect("the place is free again");
}

#[tokio::test]
async fn streams_end_with_the_gateway() {
    let gateway = start().await;
    let response = following(&gateway, KEY).await;
    gateway.shutdown.cancel();
    let rest = tokio::time::timeout(PATIENCE, response.text()).await;
    assert!(rest.expect("it ends").unwrap().contains("data:"));
}

#[tokio::test]
async fn whoever_does_not_ask_for_a_stream_is_told_what_there_is() {
    let gateway = start().await;
    let response = gateway.get(EVENTS).await;
    let told = tokio::time::timeout(PATIENCE, response.text()).await;
    let told = told.expect("it ends").unwrap();
    assert_eq!(told.matches("event: notice.created").count(), 1, "{told}");
}
