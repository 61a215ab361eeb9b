//! A host's engineer on the first day: by the page that tells how, through the real door, command by command; and what a
//! library of another language makes of our webhooks.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::program::{Up, errors, until};

const PAGE: &str = include_str!("../../../../docs/PROVIDER_API.md");
const HOOK: &str = "http://hook.my-host.example/takedown";

/// What came to a host's webhook.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(HeaderMap, String)>>>);

impl Heard {
    /// Listens like a host that takes everything.
    async fn listen() -> (Self, SocketAddr) {
        let heard = Self::default();
        let take = async |State(heard): State<Self>, headers: HeaderMap, body: Bytes| {
            let body = String::from_utf8(body.to_vec()).unwrap();
            heard.0.lock().unwrap().push((headers, body));
        };
        let router = Router::new().fallback(take).with_state(heard.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (heard, at)
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

/// The page's commands, in its order.
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
async fn a_newcomer_gets_from_the_key_to_an_answered_notice_by_the_page() {
    let (heard, at) = Heard::listen().await;
    let up = Up::start_with(&["--hooks-at", &at.to_string()]).await;
    let trial = up.json(&["provider", "trial", "my-host"]);
    let folder = tempfile::tempdir().unwrap();
    let script = commands();
    assert!(script.matches("curl").count() >= 15, "the page's commands");
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("BASE", trial["gateway"].as_str().unwrap())
        .env("KEY", trial["key"].as_str().unwrap())
        .env("HOOK", HOOK)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", errors(&output));
    assert!(said.contains("Signature Verified Successfully"), "{said}");

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
    // Nobody waits for it any more, and it came all the same, under its id: it was asked for.
    let notice = read("notices.json")["notices"][0]["notice_id"].clone();
    let wanted = format!("msg_{}_1", notice.as_str().unwrap());
    until(|| {
        let all = heard.all();
        all.iter()
            .any(|(headers, _)| headers["webhook-id"] == wanted)
            .then_some(())
    })
    .await;
    assert_eq!(heard.kinds(), ["endpoint.test", "notice.created"]);
    let deliveries = up.json(&["notice", "list", "--provider", "my-host"]);
    assert_eq!(deliveries.as_array().unwrap().len(), 2, "{deliveries}");
}

/// What Node makes of one webhook under these secrets.
fn judged(webhook: &(HeaderMap, String), secrets: &[&str], public_key: &str) -> Value {
    let (headers, body) = webhook;
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    let asked =
        json!({ "headers": headers, "body": body, "secrets": secrets, "publicKey": public_key });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser/webhook.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is there; `./dev test` brings it");
    let mut stdin = node.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_in_another_language_verifies_what_is_sent_through_a_rotation() {
    let (heard, at) = Heard::listen().await;
    let up = Up::start_with(&["--hooks-at", &at.to_string()]).await;
    let trial = up.json(&["provider", "trial", "my-host", "--notices", "1"]);
    let base = trial["gateway"].as_str().unwrap().to_owned();
    let key = trial["key"].as_str().unwrap().to_owned();
    let http = takedown::street::gateway::client().unwrap();
    let ask = async |method: http::Method, path: &str, body: Option<Value>| {
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
    let (get, post, put) = (http::Method::GET, http::Method::POST, http::Method::PUT);
    let made = ask(
        post.clone(),
        "/webhook-endpoints",
        Some(json!({ "url": HOOK })),
    )
    .await;
    let endpoint = made["endpoint"]["endpoint_id"].as_str().unwrap().to_owned();
    let first = made["secret"].as_str().unwrap().to_owned();
    let public = ask(get, "/preferences", None).await["webhook_public_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let test = async || {
        let path = format!("/webhook-endpoints/{endpoint}/test");
        let tested = ask(http::Method::POST, &path, None).await;
        assert_eq!(tested["outcome"], "delivered", "{tested}");
        heard.all().pop().unwrap()
    };
    let rotate = async |overlap: u32| {
        let path = format!("/webhook-endpoints/{endpoint}/rotate");
        let body = json!({ "overlap_seconds": overlap });
        let rotated = ask(http::Method::POST, &path, Some(body)).await;
        rotated["secret"].as_str().unwrap().to_owned()
    };

    let sent = test().await;
    assert_eq!(
        judged(&sent, &[&first], &public),
        json!({ "v1": [true], "v1a": true })
    );
    // The control: one octet more, and nothing holds.
    let altered = (sent.0.clone(), format!("{} ", sent.1));
    assert_eq!(
        judged(&altered, &[&first], &public),
        json!({ "v1": [false], "v1a": false })
    );
    // While the overlap lasts both secrets hold, and afterwards the newest alone.
    let second = rotate(60).await;
    let sent = test().await;
    assert_eq!(
        judged(&sent, &[&first, &second], &public),
        json!({ "v1": [true, true], "v1a": true })
    );
    let third = rotate(0).await;
    let sent = test().await;
    assert_eq!(
        judged(&sent, &[&first, &second, &third], &public),
        json!({ "v1": [false, false, true], "v1a": true })
    );

    // And a notice, once it is asked for here.
    let wanted = json!({ "channel": "webhook", "webhook_url": HOOK });
    let chosen = ask(put, "/preferences", Some(wanted)).await;
    assert_eq!(chosen["webhook_endpoint_id"], endpoint.as_str());
    let notices = ask(http::Method::GET, "/notices", None).await;
    let id = notices["notices"][0]["notice_id"].clone();
    ask(post, "/redeliveries", Some(json!({ "notice_ids": [id] }))).await;
    let sent = until(|| {
        let sent = heard.all().pop()?;
        sent.1.contains("notice.created").then_some(sent)
    })
    .await;
    assert_eq!(
        judged(&sent, &[&third], &public),
        json!({ "v1": [true], "v1a": true })
    );
}
