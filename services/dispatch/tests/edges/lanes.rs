//! One endpoint's trouble is its own.

use domain::word::NoticeState;

use crate::host::{Host, Reply, status};
use crate::street::{Street, until};

#[tokio::test]
async fn a_hanging_provider_costs_only_itself() {
    let mut street = Street::new().await;
    street.settings.each = 4;
    let (good, hanging) = (
        Host::answering(200).await,
        Host::start(|_| Reply::Hang).await,
    );
    street.hooked("opal", &good, false).await;
    street.hooked("jade", &hanging, false).await;
    for n in 0..30 {
        street.bench.act(&format!("https://jade.example/{n}")).await;
    }
    for n in 0..30 {
        street.bench.act(&format!("https://opal.example/{n}")).await;
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let began = std::time::Instant::now();
    let running = tokio::spawn(street.courier().run(stop.clone()));
    until("the healthy have theirs", async || good.heard().len() == 30).await;
    assert!(
        began.elapsed() < street.settings.timeout(),
        "before one attempt at the other has ended"
    );
    assert!(hanging.heard().len() <= 4);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_breaker_lets_one_through_at_a_time_and_wakes_the_rest_when_it_closes() {
    let mut street = Street::new().await;
    let host = Host::answering(500).await;
    street.hooked("opal", &host, false).await;
    let mut cases = Vec::new();
    for n in 0..20 {
        cases.push(street.bench.act(&format!("https://opal.example/{n}")).await);
    }
    let courier = street.courier();
    assert_eq!(courier.run_once().await.unwrap(), 20);
    street.advance(0.1);
    assert_eq!(courier.run_once().await.unwrap(), 0, "the breaker is open");
    // Far enough for its first trial and for the retries of all.
    street.advance(7.0 * 3600.0);
    assert_eq!(courier.run_once().await.unwrap(), 1, "one, to see");
    street.advance(7.0 * 3600.0);
    host.behave(|_| status(200));
    assert_eq!(courier.run_once().await.unwrap(), 1);
    let left = courier.run_once().await.unwrap();
    assert_eq!(left, 19, "all at once, without waiting for their own time");
    for case in cases {
        let notice = street.bench.notices(case).await.pop().unwrap();
        assert_eq!(notice.state, NoticeState::Delivered);
    }
}

#[tokio::test]
async fn the_most_severe_go_first() {
    let mut street = Street::new().await;
    street.settings.batch = 1;
    let host = Host::answering(200).await;
    street.hooked("opal", &host, false).await;
    for n in 0..3 {
        street.bench.act(&format!("https://opal.example/{n}")).await;
    }
    let worst = street.bench.act("https://opal.example/worst").await;
    sqlx::query("update delivery set severity = 2 where case_id <> $1")
        .bind(worst.uuid())
        .execute(&street.bench.pool)
        .await
        .unwrap();
    street.courier().run_once().await.unwrap();
    let heard = host.heard().pop().unwrap();
    assert_eq!(heard.json()["data"]["case_id"], worst.to_string());
}
