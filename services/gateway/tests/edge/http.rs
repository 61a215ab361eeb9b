//! What any route does with a request that is not right, and what goes with every answer.

use std::sync::{Arc, Mutex};

use gateway::Config;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, UNKNOWN};
use crate::setup::{KEY, json, problem, start, start_before, start_with};

#[tokio::test]
async fn paths_methods_types_and_sizes_are_refused_each_with_its_own_problem() {
    let gateway = start().await;
    problem(
        gateway.request("GET", "/nothing/here"),
        404,
        "route_unknown",
    )
    .await;
    problem(
        gateway.keyed("GET", "/provider/v1/notices/%ff"),
        400,
        "path_malformed",
    )
    .await;

    let wrong = gateway
        .keyed("DELETE", "/provider/v1/preferences")
        .send()
        .await
        .unwrap();
    let mut allowed: Vec<_> = wrong.headers()["allow"]
        .to_str()
        .unwrap()
        .split(',')
        .collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "PUT"]);
    problem(
        gateway.request("DELETE", "/v1/reports"),
        405,
        "method_not_allowed",
    )
    .await;

    let post = || gateway.request("POST", "/v1/reports");
    problem(post().body("{}"), 415, "media_type").await;
    let typed = |value: &str| post().header("content-type", value).body("{}");
    problem(typed("text/plain"), 415, "media_type").await;
    problem(typed("application/json; charset=latin1"), 415, "media_type").await;
    problem(
        typed("application/json; charset=UTF-8"),
        400,
        "field_missing",
    )
    .await;
    let packed = typed("application/json").header("content-encoding", "gzip");
    problem(packed, 415, "content_encoding").await;

    let large = "x".repeat(1024 * 1024 + 1);
    let sized = post()
        .header("content-type", "application/json")
        .body(large.clone());
    problem(sized, 413, "body_too_large").await;
    let parts = large.into_bytes();
    let chunks = parts
        .chunks(64 * 1024)
        .map(<[u8]>::to_vec)
        .map(Ok::<_, std::io::Error>);
    let stream = reqwest::Body::wrap_stream(tokio_stream::iter(chunks.collect::<Vec<_>>()));
    let unsized_ = post()
        .header("content-type", "application/json")
        .body(stream);
    problem(unsized_, 413, "body_too_large").await;
    assert_eq!(gateway.asked.seen(), 0);
}

#[tokio::test]
async fn malformed_json_is_refused_with_its_place_and_without_its_content() {
    let gateway = start().await;
    let post = |body: &str| {
        gateway
            .request("POST", "/v1/reports")
            .header("content-type", "application/json")
            .body(body.to_owned())
    };
    let said = problem(post("{\n \"channel\": }"), 400, "json_malformed").await;
    assert!(
        said["detail"].as_str().unwrap().contains("line 2"),
        "{said}"
    );
    for (body, code, field) in [
        ("[]", "field_type", json!(null)),
        (r#"{"items":[]}"#, "field_missing", json!("channel")),
        (
            r#"{"channel":"public","items":{}}"#,
            "field_type",
            json!("items"),
        ),
        (
            r#"{"channel":"public","chanel":"public","items":[]}"#,
            "field_unknown",
            json!("chanel"),
        ),
        (
            r#"{"channel":"public","channel":"public","items":[]}"#,
            "field_repeated",
            json!("channel"),
        ),
    ] {
        let said = problem(post(body), 400, code).await;
        assert_eq!(
            said.get("field").cloned().unwrap_or_default(),
            field,
            "{body}"
        );
    }
    let secret = r#"{"channel":{"https://secret.example/":1},"items":[]}"#;
    let said = problem(post(secret), 400, "field_type").await;
    assert!(!said.to_string().contains("secret"), "{said}");
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_it_private() {
    let config = Config {
        public_base: "https://portal.hotline.example".into(),
        ..Config::default()
    };
    let gateway = start_with(config).await;
    for path in [
        "/provider/v1/notices",
        "/nothing",
        "/healthz",
        "/openapi.json",
    ] {
        let response = gateway.get(path).await;
        let headers = response.headers();
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(
            headers["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'")
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["strict-transport-security"], "max-age=31536000");
        assert!(headers.get("access-control-allow-origin").is_none());
    }
}

#[tokio::test]
async fn without_its_owners_the_gateway_lives_says_so_and_refuses_kindly() {
    // A port that nobody listens on any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let asked = Arc::new(Backend::default());
    let gateway = start_before(
        Config::default(),
        &format!("http://{gone}"),
        asked,
        CancellationToken::new(),
    )
    .await;
    json(gateway.request("GET", "/healthz"), 200).await;
    problem(gateway.request("GET", "/readyz"), 503, "not_ready").await;
    let said = problem(
        gateway.keyed("GET", "/provider/v1/notices"),
        503,
        "unavailable",
    )
    .await;
    assert!(!said.to_string().contains("127.0.0.1"), "{said}");
}

#[tokio::test]
async fn with_its_owners_it_is_ready() {
    let gateway = start().await;
    json(gateway.request("GET", "/readyz"), 200).await;
}

#[tokio::test]
async fn an_owners_panic_is_an_error_on_our_side() {
    let gateway = start().await;
    let body = json!({"channel": "public", "items": [{"url": "https://a.example/"}]});
    let request = gateway
        .request("POST", "/v1/reports")
        .header("idempotency-key", "panic");
    problem(request.json(&body), 500, "internal").await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_the_start() {
    let refused = |config: Config| async {
        let gateway = start_with(config).await;
        gateway.running.await.unwrap().unwrap_err().to_string()
    };
    for base in [
        "portal.hotline.example",
        "ftp://portal.example",
        "https://portal.example/",
    ] {
        let config = Config {
            public_base: base.into(),
            ..Config::default()
        };
        assert!(refused(config).await.contains("public_base"));
    }
    let mut config = Config::default();
    config.limits.address.burst = 0;
    assert!(refused(config).await.contains("limits"));
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_log_names_the_route_and_never_the_path_the_key_or_the_body() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("gateway=trace,platform=trace,tower_http=trace,axum=trace,info")
        .with_writer(move || writer.clone())
        .finish();
    // One thread runs this test and all its tasks.
    let _logging = tracing::subscriber::set_default(subscriber);
    let gateway = start().await;
    for token in ["good", "forged-token", "down"] {
        gateway.get(&format!("/n/{token}")).await;
    }
    gateway
        .get(&format!("/provider/v1/notices/{UNKNOWN}?who=secret"))
        .await;
    gateway.get("/v1/reports/secret-reference").await;
    let body = json!({"channel": "public", "items": [{"url": "https://secret.example/"}]});
    let post = gateway.keyed("POST", "/v1/reports").json(&body);
    post.send().await.unwrap();
    let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/n/{token}"), "{log}");
    for secret in ["forged-token", "/n/down", UNKNOWN, "secret", KEY, "example"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
