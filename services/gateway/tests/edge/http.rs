//! Invalid requests to any route, and the headers of every response.

use std::sync::{Arc, Mutex};

use gateway::Config;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::backend::{RecordingBackend, UNKNOWN};
use crate::setup::{KEY, json, problem, start, start_in_front_of, start_with};

#[tokio::test]
async fn an_unknown_path_or_method_and_an_unsupported_body_have_problems_of_their_own() {
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

    let refused = gateway
        .keyed("DELETE", "/provider/v1/preferences")
        .send()
        .await
        .unwrap();
    let mut allowed: Vec<_> = refused.headers()["allow"]
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
    let with_type = |value: &str| post().header("content-type", value).body("{}");
    problem(with_type("text/plain"), 415, "media_type").await;
    problem(
        with_type("application/json; charset=latin1"),
        415,
        "media_type",
    )
    .await;
    problem(
        with_type("application/json; charset=UTF-8"),
        400,
        "field_missing",
    )
    .await;
    let compressed = with_type("application/json").header("content-encoding", "gzip");
    problem(compressed, 415, "content_encoding").await;

    let large = "x".repeat(1024 * 1024 + 1);
    let with_length = post()
        .header("content-type", "application/json")
        .body(large.clone());
    problem(with_length, 413, "body_too_large").await;
    let bytes = large.into_bytes();
    let chunks = bytes
        .chunks(64 * 1024)
        .map(<[u8]>::to_vec)
        .map(Ok::<_, std::io::Error>);
    let stream = reqwest::Body::wrap_stream(tokio_stream::iter(chunks.collect::<Vec<_>>()));
    let chunked = post()
        .header("content-type", "application/json")
        .body(stream);
    problem(chunked, 413, "body_too_large").await;
    assert_eq!(gateway.backend.call_count(), 0);
}

#[tokio::test]
async fn malformed_json_is_refused_with_the_path_and_without_the_content() {
    let gateway = start().await;
    let post = |body: &str| {
        gateway
            .request("POST", "/v1/reports")
            .header("content-type", "application/json")
            .body(body.to_owned())
    };
    let document = problem(post("{\n \"channel\": }"), 400, "json_malformed").await;
    assert!(
        document["detail"].as_str().unwrap().contains("line 2"),
        "{document}"
    );
    for (body, code, field) in [
        ("[]", "field_type", json!(null)),
        (r#"{"reports":[]}"#, "field_missing", json!("channel")),
        (
            r#"{"channel":"public","reports":{}}"#,
            "field_type",
            json!("reports"),
        ),
        (
            r#"{"channel":"public","chanel":"public","reports":[]}"#,
            "field_unknown",
            json!("chanel"),
        ),
        (
            r#"{"channel":"public","channel":"public","reports":[]}"#,
            "field_repeated",
            json!("channel"),
        ),
    ] {
        let document = problem(post(body), 400, code).await;
        assert_eq!(
            document.get("field").cloned().unwrap_or_default(),
            field,
            "{body}"
        );
    }
    let secret = r#"{"channel":{"https://secret.example/":1},"reports":[]}"#;
    let document = problem(post(secret), 400, "field_type").await;
    assert!(!document.to_string().contains("secret"), "{document}");
}

#[tokio::test]
async fn every_response_has_the_privacy_and_security_headers() {
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
async fn without_intake_and_dispatch_the_gateway_is_alive_and_not_ready() {
    // A port without a listener.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let backend = Arc::new(RecordingBackend::default());
    let gateway = start_in_front_of(
        Config::default(),
        &format!("http://{closed}"),
        backend,
        CancellationToken::new(),
    )
    .await;
    json(gateway.request("GET", "/healthz"), 200).await;
    problem(gateway.request("GET", "/readyz"), 503, "not_ready").await;
    let document = problem(
        gateway.keyed("GET", "/provider/v1/notices"),
        503,
        "unavailable",
    )
    .await;
    assert!(!document.to_string().contains("127.0.0.1"), "{document}");
}

#[tokio::test]
async fn with_intake_and_dispatch_the_gateway_is_ready() {
    let gateway = start().await;
    json(gateway.request("GET", "/readyz"), 200).await;
}

#[tokio::test]
async fn a_panic_in_a_service_is_an_internal_error() {
    let gateway = start().await;
    let body = json!({"channel": "public", "reports": [{"url": "https://a.example/"}]});
    let request = gateway
        .request("POST", "/v1/reports")
        .header("idempotency-key", "panic");
    problem(request.json(&body), 500, "internal").await;
}

#[tokio::test]
async fn invalid_settings_are_refused_at_the_start() {
    let error = |config: Config| async {
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
        assert!(error(config).await.contains("public_base"));
    }
    let mut config = Config::default();
    config.limits.address.burst = 0;
    assert!(error(config).await.contains("limits"));
}

#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logs_contain_the_route_and_never_the_path_the_key_or_the_body() {
    let buffer = LogBuffer::default();
    let writer = buffer.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("gateway=trace,platform=trace,tower_http=trace,axum=trace,info")
        .with_writer(move || writer.clone())
        .finish();
    // This test and all its tasks run on one thread.
    let _logging = tracing::subscriber::set_default(subscriber);
    let gateway = start().await;
    for token in ["good", "forged-token", "down"] {
        gateway.get(&format!("/n/{token}")).await;
    }
    gateway
        .get(&format!("/provider/v1/notices/{UNKNOWN}?who=secret"))
        .await;
    gateway.get("/v1/reports/secret-reference").await;
    let body = json!({"channel": "public", "reports": [{"url": "https://secret.example/"}]});
    let post = gateway.keyed("POST", "/v1/reports").json(&body);
    post.send().await.unwrap();
    let log = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/n/{token}"), "{log}");
    for secret in ["forged-token", "/n/down", UNKNOWN, "secret", KEY, "example"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
