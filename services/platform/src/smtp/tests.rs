//! The SMTP server, tested over connections on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::DropGuard;

use super::*;

type ReceivedMail = Arc<Mutex<Vec<(Option<String>, Vec<String>, String)>>>;

/// Accepts mail for addresses that start with `known`.
#[derive(Clone, Default)]
struct TestHandler(ReceivedMail);

impl MailHandler for TestHandler {
    type Recipient = String;

    async fn recipient(&self, _: Peer, address: &str) -> Result<String, SmtpReply> {
        if address.starts_with("known") {
            Ok(address.to_owned())
        } else {
            Err(SmtpReply::Continue("550 5.1.1 unknown"))
        }
    }

    async fn receive(&self, mail: Mail<String>) -> SmtpReply {
        let text = String::from_utf8(mail.bytes).unwrap();
        let mut received = self.0.lock().unwrap();
        received.push((mail.sender, mail.recipients, text));
        SmtpReply::Continue("250 2.0.0 accepted")
    }
}

struct TestSmtpServer {
    address: SocketAddr,
    handler: TestHandler,
    _end: DropGuard,
}

fn settings() -> SmtpSettings {
    SmtpSettings {
        name: "mx.test".into(),
        limits: Limits {
            connections: 2,
            recipients: 2,
            size: 1000,
            read_timeout: Duration::from_secs(5),
            session: Duration::from_secs(10),
        },
        tls: None,
    }
}

async fn start(settings: SmtpSettings) -> TestSmtpServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, handler) = (listener.local_addr().unwrap(), TestHandler::default());
    let end = CancellationToken::new();
    tokio::spawn(serve(listener, handler.clone(), settings, end.clone()));
    TestSmtpServer {
        address,
        handler,
        _end: end.drop_guard(),
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(server: &TestSmtpServer) -> Self {
        let mut client = Self(BufReader::new(
            TcpStream::connect(server.address).await.unwrap(),
        ));
        assert_eq!(client.reply().await, "220 mx.test ESMTP");
        client
    }

    /// The last line of a reply; empty if the connection is closed.
    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap_or_default();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    async fn write(&mut self, text: &str) {
        // If the server has closed the connection, the next read returns nothing.
        let _ = self.0.get_mut().write_all(text.as_bytes()).await;
    }

    async fn send(&mut self, line: &str) -> String {
        self.write(&format!("{line}\r\n")).await;
        self.reply().await
    }

    async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.is_ok()
    }
}

#[tokio::test]
async fn mail_for_a_known_address_is_received_unchanged() {
    let server = start(settings()).await;
    let mut client = Client::connect(&server).await;
    assert_eq!(client.send("EHLO me.example").await, "250 SIZE 1000");
    assert_eq!(client.send("DATA").await, "503 5.5.1 send RCPT first");
    assert_eq!(
        client.send("RCPT TO:<known@mx.test>").await,
        "503 5.5.1 send MAIL first"
    );
    for n in 0..2 {
        assert!(client.send("MAIL FROM:<>").await.starts_with("250"));
        assert!(
            client
                .send("RCPT TO:<known@mx.test>")
                .await
                .starts_with("250")
        );
        let unknown = client.send("RCPT TO:<elsewhere@other.example>").await;
        assert_eq!(unknown, "550 5.1.1 unknown");
        assert!(client.send("DATA").await.starts_with("354"));
        let accepted = client.send("Subject: a\r\n\r\n..dot\r\n.").await;
        assert_eq!(accepted, "250 2.0.0 accepted", "{n}");
    }
    assert_eq!(client.send("QUIT").await, "221 2.0.0 closing connection");
    let received = server.handler.0.lock().unwrap();
    let expected = (
        None,
        vec!["known@mx.test".to_owned()],
        "Subject: a\r\n\r\n.dot\r\n".to_owned(),
    );
    assert_eq!(*received, [expected.clone(), expected]);
}

