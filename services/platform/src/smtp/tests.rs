//! What a server of mail takes, and what it does not, over a real connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::DropGuard;

use super::*;

type Taken = Arc<Mutex<Vec<(Option<String>, Vec<String>, String)>>>;

/// Takes mail for those whose name begins with `known`.
#[derive(Clone, Default)]
struct Room(Taken);

impl Mailroom for Room {
    type Recipient = String;

    async fn recipient(&self, _: Peer, address: &str) -> Result<String, Reply> {
        if address.starts_with("known") {
            Ok(address.to_owned())
        } else {
            Err(Reply::Say("550 5.1.1 nobody"))
        }
    }

    async fn take(&self, mail: Mail<String>) -> Reply {
        let text = String::from_utf8(mail.bytes).unwrap();
        let mut taken = self.0.lock().unwrap();
        taken.push((mail.sender, mail.recipients, text));
        Reply::Say("250 2.0.0 taken")
    }
}

struct Server {
    at: SocketAddr,
    room: Room,
    _end: DropGuard,
}

fn settings() -> Settings {
    Settings {
        name: "mx.test".into(),
        limits: Limits {
            connections: 2,
            recipients: 2,
            size: 1000,
            patience: Duration::from_secs(5),
            session: Duration::from_secs(10),
        },
        tls: None,
    }
}

async fn start(settings: Settings) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, room) = (listener.local_addr().unwrap(), Room::default());
    let end = CancellationToken::new();
    tokio::spawn(serve(listener, room.clone(), settings, end.clone()));
    Server {
        at,
        room,
        _end: end.drop_guard(),
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn to(server: &Server) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(server.at).await.unwrap()));
        assert_eq!(client.reply().await, "220 mx.test ESMTP");
        client
    }

    /// The last line of a reply; empty where the connection has ended.
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
        // A server that has hung up is seen by its silence.
        let _ = self.0.get_mut().write_all(text.as_bytes()).await;
    }

    async fn say(&mut self, line: &str) -> String {
        self.write(&format!("{line}\r\n")).await;
        self.reply().await
    }

    async fn is_at_its_end(&mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.is_ok()
    }
}

#[tokio::test]
async fn mail_for_somebody_known_is_taken_as_it_came() {
    let server = start(settings()).await;
    let mut client = Client::to(&server).await;
    assert_eq!(client.say("EHLO me.example").await, "250 SIZE 1000");
    assert_eq!(client.say("DATA").await, "503 5.5.1 RCPT comes first");
    assert_eq!(
        client.say("RCPT TO:<known@mx.test>").await,
        "503 5.5.1 MAIL comes first"
    );
    for n in 0..2 {
        assert!(client.say("MAIL FROM:<>").await.starts_with("250"));
        assert!(
            client
                .say("RCPT TO:<known@mx.test>")
                .await
                .starts_with("250")
        );
        let nobody = client.say("RCPT TO:<elsewhere@other.example>").await;
        assert_eq!(nobody, "550 5.1.1 nobody");
        assert!(client.say("DATA").await.starts_with("354"));
        let taken = client.say("Subject: a\r\n\r\n..dot\r\n.").await;
        assert_eq!(taken, "250 2.0.0 taken", "{n}");
    }
    assert_eq!(client.say("QUIT").await, "221 2.0.0 bye");
    let taken = server.room.0.lock().unwrap();
    let expected = (
        None,
        vec!["known@mx.test".to_owned()],
        "Subject: a\r\n\r\n.dot\r\n".to_owned(),
    );
    assert_eq!(*taken, [expected.clone(), expected]);
}

