//! Webhooks as their receivers see them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch::document;
use domain::word::NoticeState;
use platform::sealed::{SigningContext, commitment};

use crate::host::{Host, Reply, status};
use crate::street::Street;

#[tokio::test]
async fn a_receiver_can_check_everything_it_is_told() {
    let mut street = Street::new().await;
    let host = Host::answering(204).await;
    street.hooked("opal", &host, false).await;
    let case = street.bench.act("https://opal.example/a?b=1").await;
    assert_eq!(street.courier().run_once().await.unwrap(), 1);

    let heard = host.heard().pop().unwrap();
    let notice = street.bench.notices(case).await.pop().unwrap();
    assert_eq!(
        (heard.method.as_str(), heard.path.as_str()),
        ("POST", "/in")
    );
    assert_eq!(heard.header("content-type"), "application/json");
    let (id, at) = (
        heard.header("webhook-id"),
        heard.header("webhook-timestamp"),
    );
    assert_eq!(id, format!("msg_{}_1", notice.id));
    assert_eq!(at, street.bench.now().unix_timestamp().to_string());

    // Standard Webhooks: `v1a` is Ed25519 over id, time and body.
    let keyring = &street.bench.rules.keyring;
    let keys = keyring.verifier(SigningContext::Notice);
    let key = keyring.signer(SigningContext::Notice).key_id().clone();
    let signature = heard.header("webhook-signature");
    let signature = STANDARD
        .decode(signature.strip_prefix("v1a,").unwrap())
        .unwrap();
    let content = format!("{id}.{at}.{}", heard.body);
    keys.verify_raw(&key, content.as_bytes(), &signature)
        .unwrap();

    let body = heard.json();
    assert_eq!(body["type"], "notice.created");
    let data = &body["data"];
    assert_eq!(data["url"], "https://opal.example/a?b=1");
    assert_eq!(data["provider_id"], "opal");
    let bytes = |field: &str| STANDARD.decode(data[field].as_str().unwrap()).unwrap();
    let said = document::verify(&bytes("signed"), &bytes("signature"), &keys).unwrap();
    assert_eq!(said.notice_id, notice.id.uuid());
    assert_eq!((said.provider_id.as_str(), said.sequence), ("opal", 1));
    let salt = bytes("salt").try_into().unwrap();
    let expected = commitment(&salt, "https://opal.example/a?b=1");
    assert_eq!(said.commitment, hex::encode(expected));
    assert!(heard.body.len() < 20_000);

    assert_eq!(notice.state, NoticeState::Delivered);
    assert_eq!(notice.attempts, 1);
    assert!(street.in_line().await.is_empty());
    let said = street.bench.said_names(case).await;
    assert!(
        said.contains(&"NoticeSent") && said.contains(&"NoticeDelivered"),
        "{said:?}"
    );
}

#[tokio::test]
async fn what_failed_is_sent_again_under_its_id_and_not_before_its_time() {
    let mut street = Street::new().await;
    let host = Host::start(|_| {
        Reply::Say("HTTP/1.1 503 Later\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n".into())
    })
    .await;
    street.hooked("opal", &host, true).await;
    let case = street.bench.act("https://opal.example/a").await;
    let courier = street.courier();
    assert_eq!(courier.run_once().await.unwrap(), 1);
    let waiting = street.in_line().await;
    assert_eq!(waiting["opal"], (1, Some("http_5xx".into())));

    host.behave(|_| status(200));
    street.advance(119.0);
    assert_eq!(
        courier.run_once().await.unwrap(),
        0,
        "it asked for two minutes"
    );
    street.advance(2.0);
    assert_eq!(courier.run_once().await.unwrap(), 1);
    let ids: Vec<String> = host
        .heard()
        .iter()
        .map(|h| h.header("webhook-id"))
        .collect();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    assert_eq!(street.bench.notices(case).await[0].attempts, 2);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_hands_over_to_the_mailbox() {
    let mut street = Street::new().await;
    let host = Host::answering(410).await;
    street.hooked("opal", &host, true).await;
    let case = street.bench.act("https://opal.example/a").await;
    street.courier().run_once().await.unwrap();
    let line: Vec<(String, i32)> = sqlx::query_as("select channel, attempts from delivery")
        .fetch_all(&street.bench.pool)
        .await
        .unwrap();
    assert_eq!(line, [("email".to_owned(), 0)]);
    let notices = street.bench.notices(case).await;
    assert_eq!(notices.len(), 1, "the same notice goes the other way");
    assert!(
        !street
            .bench
            .said_names(case)
            .await
            .contains(&"NoticeDelivered")
    );
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_leads_nowhere() {
    let mut street = Street::new().await;
    let canary = Host::answering(200).await;
    street.serve("canary.example", &canary);
    let host = Host::start(|_| {
        let to = "Location: http://canary.example/in";
        Reply::Say(format!(
            "HTTP/1.1 307 Elsewhere\r\n{to}\r\nContent-Length: 0\r\n\r\n"
        ))
    })
    .await;
    street.hooked("opal", &host, false).await;
    street.bench.act("https://opal.example/a").await;
    street.courier().run_once().await.unwrap();
    assert_eq!(
        street.in_line().await["opal"],
        (1, Some("redirected".into()))
    );
    assert!(canary.heard().is_empty());
}

#[tokio::test]
async fn whoever_answers_with_too_much_is_judged_by_the_status() {
    let mut street = Street::new().await;
    let host = Host::start(|_| {
        let much = "x".repeat(200_000);
        Reply::Say(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{much}"
        ))
    })
    .await;
    street.hooked("opal", &host, false).await;
    let case = street.bench.act("https://opal.example/a").await;
    let courier = street.courier();
    courier.run_once().await.unwrap();
    assert_eq!(
        street.bench.notices(case).await[0].state,
        NoticeState::Delivered
    );
    assert!(street.in_line().await.is_empty());
}

#[tokio::test]
async fn whoever_never_ends_its_answer_has_answered() {
    let mut street = Street::new().await;
    let host =
        Host::start(|_| Reply::Say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx".into())).await;
    street.hooked("opal", &host, false).await;
    let case = street.bench.act("https://opal.example/a").await;
    let began = std::time::Instant::now();
    street.courier().run_once().await.unwrap();
    assert!(began.elapsed() < street.settings.timeout());
    assert_eq!(
        street.bench.notices(case).await[0].state,
        NoticeState::Delivered
    );
}

#[tokio::test]
async fn quiet_until_a_date_is_kept() {
    let mut street = Street::new().await;
    // Two minutes after the bench's own time.
    let host = Host::start(|_| {
        let until = "Retry-After: Sun, 01 Mar 2026 12:02:00 GMT";
        Reply::Say(format!(
            "HTTP/1.1 503 Later\r\n{until}\r\nContent-Length: 0\r\n\r\n"
        ))
    })
    .await;
    street.hooked("opal", &host, false).await;
    street.bench.act("https://opal.example/a").await;
    let courier = street.courier();
    assert_eq!(courier.run_once().await.unwrap(), 1);
    host.behave(|_| status(200));
    street.advance(119.0);
    assert_eq!(courier.run_once().await.unwrap(), 0);
    street.advance(2.0);
    assert_eq!(courier.run_once().await.unwrap(), 1);
}
