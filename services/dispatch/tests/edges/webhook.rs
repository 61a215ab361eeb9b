//! Webhooks as their receivers see them.

use crate::host::{HostReply, TestHost, status};
use crate::simulated_hosts::DeliveryFixture;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch::delivery::document;
use domain::enums::NoticeState;
use platform::sealed::{SigningContext, commitment};

#[tokio::test]
async fn a_receiver_can_verify_signature_statement_and_url_commitment() {
    let mut fixture = DeliveryFixture::new().await;
    let host = TestHost::with_status(204).await;
    fixture.add_webhook_host("opal", &host, false).await;
    let case = fixture
        .dispatch
        .open_case("https://opal.example/a?b=1")
        .await;
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 1);

    let request = host.requests().pop().unwrap();
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/in")
    );
    assert_eq!(request.header("content-type"), "application/json");
    let (id, at) = (
        request.header("webhook-id"),
        request.header("webhook-timestamp"),
    );
    assert_eq!(id, format!("msg_{}_1", notice.id));
    assert_eq!(at, fixture.dispatch.now().unix_timestamp().to_string());

    // Standard Webhooks, "Signature scheme": `v1a` is Ed25519 over id, timestamp and body.
    let keyring = &fixture.dispatch.deps.keyring;
    let keys = keyring.verifier(SigningContext::Notice);
    let key = keyring.signer(SigningContext::Notice).key_id().clone();
    let signature = request.header("webhook-signature");
    let signature = STANDARD
        .decode(signature.strip_prefix("v1a,").unwrap())
        .unwrap();
    let content = format!("{id}.{at}.{}", request.body);
    keys.verify_raw(&key, content.as_bytes(), &signature)
        .unwrap();

    let body = request.json();
    assert_eq!(body["type"], "notice.created");
    let data = &body["data"];
    assert_eq!(data["url"], "https://opal.example/a?b=1");
    assert_eq!(data["provider_id"], "opal");
    let bytes = |field: &str| STANDARD.decode(data[field].as_str().unwrap()).unwrap();
    let statement = document::verify(&bytes("signed"), &bytes("signature"), &keys).unwrap();
    assert_eq!(statement.notice_id, notice.id.uuid());
    assert_eq!(
        (statement.provider_id.as_str(), statement.sequence),
        ("opal", 1)
    );
    let salt = bytes("salt").try_into().unwrap();
    let expected = commitment(&salt, "https://opal.example/a?b=1");
    assert_eq!(statement.commitment, hex::encode(expected));
    assert!(request.body.len() < 20_000);

    assert_eq!(notice.state, NoticeState::Delivered);
    assert_eq!(notice.attempts, 1);
    assert!(fixture.waiting_deliveries().await.is_empty());
    let emitted = fixture.dispatch.event_names(case).await;
    assert!(
        emitted.contains(&"NoticeSent") && emitted.contains(&"NoticeDelivered"),
        "{emitted:?}"
    );
}

#[tokio::test]
async fn a_failed_webhook_is_retried_under_its_id_and_not_before_retry_after() {
    let mut fixture = DeliveryFixture::new().await;
    let host = TestHost::start(|_| {
        HostReply::Send(
            "HTTP/1.1 503 Later\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n".into(),
        )
    })
    .await;
    fixture.add_webhook_host("opal", &host, true).await;
    let case = fixture.dispatch.open_case("https://opal.example/a").await;
    let delivery_worker = fixture.delivery_worker();
    assert_eq!(delivery_worker.run_once().await.unwrap(), 1);
    let waiting = fixture.waiting_deliveries().await;
    assert_eq!(waiting["opal"], (1, Some("http_5xx".into())));

    host.respond_with(|_| status(200));
    fixture.advance(119.0);
    assert_eq!(
        delivery_worker.run_once().await.unwrap(),
        0,
        "Retry-After is two minutes"
    );
    fixture.advance(2.0);
    assert_eq!(delivery_worker.run_once().await.unwrap(), 1);
    let ids: Vec<String> = host
        .requests()
        .iter()
        .map(|h| h.header("webhook-id"))
        .collect();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    assert_eq!(fixture.dispatch.notices(case).await[0].attempts, 2);
}

