//! `watch` reports what it receives and answers nothing; `answer` answers one notice. The hotline is simulated by its
//! published formats alone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use host_client::answer::{AnswerCode, AnswerOptions, answer};
use host_client::signed_notice::NoticeRejection;
use host_client::watch::{WatchEvent, WatchOptions, watch};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SALT: [u8; 32] = [7; 32];
const URL: &str = "https://host-a.example/a/1.jpg";
/// SHA-256 over the length-prefixed parts `takedown/commitment/1`, [`SALT`] and [`URL`].
const COMMITMENT: &str = "b8e508cf0f26d2e048796f9336e030a672b86228fc7b14578783ec592f458001";

/// The bodies of the answers that the hotline received.
type ReceivedAnswers = Arc<Mutex<Vec<Value>>>;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// A notice that is signed for `audience`.
fn notice(id: u128, audience: &str) -> Value {
    let id = Uuid::from_u128(id);
    let statement = json!({
        "format": 1, "notice_id": id, "sequence": 1, "message": "notice", "provider_id": audience, "episode": 1,
        "step": 1, "commitment": COMMITMENT, "issued": "2026-01-01T00:00:00Z", "expires": "9999-01-01T00:00:00Z",
    })
    .to_string();
    let signature = key().sign(format!("\0takedown/1/notice\0{statement}").as_bytes());
    json!({
        "notice_id": id, "case_id": Uuid::nil(), "episode": 1, "step": 1, "url": URL, "salt": STANDARD.encode(SALT),
        "signed": STANDARD.encode(&statement), "signature": STANDARD.encode(signature.to_bytes()), "key_id": "k-1",
    })
}

/// A hotline with one page of two notices, the second of which is for another provider.
async fn start_hotline(received: ReceivedAnswers) -> SocketAddr {
    let verifying_key = key().verifying_key();
    let x = URL_SAFE_NO_PAD.encode(verifying_key);
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k-1", "x": x }] });
    let whpk = format!("whpk_{}", STANDARD.encode(verifying_key));
    let preferences = json!({ "channel": "webhook", "webhook_public_key": whpk });
    let list = |Query(query): Query<Vec<(String, String)>>| async move {
        let is_first = !query.iter().any(|(name, _)| name == "cursor");
        let notices = if is_first {
            vec![notice(1, "host-a"), notice(2, "host-b")]
        } else {
            Vec::new()
        };
        Json(json!({ "notices": notices, "next_cursor": "c" }))
    };
    let answers = |State(received): State<ReceivedAnswers>, Json(body): Json<Value>| async move {
        received.lock().unwrap().push(body);
        Json(json!({ "results": [{ "state": "acknowledged" }] }))
    };
    let router = Router::new()
        .route(
            "/.well-known/takedown-keys.json",
            get(move || async move { Json(keys) }),
        )
        .route(
            "/provider/v1/preferences",
            get(move || async move { Json(preferences) }),
        )
        .route("/provider/v1/notices", get(list))
        .route("/provider/v1/answers", post(answers))
        .with_state(received);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Runs `watch` until it has received this many notices; calls `on_listening` with the address for webhooks.
async fn watched(
    gateway: SocketAddr,
    webhook_listen: Option<SocketAddr>,
    count: usize,
    mut on_listening: impl FnMut(SocketAddr),
) -> Vec<(Uuid, Option<NoticeRejection>)> {
    let options = WatchOptions {
        id: "host-a".to_owned(),
        key: "tdh_test".to_owned().into(),
        gateway: format!("http://{gateway}"),
        webhook_listen,
    };
    let shutdown = CancellationToken::new();
    let mut notices = Vec::new();
    let watching = watch(options, shutdown.clone(), |event| match event {
        WatchEvent::Listening(address) => on_listening(address),
        WatchEvent::Received { notice, verified } => {
            notices.push((notice, verified.err()));
            if notices.len() == count {
                shutdown.cancel();
            }
        }
    });
    let in_time = tokio::time::timeout(Duration::from_secs(20), watching).await;
    in_time.expect("notices arrive").unwrap();
    notices
}

#[tokio::test]
async fn polled_notices_are_verified_and_not_answered() {
    let received = ReceivedAnswers::default();
    let gateway = start_hotline(Arc::clone(&received)).await;
    let notices = watched(gateway, None, 2, |_| {}).await;
    assert_eq!(
        notices,
        [
            (Uuid::from_u128(1), None),
            (Uuid::from_u128(2), Some(NoticeRejection::NotForUs)),
        ]
    );
    assert!(received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_webhook_is_accepted_only_if_its_notice_is_authentic() {
    let gateway = start_hotline(ReceivedAnswers::default()).await;
    let (sender, statuses) = tokio::sync::oneshot::channel();
    let mut sender = Some(sender);
    let notices = watched(gateway, Some(([127, 0, 0, 1], 0).into()), 2, |address| {
        let sender = sender.take().unwrap();
        tokio::spawn(async move {
            let mut altered = notice(2, "host-a");
            altered["url"] = json!("https://host-a.example/innocent");
            let forged = push(address, &notice(3, "host-a"), " ").await;
            let altered = push(address, &altered, "").await;
            let test = json!({ "type": "endpoint.test", "data": {} });
            let test = push_body(address, &test.to_string(), "").await;
            let authentic = push(address, &notice(1, "host-a"), "").await;
            sender.send([forged, altered, test, authentic]).unwrap();
        });
    })
    .await;
    assert_eq!(
        notices,
        [
            (Uuid::from_u128(2), Some(NoticeRejection::Contradicts)),
            (Uuid::from_u128(1), None),
        ]
    );
    assert_eq!(statuses.await.unwrap(), [401, 422, 204, 204]);
}

#[tokio::test]
async fn an_answer_is_sent_on_command() {
    let received = ReceivedAnswers::default();
    let gateway = start_hotline(Arc::clone(&received)).await;
    let result = answer(AnswerOptions {
        notice: Uuid::from_u128(1),
        answer: AnswerCode::NotOurs,
        key: "tdh_test".to_owned().into(),
        gateway: format!("http://{gateway}"),
        named: Some("host-b".to_owned()),
        text: None,
        until: None,
    })
    .await
    .unwrap();
    assert_eq!(result.state.as_deref(), Some("acknowledged"));
    let expected =
        json!({ "notice_id": Uuid::from_u128(1), "answer": "not_ours", "named": "host-b" });
    assert_eq!(
        *received.lock().unwrap(),
        [json!({ "answers": [expected] })]
    );
}

async fn push(to: SocketAddr, data: &Value, altered_by: &str) -> u16 {
    let body = json!({ "type": "notice.created", "data": data }).to_string();
    push_body(to, &body, altered_by).await
}

/// Sends a webhook whose signature covers the body and `altered_by`.
async fn push_body(to: SocketAddr, body: &str, altered_by: &str) -> u16 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a webhook is valid for minutes only"
    )]
    let timestamp = time::OffsetDateTime::now_utc().unix_timestamp();
    let content = format!("msg_1.{timestamp}.{body}{altered_by}");
    let signature = STANDARD.encode(key().sign(content.as_bytes()).to_bytes());
    let response = host_client::gateway_client::http_client()
        .unwrap()
        .post(format!("http://{to}/notices"))
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", format!("v1a,{signature}"))
        .body(body.to_owned())
        .send()
        .await
        .unwrap();
    response.status().as_u16()
}
