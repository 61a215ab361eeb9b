//! Hostile hosts use only a limited amount of the connector's time and memory, and cannot make it read more
//! than requested.

mod host;

use std::time::{Duration, Instant};

use bytes::Bytes;
use host::{TestHost, mapped, url};
use hyper::header::HeaderMap;
use platform::connector::{ConnectorError, Policy, ReadBody, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

/// Sends `first` after the request, then repeats `then` until the client disconnects.
async fn endless(first: &'static str, then: impl Into<Vec<u8>>, pause: Duration) -> TestHost {
    let then = then.into();
    TestHost::start(move |mut stream, host| {
        let then = then.clone();
        async move {
            host.read_request(&mut stream).await;
            let mut sent = stream.write_all(first.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(pause).await;
                sent = stream.write_all(&then).await;
            }
        }
    })
    .await
}

fn get(up_to: usize) -> Request {
    Request::get(url("http://a.test/"), up_to)
}

#[tokio::test]
async fn a_slow_head_or_body_ends_at_the_time_limit() {
    let limit = Duration::from_secs(1);
    for first in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n",
    ] {
        let host = endless(first, *b"H", Duration::from_millis(20)).await;
        let mut request = get(60_000);
        request.timeout = Some(limit);
        let started = Instant::now();
        let failed = mapped(&host, Policy::default())
            .send(request)
            .await
            .unwrap_err();
        assert_eq!(failed, ConnectorError::TimedOut);
        assert!(started.elapsed() < 5 * limit);
    }
}

#[tokio::test]
async fn a_host_that_never_responds_ends_at_the_policys_time_limit() {
    let host = TestHost::start(|mut stream, _| async move {
        let mut sink = Vec::new();
        let _ = stream.read_to_end(&mut sink).await;
    })
    .await;
    let policy = Policy {
        total_timeout: Duration::from_millis(200),
        ..Policy::default()
    };
    let mut request = Request::head(url("https://a.test/"));
    assert!(
        mapped(&host, policy.clone())
            .send(request.clone())
            .await
            .is_err()
    );
    request.url = url("http://a.test/");
    request.timeout = Some(Duration::from_mins(10));
    let failed = mapped(&host, policy).send(request).await.unwrap_err();
    assert_eq!(failed, ConnectorError::TimedOut);
}

#[tokio::test]
async fn endless_headers_are_too_large() {
    let cookie = format!("Set-Cookie: {}\r\n", "c".repeat(5000));
    let one = "HTTP/1.1 200 OK\r\nX: ";
    for (first, then) in [
        ("HTTP/1.1 200 OK\r\n", cookie),
        ("HTTP/1.1 200 OK\r\n", "A: b\r\n".repeat(300)),
        (one, "x".repeat(4000)),
    ] {
        let host = endless(first, then, Duration::ZERO).await;
        let failed = mapped(&host, Policy::default())
            .send(get(10))
            .await
            .unwrap_err();
        assert_eq!(failed, ConnectorError::TooLarge);
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_too_large_with_any_framing() {
    let chunk = format!("1000\r\n{}\r\n", "b".repeat(0x1000));
    for (first, then) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n",
            "b".repeat(4096),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            chunk,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
            "b".repeat(4096),
        ),
    ] {
        let host = endless(first, then, Duration::ZERO).await;
        let connector = mapped(&host, Policy::default());
        for up_to in [10_000, usize::MAX] {
            let failed = connector.send(get(up_to)).await.unwrap_err();
            assert_eq!(failed, ConnectorError::TooLarge);
        }
    }
}

#[tokio::test]
async fn a_get_for_headers_closes_the_connection_after_them() {
    let (closed, notified) = oneshot::channel();
    let closed = std::sync::Mutex::new(Some(closed));
    let host = TestHost::start(move |mut stream, host| {
        let closed = closed.lock().unwrap().take();
        async move {
            host.read_request(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\nETag: \"e\"\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let mut rest = Vec::new();
            // Ends when the client closes the connection; no byte of the body was sent.
            let _ = stream.read_to_end(&mut rest).await;
            let _ = closed.unwrap().send(rest);
        }
    })
    .await;
    let connector = mapped(&host, Policy::default());
    let response = connector
        .send(Request::get_headers(url("http://a.test/")))
        .await
        .unwrap();
    assert!(response.body.is_empty());
    assert_eq!(response.headers["etag"], "\"e\"");
    let rest = tokio::time::timeout(Duration::from_secs(10), notified).await;
    assert!(rest.expect("the connection is closed").unwrap().is_empty());
}

#[tokio::test]
async fn a_body_after_a_head_response_is_not_read_as_the_next_response() {
    let host = TestHost::responding("HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\nHTTP/1.1 404 Forged\r\nContent-Length: 0\r\n\r\nxxxx").await;
    let connector = mapped(&host, Policy::default());
    for _ in 0..10 {
        let response = connector
            .send(Request::head(url("http://a.test/")))
            .await
            .unwrap();
        assert_eq!(response.status.as_u16(), 200);
    }
}

#[tokio::test]
async fn compressed_bodies_stay_compressed() {
    let bomb = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\u{1f}zz";
    let host = TestHost::responding(bomb).await;
    let response = mapped(&host, Policy::default())
        .send(get(100))
        .await
        .unwrap();
    assert_eq!(response.body, Bytes::from_static(b"\x1fzz"));
}

#[tokio::test]
async fn invalid_http_is_a_bad_response() {
    for response in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
    ] {
        let host = TestHost::responding(response).await;
        let mut request = get(100);
        request.timeout = Some(Duration::from_secs(5));
        let failed = mapped(&host, Policy::default())
            .send(request)
            .await
            .unwrap_err();
        assert_eq!(failed, ConnectorError::BadResponse, "{response}");
    }
}

#[tokio::test]
async fn endless_provisional_responses_end_at_the_time_limit() {
    let host = endless(
        "",
        *b"HTTP/1.1 100 Continue\r\n\r\n",
        Duration::from_millis(1),
    )
    .await;
    let mut request = Request::post(url("http://a.test/"), HeaderMap::new(), Bytes::new(), 10);
    request.timeout = Some(Duration::from_secs(1));
    request.read = ReadBody::UpTo(10);
    let failed = mapped(&host, Policy::default())
        .send(request)
        .await
        .unwrap_err();
    assert_eq!(failed, ConnectorError::TimedOut);
}