#[tokio::test]
async fn there_is_a_bound_on_everything() {
    let server = start(settings()).await;
    let mut client = Client::to(&server).await;
    let large = client.say("MAIL FROM:<a@b.example> SIZE=1001").await;
    assert!(large.starts_with("552"), "{large}");
    assert!(
        client
            .say("MAIL FROM:<a@b.example>")
            .await
            .starts_with("250")
    );
    for reply in ["250", "250", "452"] {
        let said = client.say("RCPT TO:<known@mx.test>").await;
        assert!(said.starts_with(reply), "{said}");
    }
    assert!(client.say("DATA").await.starts_with("354"));
    let large = client.say(&"a".repeat(5000)).await;
    assert!(large.starts_with("552"), "{large}");
    assert!(client.is_at_its_end().await);

    let mut client = Client::to(&server).await;
    assert!(
        client
            .say("MAIL FROM:<a@b.example>")
            .await
            .starts_with("250")
    );
    assert!(
        client
            .say("RCPT TO:<known@mx.test>")
            .await
            .starts_with("250")
    );
    assert!(client.say("DATA").await.starts_with("354"));
    let large = client.say(&"a\r\n".repeat(500)).await;
    assert!(large.starts_with("552"), "{large}");

    let mut client = Client::to(&server).await;
    assert_eq!(client.say(&"a".repeat(5000)).await, "");

    let mut client = Client::to(&server).await;
    let mut last = String::new();
    for _ in 0..30 {
        last = client.say("nonsense").await;
        if last.starts_with("421") {
            break;
        }
    }
    assert!(client.is_at_its_end().await, "{last}");
    assert!(server.room.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bare_line_feed_ends_no_mail_and_begins_none() {
    let server = start(settings()).await;
    for smuggled in ["a\n.\r\nMAIL FROM:<b@b.example>\r\n", "a\r\n.\nb\r\n"] {
        let mut client = Client::to(&server).await;
        client.say("MAIL FROM:<a@b.example>").await;
        client.say("RCPT TO:<known@mx.test>").await;
        client.say("DATA").await;
        client.write(smuggled).await;
        assert_eq!(
            client.reply().await,
            "550 5.6.0 a line ended without CRLF",
            "{smuggled:?}"
        );
        assert!(client.is_at_its_end().await);
    }
    assert!(server.room.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn whoever_is_slow_costs_only_a_while() {
    let mut short = settings();
    short.limits.patience = Duration::from_millis(50);
    short.limits.connections = 1;
    let server = start(short).await;
    let mut slow = Client::to(&server).await;
    // The only place is free again when it is over.
    let mut next = Client::to(&server).await;
    assert!(slow.is_at_its_end().await);
    assert!(next.say("NOOP").await.starts_with("250"));
}

#[tokio::test]
async fn a_session_is_secured_where_there_is_a_certificate_and_what_was_said_before_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["mx.test".to_owned()]).unwrap();
    let files = Certificate {
        cert: folder.path().join("mx.crt"),
        key: folder.path().join("mx.key"),
    };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let server = start(Settings {
        tls: Some(files),
        ..settings()
    })
    .await;

    let mut early = Client::to(&server).await;
    early.write("STARTTLS\r\nMAIL FROM:<a@b.example>\r\n").await;
    assert_eq!(early.reply().await, "", "what came before TLS is no word");

    let mut client = Client::to(&server).await;
    assert!(
        client
            .say("MAIL FROM:<a@b.example>")
            .await
            .starts_with("250")
    );
    assert!(client.say("STARTTLS").await.starts_with("220"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "mx.test".try_into().unwrap();
    let secured = connector
        .connect(name, client.0.into_inner())
        .await
        .unwrap();
    let mut secured = BufReader::new(secured);
    let mut say = async |line: &str| {
        let text = format!("{line}\r\n");
        secured.write_all(text.as_bytes()).await.unwrap();
        let mut reply = String::new();
        secured.read_line(&mut reply).await.unwrap();
        reply
    };
    let forgotten = say("RCPT TO:<known@mx.test>").await;
    assert!(forgotten.starts_with("503"), "{forgotten}");
    assert!(say("STARTTLS").await.starts_with("502"));
    assert!(say("MAIL FROM:<>").await.starts_with("250"));
}