#[tokio::test]
async fn after_a_410_the_notice_is_sent_to_the_mailbox() {
    let mut fixture = DeliveryFixture::new().await;
    let host = TestHost::with_status(410).await;
    fixture.add_webhook_host("opal", &host, true).await;
    let case = fixture.dispatch.open_case("https://opal.example/a").await;
    fixture.delivery_worker().run_once().await.unwrap();
    let queued: Vec<(String, i32)> = sqlx::query_as("select channel, attempts from delivery")
        .fetch_all(&fixture.dispatch.pool)
        .await
        .unwrap();
    assert_eq!(queued, [("email".to_owned(), 0)]);
    let notices = fixture.dispatch.notices(case).await;
    assert_eq!(
        notices.len(),
        1,
        "the same notice by another delivery channel"
    );
    assert!(
        !fixture
            .dispatch
            .event_names(case)
            .await
            .contains(&"NoticeDelivered")
    );
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let mut fixture = DeliveryFixture::new().await;
    let canary = TestHost::with_status(200).await;
    fixture.map_name("canary.example", &canary);
    let host = TestHost::start(|_| {
        let to = "Location: http://canary.example/in";
        HostReply::Send(format!(
            "HTTP/1.1 307 Elsewhere\r\n{to}\r\nContent-Length: 0\r\n\r\n"
        ))
    })
    .await;
    fixture.add_webhook_host("opal", &host, false).await;
    fixture.dispatch.open_case("https://opal.example/a").await;
    fixture.delivery_worker().run_once().await.unwrap();
    assert_eq!(
        fixture.waiting_deliveries().await["opal"],
        (1, Some("redirected".into()))
    );
    assert!(canary.requests().is_empty());
}

#[tokio::test]
async fn a_response_body_that_is_too_long_does_not_change_the_outcome() {
    let mut fixture = DeliveryFixture::new().await;
    let host = TestHost::start(|_| {
        let body = "x".repeat(200_000);
        HostReply::Send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{body}"
        ))
    })
    .await;
    fixture.add_webhook_host("opal", &host, false).await;
    let case = fixture.dispatch.open_case("https://opal.example/a").await;
    let delivery_worker = fixture.delivery_worker();
    delivery_worker.run_once().await.unwrap();
    assert_eq!(
        fixture.dispatch.notices(case).await[0].state,
        NoticeState::Delivered
    );
    assert!(fixture.waiting_deliveries().await.is_empty());
}

#[tokio::test]
async fn a_response_body_that_never_ends_does_not_change_the_outcome() {
    let mut fixture = DeliveryFixture::new().await;
    let host = TestHost::start(|_| {
        HostReply::Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx".into())
    })
    .await;
    fixture.add_webhook_host("opal", &host, false).await;
    let case = fixture.dispatch.open_case("https://opal.example/a").await;
    let started = std::time::Instant::now();
    fixture.delivery_worker().run_once().await.unwrap();
    assert!(started.elapsed() < fixture.settings.timeout());
    assert_eq!(
        fixture.dispatch.notices(case).await[0].state,
        NoticeState::Delivered
    );
}

#[tokio::test]
async fn a_retry_after_date_is_honoured() {
    let mut fixture = DeliveryFixture::new().await;
    // Two minutes after the fixture's clock.
    let host = TestHost::start(|_| {
        let until = "Retry-After: Sun, 01 Mar 2026 12:02:00 GMT";
        HostReply::Send(format!(
            "HTTP/1.1 503 Later\r\n{until}\r\nContent-Length: 0\r\n\r\n"
        ))
    })
    .await;
    fixture.add_webhook_host("opal", &host, false).await;
    fixture.dispatch.open_case("https://opal.example/a").await;
    let delivery_worker = fixture.delivery_worker();
    assert_eq!(delivery_worker.run_once().await.unwrap(), 1);
    host.respond_with(|_| status(200));
    fixture.advance(119.0);
    assert_eq!(delivery_worker.run_once().await.unwrap(), 0);
    fixture.advance(2.0);
    assert_eq!(delivery_worker.run_once().await.unwrap(), 1);
}
