//! Limits per endpoint, the breaker, and the order of deliveries.

use domain::enums::NoticeState;

use crate::host::{HostReply, TestHost, status};
use crate::simulated_hosts::{DeliveryFixture, until};

#[tokio::test]
async fn a_hanging_provider_does_not_delay_another() {
    let mut fixture = DeliveryFixture::new().await;
    fixture.settings.each = 4;
    let (good, hanging) = (
        TestHost::with_status(200).await,
        TestHost::start(|_| HostReply::Hang).await,
    );
    fixture.add_webhook_host("opal", &good, false).await;
    fixture.add_webhook_host("jade", &hanging, false).await;
    for n in 0..30 {
        fixture
            .dispatch
            .open_case(&format!("https://jade.example/{n}"))
            .await;
    }
    for n in 0..30 {
        fixture
            .dispatch
            .open_case(&format!("https://opal.example/{n}"))
            .await;
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let started = std::time::Instant::now();
    let running = tokio::spawn(fixture.delivery_worker().run(stop.clone()));
    until("the other provider has all its messages", async || {
        good.requests().len() == 30
    })
    .await;
    assert!(
        started.elapsed() < fixture.settings.timeout(),
        "before the first attempt at the hanging one timed out"
    );
    assert!(hanging.requests().len() <= 4);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn an_open_breaker_admits_one_attempt_and_after_a_success_all_waiting_messages_are_due() {
    let mut fixture = DeliveryFixture::new().await;
    let host = TestHost::with_status(500).await;
    fixture.add_webhook_host("opal", &host, false).await;
    let mut cases = Vec::new();
    for n in 0..20 {
        cases.push(
            fixture
                .dispatch
                .open_case(&format!("https://opal.example/{n}"))
                .await,
        );
    }
    let delivery_worker = fixture.delivery_worker();
    assert_eq!(delivery_worker.run_once().await.unwrap(), 20);
    fixture.advance(0.1);
    assert_eq!(
        delivery_worker.run_once().await.unwrap(),
        0,
        "the breaker is open"
    );
    // Beyond the breaker's pause and the retry delays of all messages.
    fixture.advance(7.0 * 3600.0);
    assert_eq!(delivery_worker.run_once().await.unwrap(), 1, "one trial");
    fixture.advance(7.0 * 3600.0);
    host.respond_with(|_| status(200));
    assert_eq!(delivery_worker.run_once().await.unwrap(), 1);
    let left = delivery_worker.run_once().await.unwrap();
    assert_eq!(left, 19, "all at once, before their own retry times");
    for case in cases {
        let notice = fixture.dispatch.notices(case).await.pop().unwrap();
        assert_eq!(notice.state, NoticeState::Delivered);
    }
}

#[tokio::test]
async fn the_most_severe_category_is_sent_first() {
    let mut fixture = DeliveryFixture::new().await;
    fixture.settings.batch = 1;
    let host = TestHost::with_status(200).await;
    fixture.add_webhook_host("opal", &host, false).await;
    for n in 0..3 {
        fixture
            .dispatch
            .open_case(&format!("https://opal.example/{n}"))
            .await;
    }
    let worst = fixture
        .dispatch
        .open_case("https://opal.example/worst")
        .await;
    sqlx::query("update delivery set severity = 2 where case_id <> $1")
        .bind(worst.uuid())
        .execute(&fixture.dispatch.pool)
        .await
        .unwrap();
    fixture.delivery_worker().run_once().await.unwrap();
    let request = host.requests().pop().unwrap();
    assert_eq!(request.json()["data"]["case_id"], worst.to_string());
}
