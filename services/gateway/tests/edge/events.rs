//! The event stream: its events, resuming, the limits on streams, and how it ends.

use std::time::Duration;

use futures::StreamExt as _;
use gateway::Config;

use crate::backend::RecordedCall;
use crate::setup::{KEY, PATIENCE, TestGateway, problem, start, start_with};

const EVENTS: &str = "/provider/v1/events";

/// Reads until the text contains `expected`.
async fn read_until(response: reqwest::Response, expected: &str) -> String {
    let mut text = String::new();
    let mut bytes = response.bytes_stream();
    let reading = async {
        while !text.contains(expected) {
            let chunk = bytes.next().await.expect("the stream is open").unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("received in time");
    text
}

/// Requests the stream as a client of event streams does.
async fn follow(gateway: &TestGateway, key: &str) -> reqwest::Response {
    let request = gateway.request("GET", EVENTS).bearer_auth(key);
    let request = request.header("accept", "text/event-stream");
    request.send().await.unwrap()
}

/// The cursors of the listings that were requested.
fn cursors(gateway: &TestGateway) -> Vec<String> {
    gateway
        .backend
        .take()
        .into_iter()
        .filter_map(|(_, call)| match call {
            RecordedCall::List(request) => Some(request.page_token),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_stream_sends_each_notice_with_the_cursor_after_it() {
    let gateway = start().await;
    let response = follow(&gateway, KEY).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let events = read_until(response, "\"salt\"").await;
    assert!(events.contains("event: notice.created"), "{events}");
    assert!(events.contains("id: 42"), "{events}");
    assert!(
        events.contains("\"provider_id\":\"amber-host\""),
        "{events}"
    );

    let resumed = gateway
        .keyed("GET", EVENTS)
        .header("last-event-id", "7")
        .send()
        .await
        .unwrap();
    assert_eq!(resumed.status(), 200);
    let requested = cursors(&gateway);
    assert_eq!(requested.first().map(String::as_str), Some(""));
    assert!(requested.contains(&"7".to_owned()), "{requested:?}");
    let queried = gateway.get(&format!("{EVENTS}?cursor=9")).await;
    assert_eq!(queried.status(), 200);
    assert!(cursors(&gateway).contains(&"9".to_owned()));
}

#[tokio::test]
async fn an_error_at_the_start_is_an_http_status() {
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
async fn streams_are_limited_per_credential_and_in_total_and_a_closed_one_frees_its_slot() {
    let mut config = Config::default();
    config.limits.streams = 2;
    config.limits.streams_per_credential = 1;
    let gateway = start_with(config).await;
    let first = follow(&gateway, KEY).await;
    assert_eq!(first.status(), 200);
    problem(gateway.keyed("GET", EVENTS), 429, "streams_full").await;
    let another = |key: &str| gateway.request("GET", EVENTS).bearer_auth(key.to_owned());
    let second = follow(&gateway, "b").await;
    assert_eq!(second.status(), 200);
    problem(another("c"), 429, "streams_full").await;
    drop(first);
    let freed = async {
        while follow(&gateway, KEY).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed)
        .await
        .expect("the slot is free again");
}

#[tokio::test]
async fn streams_end_at_shutdown() {
    let gateway = start().await;
    let response = follow(&gateway, KEY).await;
    gateway.shutdown.cancel();
    let text = tokio::time::timeout(PATIENCE, response.text()).await;
    assert!(text.expect("the stream ends").unwrap().contains("data:"));
}

#[tokio::test]
async fn without_the_accept_header_the_stream_ends_after_the_existing_notices() {
    let gateway = start().await;
    let response = gateway.get(EVENTS).await;
    let events = tokio::time::timeout(PATIENCE, response.text()).await;
    let events = events.expect("the stream ends").unwrap();
    assert_eq!(
        events.matches("event: notice.created").count(),
        1,
        "{events}"
    );
}
