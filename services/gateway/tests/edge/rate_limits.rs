//! Rate limits, requests in flight, the request timeout, and shutdown.

use gateway::{Config, Rate, RequestLimits};

use crate::backend::BLOCKED;
use crate::setup::{PATIENCE, json, problem, start, start_with};

fn limits(change: impl FnOnce(&mut RequestLimits)) -> Config {
    let mut config = Config::default();
    change(&mut config.limits);
    config
}

#[tokio::test]
async fn a_credential_has_its_own_rate_and_the_headers_report_it() {
    let gateway = start_with(limits(|l| l.credential = Rate::new(1, 2))).await;
    let list = "/provider/v1/notices";
    let first = gateway.get(list).await;
    assert_eq!(first.status(), 200);
    assert_eq!(
        first.headers()["ratelimit-policy"],
        "\"credential\";q=2;w=2"
    );
    assert_eq!(first.headers()["ratelimit"], "\"credential\";r=1;t=1");
    // More requests at once than the bucket is refilled with in a second.
    let burst = futures::future::join_all((0..20).map(|_| gateway.get(list))).await;
    let refused = burst
        .iter()
        .find(|r| r.status() == 429)
        .expect("one is refused");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["ratelimit"], "\"credential\";r=0;t=1");
    let other = gateway.request("GET", list).bearer_auth("another");
    json(other, 200).await;
}

#[tokio::test]
async fn invented_credentials_do_not_bypass_the_rate_of_an_address() {
    let gateway = start_with(limits(|l| l.address = Rate::new(1, 3))).await;
    let requests = (0..20).map(|n| {
        let request = gateway.request("GET", "/provider/v1/notices");
        request.bearer_auth(format!("made-up-{n}")).send()
    });
    let responses = futures::future::join_all(requests).await;
    let allowed = responses
        .iter()
        .filter(|r| r.as_ref().unwrap().status() == 200)
        .count();
    assert!((1..10).contains(&allowed), "{allowed}");
    problem(
        gateway.keyed("GET", "/provider/v1/notices"),
        429,
        "rate_limited",
    )
    .await;
    // Health checks are not limited.
    json(gateway.request("GET", "/healthz"), 200).await;
}

#[tokio::test]
async fn a_request_over_the_limit_in_flight_is_refused_immediately() {
    let gateway = start_with(limits(|l| l.in_flight = 1)).await;
    let path = format!("/provider/v1/notices/{BLOCKED}");
    let blocked = tokio::spawn(gateway.keyed("GET", &path).send());
    let waiting = async {
        while gateway.backend.call_count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the first request arrives");
    problem(gateway.keyed("GET", "/provider/v1/notices"), 503, "busy").await;
    json(gateway.request("GET", "/healthz"), 200).await;
    gateway.backend.gate.add_permits(1);
    assert_eq!(blocked.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_request_to_a_service_that_hangs_ends_at_the_timeout() {
    let gateway = start_with(limits(|l| l.request_timeout_seconds = 1)).await;
    let path = format!("/provider/v1/notices/{BLOCKED}");
    let response = gateway.get(&path).await;
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
}

#[tokio::test]
async fn requests_in_flight_at_shutdown_are_finished() {
    let gateway = start().await;
    let path = format!("/provider/v1/notices/{BLOCKED}");
    let blocked = tokio::spawn(gateway.keyed("GET", &path).send());
    let waiting = async {
        while gateway.backend.call_count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the request arrives");
    gateway.shutdown.cancel();
    gateway.backend.gate.add_permits(1);
    assert_eq!(blocked.await.unwrap().unwrap().status(), 200);
    tokio::time::timeout(PATIENCE, gateway.running)
        .await
        .expect("the gateway stops")
        .unwrap()
        .unwrap();
}