#[tokio::test]
async fn size_recipients_line_length_and_faults_are_limited() {
    let server = start(settings()).await;
    let mut client = Client::connect(&server).await;
    let large = client.send("MAIL FROM:<a@b.example> SIZE=1001").await;
    assert!(large.starts_with("552"), "{large}");
    assert!(
        client
            .send("MAIL FROM:<a@b.example>")
            .await
            .starts_with("250")
    );
    for reply in ["250", "250", "452"] {
        let reply_line = client.send("RCPT TO:<known@mx.test>").await;
        assert!(reply_line.starts_with(reply), "{reply_line}");
    }
    assert!(client.send("DATA").await.starts_with("354"));
    let large = client.send(&"a".repeat(5000)).await;
    assert!(large.starts_with("552"), "{large}");
    assert!(client.is_closed().await);

    let mut client = Client::connect(&server).await;
    assert!(
        client
            .send("MAIL FROM:<a@b.example>")
            .await
            .starts_with("250")
    );
    assert!(
        client
            .send("RCPT TO:<known@mx.test>")
            .await
            .starts_with("250")
    );
    assert!(client.send("DATA").await.starts_with("354"));
    let large = client.send(&"a\r\n".repeat(500)).await;
    assert!(large.starts_with("552"), "{large}");

    let mut client = Client::connect(&server).await;
    assert_eq!(client.send(&"a".repeat(5000)).await, "");

    let mut client = Client::connect(&server).await;
    let mut last = String::new();
    for _ in 0..30 {
        last = client.send("nonsense").await;
        if last.starts_with("421") {
            break;
        }
    }
    assert!(client.is_closed().await, "{last}");
    assert!(server.handler.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bare_line_feed_does_not_end_a_mail() {
    let server = start(settings()).await;
    for smuggled in ["a\n.\r\nMAIL FROM:<b@b.example>\r\n", "a\r\n.\nb\r\n"] {
        let mut client = Client::connect(&server).await;
        client.send("MAIL FROM:<a@b.example>").await;
        client.send("RCPT TO:<known@mx.test>").await;
        client.send("DATA").await;
        client.write(smuggled).await;
        assert_eq!(
            client.reply().await,
            "550 5.6.0 lines must end with CRLF",
            "{smuggled:?}"
        );
        assert!(client.is_closed().await);
    }
    assert!(server.handler.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_slow_client_is_disconnected() {
    let mut short = settings();
    short.limits.read_timeout = Duration::from_millis(50);
    short.limits.connections = 1;
    let server = start(short).await;
    let mut slow = Client::connect(&server).await;
    // The only connection is free again when the session of the slow client ends.
    let mut next = Client::connect(&server).await;
    assert!(slow.is_closed().await);
    assert!(next.send("NOOP").await.starts_with("250"));
}

#[tokio::test]
async fn starttls_encrypts_the_session_and_discards_earlier_commands() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = rcgen::generate_simple_self_signed(vec!["mx.test".to_owned()]).unwrap();
    let files = Certificate {
        cert: folder.path().join("mx.crt"),
        key: folder.path().join("mx.key"),
    };
    std::fs::write(&files.cert, certificate.cert.pem()).unwrap();
    std::fs::write(&files.key, certificate.signing_key.serialize_pem()).unwrap();
    let server = start(SmtpSettings {
        tls: Some(files),
        ..settings()
    })
    .await;

    let mut early = Client::connect(&server).await;
    early.write("STARTTLS\r\nMAIL FROM:<a@b.example>\r\n").await;
    assert_eq!(
        early.reply().await,
        "",
        "commands before TLS are not processed"
    );

    let mut client = Client::connect(&server).await;
    assert!(
        client
            .send("MAIL FROM:<a@b.example>")
            .await
            .starts_with("250")
    );
    assert!(client.send("STARTTLS").await.starts_with("220"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "mx.test".try_into().unwrap();
    let encrypted = connector
        .connect(name, client.0.into_inner())
        .await
        .unwrap();
    let mut encrypted = BufReader::new(encrypted);
    let mut send = async |line: &str| {
        let text = format!("{line}\r\n");
        encrypted.write_all(text.as_bytes()).await.unwrap();
        let mut reply = String::new();
        encrypted.read_line(&mut reply).await.unwrap();
        reply
    };
    let after_tls = send("RCPT TO:<known@mx.test>").await;
    assert!(after_tls.starts_with("503"), "{after_tls}");
    assert!(send("STARTTLS").await.starts_with("502"));
    assert!(send("MAIL FROM:<>").await.starts_with("250"));
}
