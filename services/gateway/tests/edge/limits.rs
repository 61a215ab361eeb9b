//! Rates, work in flight, time, and the end.

use gateway::{Config, Limits, Rate};

use crate::backend::HELD;
use crate::setup::{PATIENCE, json, problem, start, start_with};

fn limits(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config::default();
    change(&mut config.limits);
    config
}

#[tokio::test]
async fn a_credential_has_its_own_rate_and_hears_how_it_stands() {
    let gateway = start_with(limits(|l| l.credential = Rate::new(1, 2))).await;
    let list = "/provider/v1/notices";
    let first = gateway.get(list).await;
    assert_eq!(first.status(), 200);
    assert_eq!(
        first.headers()["ratelimit-policy"],
        "\"credential\";q=2;w=2"
    );
    assert_eq!(first.headers()["ratelimit"], "\"credential\";r=1;t=1");
    // More at once than a second could refill.
    let burst = futures::future::join_all((0..20).map(|_| gateway.get(list))).await;
    let refused = burst
        .iter()
        .find(|r| r.status() == 429)
        .expect("one is too many");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["ratelimit"], "\"credential\";r=0;t=1");
    let other = gateway.request("GET", list).bearer_auth("another");
    json(other, 200).await;
}

#[tokio::test]
async fn made_up_credentials_do_not_pass_an_addresss_rate() {
    let gateway = start_with(limits(|l| l.address = Rate::new(1, 3))).await;
    let requests = (0..20).map(|n| {
        let request = gateway.request("GET", "/provider/v1/notices");
        request.bearer_auth(format!("made-up-{n}")).send()
    });
    let answers = futures::future::join_all(requests).await;
    let allowed = answers
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
    // Whoever watches the process is let in.
    json(gateway.request("GET", "/healthz"), 200).await;
}

#[tokio::test]
async fn what_is_too_much_at_once_is_refused_at_once() {
    let gateway = start_with(limits(|l| l.in_flight = 1)).await;
    let path = format!("/provider/v1/notices/{HELD}");
    let held = tokio::spawn(gateway.keyed("GET", &path).send());
    let waiting = async {
        while gateway.asked.seen() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the first request arrives");
    problem(gateway.keyed("GET", "/provider/v1/notices"), 503, "busy").await;
    json(gateway.request("GET", "/healthz"), 200).await;
    gateway.asked.gate.add_permits(1);
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn an_owner_that_hangs_costs_its_caller_only_so_much_time() {
    let gateway = start_with(limits(|l| l.call_seconds = 1)).await;
    let path = format!("/provider/v1/notices/{HELD}");
    let response = gateway.get(&path).await;
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
}

#[tokio::test]
async fn what_is_in_flight_at_the_end_is_finished() {
    let gateway = start().await;
    let path = format!("/provider/v1/notices/{HELD}");
    let held = tokio::spawn(gateway.keyed("GET", &path).send());
    let waiting = async {
        while gateway.asked.seen() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the request arrives");
    gateway.shutdown.cancel();
    gateway.asked.gate.add_permits(1);
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
    tokio::time::timeout(PATIENCE, gateway.running)
        .await
        .expect("it ends")
        .unwrap()
        .unwrap();
}
