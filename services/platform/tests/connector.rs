//! The connector, tested against servers on loopback, some of which must never receive a connection.

mod host;

use std::time::Duration;

use bytes::Bytes;
use host::{TestHost, mapped, url};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use platform::connector::{Connector, ConnectorError, ConnectorMap, Policy, Refusal, Request};
use tokio::io::AsyncWriteExt as _;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"a\"\r\n\r\n";

#[tokio::test]
async fn addresses_that_are_not_public_receive_no_connection() {
    let canary = TestHost::start(|_, _| async {}).await;
    let port = canary.address.port();
    let policy = Policy {
        connect_timeout: Duration::from_secs(2),
        ..Policy::default()
    };
    let connector = Connector::new(policy);
    let literal = [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.2",
        "0",
        "0.0.0.0",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[2001:db8::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[ff02::1]",
        "good.example@127.0.0.1",
    ];
    for host in literal {
        for scheme in ["http", "https"] {
            let url = url(&format!("{scheme}://{host}:{port}/"));
            let refused = connector.send(Request::head(url)).await.unwrap_err();
            assert_eq!(
                refused,
                ConnectorError::Refused(Refusal::NotPublic),
                "{host}"
            );
        }
    }
    for name in ["localhost", "LOCALHOST", "localhost.", "nothing.invalid"] {
        let url = url(&format!("http://{name}:{port}/"));
        let refused = connector.send(Request::head(url)).await.unwrap_err();
        assert!(
            matches!(
                refused.code(),
                "refused_address" | "dns_failed" | "no_such_name"
            ),
            "{name}: {refused}"
        );
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn other_schemes_ports_and_malformed_hosts_are_refused_even_when_mapped() {
    let canary = TestHost::start(|_, _| async {}).await;
    let connector = mapped(&canary, Policy::default());
    for (text, refusal) in [
        ("file:///etc/passwd", Refusal::Scheme),
        ("gopher://a.test/", Refusal::Scheme),
        ("ftp://a.test/", Refusal::Scheme),
        ("http://a.test:22/", Refusal::Port),
        ("http://a.test:25/", Refusal::Port),
        ("https://a.test:6379/", Refusal::Port),
        ("http://a..test/", Refusal::Host),
        ("http://a.test../", Refusal::Host),
    ] {
        let refused = connector.send(Request::head(url(text))).await.unwrap_err();
        assert_eq!(refused, ConnectorError::Refused(refusal), "{text}");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let canary = TestHost::start(|_, _| async {}).await;
    for status in [301, 302, 303, 307, 308] {
        for to in [
            format!("http://{}/", canary.address),
            "http://169.254.169.254/".to_owned(),
            "file:///etc/passwd".to_owned(),
            "/loop".to_owned(),
        ] {
            let redirect =
                format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            let host = TestHost::responding(redirect).await;
            let response = mapped(&host, Policy::default())
                .send(Request::head(url("http://a.test/x")))
                .await
                .unwrap();
            assert_eq!(response.status.as_u16(), status);
            assert_eq!(response.headers[header::LOCATION], to.as_str());
            assert_eq!(host.requests().len(), 1);
        }
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_request_is_sent_as_specified_without_fragment_and_credentials() {
    let host = TestHost::responding("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine").await;
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
    headers.insert(header::HOST, HeaderValue::from_static("other.test"));
    headers.insert(
        header::TRANSFER_ENCODING,
        HeaderValue::from_static("chunked"),
    );
    let at = url("http://user:secret@a.test:8080/p%20q/?a=b|c&d=%00#part");
    let request = Request::post(at, headers, Bytes::from_static(b"hello"), 100);
    let response = mapped(&host, Policy::default())
        .send(request)
        .await
        .unwrap();
    assert_eq!(response.body, "fine");
    let received = host.requests().remove(0);
    assert!(
        received.starts_with("POST /p%20q/?a=b|c&d=%00 HTTP/1.1\r\n"),
        "{received}"
    );
    let received = received.to_ascii_lowercase();
    for line in [
        "host: a.test:8080\r\n",
        "webhook-id: msg_1\r\n",
        "content-length: 5\r\n",
        "accept-encoding: identity\r\n",
    ] {
        assert!(received.contains(line), "{received}");
    }
    for absent in ["other.test", "chunked", "secret", "authorization", "part"] {
        assert!(!received.contains(absent), "{received}");
    }
}

#[tokio::test]
async fn connections_are_reused_after_head_and_after_responses_that_were_read() {
    let host = TestHost::responding(OK.replace("Content-Length: 2", "Content-Length: 0")).await;
    let connector = mapped(&host, Policy::default());
    for _ in 0..50 {
        connector
            .send(Request::head(url("http://a.test/")))
            .await
            .unwrap();
        let post = Request::post(url("http://a.test/"), HeaderMap::new(), Bytes::new(), 10);
        connector.send(post).await.unwrap();
    }
    assert_eq!((host.connections(), host.requests().len()), (1, 100));
    // Another name with the same address is another host and does not share the connection.
    connector
        .send(Request::head(url("http://b.test/")))
        .await
        .unwrap();
    assert_eq!(host.connections(), 2);
}

#[tokio::test]
async fn an_idle_connection_that_the_host_closed_is_replaced() {
    // The host responds once on each connection and then closes it without announcing that.
    let host = TestHost::start(|mut stream, host| async move {
        host.read_request(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
    })
    .await;
    let connector = mapped(&host, Policy::default());
    for _ in 0..20 {
        connector
            .send(Request::head(url("http://a.test/")))
            .await
            .unwrap();
    }
    assert_eq!(host.requests().len(), 20);
}

#[tokio::test]
async fn the_outcome_is_unknown_if_the_host_disconnects_before_it_responds() {
    let host = TestHost::start(|mut stream, host| async move {
        host.read_request(&mut stream).await;
    })
    .await;
    let post = Request::post(
        url("http://a.test/"),
        HeaderMap::new(),
        Bytes::from_static(b"x"),
        10,
    );
    let error = mapped(&host, Policy::default())
        .send(post)
        .await
        .unwrap_err();
    assert_eq!(error, ConnectorError::BadResponse);
    assert!(error.outcome_unknown());
    assert_eq!(
        host.requests().len(),
        1,
        "the connector does not repeat a POST"
    );
}

#[tokio::test]
async fn an_unused_port_is_a_failed_connection() {
    let unused = TestHost::start(|_, _| async {})
        .await
        .unused_address()
        .await;
    let mut map = ConnectorMap::default();
    map.insert("a.test", unused).unwrap();
    let connector = Connector::new(Policy {
        map,
        ..Policy::default()
    });
    let failed = connector
        .send(Request::head(url("http://a.test/")))
        .await
        .unwrap_err();
    assert_eq!(failed, ConnectorError::ConnectFailed);
    assert!(!failed.outcome_unknown());
}

#[tokio::test]
async fn documentation_networks_are_reached_only_through_the_map() {
    let host = TestHost::responding(OK).await;
    let mut map = ConnectorMap::default();
    map.insert("203.0.113.0/24", host.address).unwrap();
    let connector = Connector::new(Policy {
        map,
        ..Policy::default()
    });
    assert!(connector.is_mapped());
    let response = connector
        .send(Request::head(url("http://203.0.113.5/")))
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.headers[header::CONTENT_LENGTH], "2");
    let refused = connector
        .send(Request::head(url("http://198.51.100.5/")))
        .await
        .unwrap_err();
    assert_eq!(refused, ConnectorError::Refused(Refusal::NotPublic));
}

#[tokio::test]
async fn debug_and_errors_show_neither_the_url_nor_a_body() {
    let at = url("http://secret-host.test/secret-path");
    let request = Request::post(at, HeaderMap::new(), Bytes::from_static(b"secret-body"), 10);
    let host = TestHost::responding(
        "HTTP/1.1 200 secret\r\nX-S: secret\r\nContent-Length: 6\r\n\r\nsecret",
    )
    .await;
    let connector = mapped(&host, Policy::default());
    let response = connector.send(request.clone()).await.unwrap();
    let failed = Connector::new(Policy::default())
        .send(Request::head(url("http://127.0.0.1/secret")))
        .await
        .unwrap_err();
    let shown = format!("{request:?} {response:?} {connector:?} {failed:?} {failed}");
    assert!(!shown.contains("secret"), "{shown}");
}
