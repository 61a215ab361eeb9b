//! docs/PROVIDER_API.md, command by command, against a running system; and webhooks verified by a library in
//! another language.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::program::{RunningSystem, errors, wait_for};

const PAGE: &str = include_str!("../../../../docs/PROVIDER_API.md");
const HOOK: &str = "http://hook.my-host.example/takedown";

/// Requests that a host's webhook endpoint received.
#[derive(Clone, Default)]
struct ReceivedWebhooks(Arc<Mutex<Vec<(HeaderMap, String)>>>);

impl ReceivedWebhooks {
    /// Starts an endpoint that accepts every request.
    async fn listen() -> (Self, SocketAddr) {
        let received = Self::default();
        let accept = async |State(received): State<Self>, headers: HeaderMap, body: Bytes| {
            let body = String::from_utf8(body.to_vec()).unwrap();
            received.0.lock().unwrap().push((headers, body));
        };
        let router = Router::new().fallback(accept).with_state(received.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (received, at)
    }

    fn all(&self) -> Vec<(HeaderMap, String)> {
        self.0.lock().unwrap().clone()
    }

    fn kinds(&self) -> Vec<String> {
        let all = self.all();
        let kind = |(_, body): &(HeaderMap, String)| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["type"].as_str().unwrap().to_owned()
        };
        all.iter().map(kind).collect()
    }
}

/// The document's commands, in order.
fn commands() -> String {
    let mut script = String::from("set -eu\n");
    let mut rest = PAGE;
    while let Some((_, block)) = rest.split_once("```sh\n") {
        let (block, after) = block.split_once("```").expect("a block ends");
        script.push_str(block);
        rest = after;
    }
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_gets_from_a_key_to_an_answered_notice_by_the_page() {
    let (received, at) = ReceivedWebhooks::listen().await;
    let up = RunningSystem::start_with(&["--hooks-at", &at.to_string()]).await;
    let trial = up.json(&["provider", "trial", "my-host"]);
    let folder = tempfile::tempdir().unwrap();
    let script = commands();
    assert!(
        script.matches("curl").count() >= 15,
        "the document's commands"
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("BASE", trial["gateway"].as_str().unwrap())
        .env("KEY", trial["key"].as_str().unwrap())
        .env("HOOK", HOOK)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", errors(&output));
    assert!(
        stdout.contains("Signature Verified Successfully"),
        "{stdout}"
    );

    let file = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let read = |name: &str| serde_json::from_str::<Value>(&file(name)).unwrap();
    let answered = read("answered.json");
    let states: Vec<_> = answered["results"].as_array().unwrap().iter().collect();
    assert_eq!(states.len(), 2);
    assert!(
        states.iter().all(|r| r["state"] == "removal_claimed"),
        "{answered}"
    );
    assert_eq!(
        file("events.txt").matches("event: notice.created").count(),
        2
    );
    assert_eq!(read("refused.json")["code"], "key_refused");
    // The notice has been answered, and is delivered again under its id on request.
    let notice = read("notices.json")["notices"][0]["notice_id"].clone();
    let expected = format!("msg_{}_1", notice.as_str().unwrap());
    wait_for(|| {
        let all = received.all();
        all.iter()
            .any(|(headers, _)| headers["webhook-id"] == expected)
            .then_some(())
    })
    .await;
    assert_eq!(received.kinds(), ["endpoint.test", "notice.created"]);
    let deliveries = up.json(&["notice", "list", "--provider", "my-host"]);
    assert_eq!(deliveries.as_array().unwrap().len(), 2, "{deliveries}");
}

/// Verifies a webhook with Node's libraries under these secrets.
fn verified_by_node(webhook: &(HeaderMap, String), secrets: &[&str], public_key: &str) -> Value {
    let (headers, body) = webhook;
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    let input =
        json!({ "headers": headers, "body": body, "secrets": secrets, "publicKey": public_key });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser/webhook.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is installed by `./dev test`");
    let mut stdin = node.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_in_another_language_verifies_webhooks_through_a_rotation() {
    let (received, at) = ReceivedWebhooks::listen().await;
    let up = RunningSystem::start_with(&["--hooks-at", &at.to_string()]).await;
    let trial = up.json(&["provider", "trial", "my-host", "--notices", "1"]);
    let base = trial["gateway"].as_str().unwrap().to_owned();
    let key = trial["key"].as_str().unwrap().to_owned();
    let http = host_client::gateway_client::http_client().unwrap();
    let call = async |method: http::Method, path: &str, body: Option<Value>| {
        let mut request = http
            .request(method, format!("{base}/provider/v1{path}"))
            .bearer_auth(&key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let (get, post, replace) = (http::Method::GET, http::Method::POST, http::Method::PUT);
    let created = call(
        post.clone(),
        "/webhook-endpoints",
        Some(json!({ "url": HOOK })),
    )
    .await;
    let endpoint = created["endpoint"]["endpoint_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let first = created["secret"].as_str().unwrap().to_owned();
    let public = call(get, "/preferences", None).await["webhook_public_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let test = async || {
        let path = format!("/webhook-endpoints/{endpoint}/test");
        let tested = call(http::Method::POST, &path, None).await;
        assert_eq!(tested["outcome"], "delivered", "{tested}");
        received.all().pop().unwrap()
    };
    let rotate = async |overlap: u32| {
        let path = format!("/webhook-endpoints/{endpoint}/rotate");
        let body = json!({ "overlap_seconds": overlap });
        let rotated = call(http::Method::POST, &path, Some(body)).await;
        rotated["secret"].as_str().unwrap().to_owned()
    };

    let sent = test().await;
    assert_eq!(
        verified_by_node(&sent, &[&first], &public),
        json!({ "v1": [true], "v1a": true })
    );
    // Control: with one more byte no signature is valid.
    let altered = (sent.0.clone(), format!("{} ", sent.1));
    assert_eq!(
        verified_by_node(&altered, &[&first], &public),
        json!({ "v1": [false], "v1a": false })
    );
    // During the overlap both secrets are valid, afterwards only the newest.
    let second = rotate(60).await;
    let sent = test().await;
    assert_eq!(
        verified_by_node(&sent, &[&first, &second], &public),
        json!({ "v1": [true, true], "v1a": true })
    );
    let third = rotate(0).await;
    let sent = test().await;
    assert_eq!(
        verified_by_node(&sent, &[&first, &second, &third], &public),
        json!({ "v1": [false, false, true], "v1a": true })
    );

    // Also a notice, once webhooks are chosen.
    let wanted = json!({ "channel": "webhook", "webhook_url": HOOK });
    let chosen = call(replace, "/preferences", Some(wanted)).await;
    assert_eq!(chosen["webhook_endpoint_id"], endpoint.as_str());
    let notices = call(http::Method::GET, "/notices", None).await;
    let id = notices["notices"][0]["notice_id"].clone();
    call(post, "/redeliveries", Some(json!({ "notice_ids": [id] }))).await;
    let sent = wait_for(|| {
        let sent = received.all().pop()?;
        sent.1.contains("notice.created").then_some(sent)
    })
    .await;
    assert_eq!(
        verified_by_node(&sent, &[&third], &public),
        json!({ "v1": [true], "v1a": true })
    );
}
