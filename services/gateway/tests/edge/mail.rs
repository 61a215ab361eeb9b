//! The mail door: what is asked of dispatch, what dispatch is told, and that a mail leads to nothing else.

use proto::v1;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::backend::Call;
use crate::setup::{Gateway, start};

const RETURN: &str = "b1-abc@returns.hotline.example";
const REPLY: &str = "r1-abc@returns.hotline.example";

const BOUNCE: &str = "From: MAILER-DAEMON@mx.host.example\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
--b\r\nContent-Type: text/plain\r\n\r\nhttps://img.amber.example/a/1 could not be told.\r\n\
--b\r\nContent-Type: message/delivery-status\r\n\r\n\
Reporting-MTA: dns; mx.host.example\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n";

/// The replies to a whole mail, each by its code.
async fn send(gateway: &Gateway, from: &str, to: &[&str], mail: &str) -> Vec<String> {
    let mut stream = BufReader::new(TcpStream::connect(gateway.mail).await.unwrap());
    let mut lines = vec![format!("MAIL FROM:<{from}>")];
    lines.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
    lines.push("DATA".to_owned());
    lines.push(format!("{mail}\r\n."));
    let mut replies = Vec::new();
    let mut reply = String::new();
    stream.read_line(&mut reply).await.unwrap();
    for line in lines {
        let text = format!("{line}\r\n");
        stream.get_mut().write_all(text.as_bytes()).await.unwrap();
        reply.clear();
        stream.read_line(&mut reply).await.unwrap();
        replies.push(reply.split(' ').next().unwrap_or_default().to_owned());
        if line == "DATA" && !reply.starts_with("354") {
            break;
        }
    }
    replies
}

/// What dispatch was told.
fn told(gateway: &Gateway) -> Vec<v1::ReceiveMailRequest> {
    let calls = gateway.asked.take().into_iter();
    calls
        .filter_map(|(credential, call)| match call {
            Call::Mail(mail) => {
                assert!(credential.is_none());
                Some(mail)
            }
            Call::Mailbox(_) => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn a_bounce_is_told_by_its_kind_status_and_domain_and_nothing_else() {
    let gateway = start().await;
    let replies = send(&gateway, "", &[RETURN], BOUNCE).await;
    assert_eq!(replies, ["250", "250", "354", "250"]);
    let expected = v1::ReceiveMailRequest {
        address: RETURN.into(),
        kind: v1::MailKind::Bounced.into(),
        from_domain: "mx.host.example".into(),
        status: "5.1.1".into(),
    };
    assert_eq!(told(&gateway), [expected]);
}

#[tokio::test]
async fn a_machines_answer_and_a_persons_are_told_apart() {
    let gateway = start().await;
    let away = "From: abuse@host.example\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.";
    let word = "From: abuse@host.example\r\nSubject: Re: Notice\r\n\r\nhttps://img.amber.example/a/1 is gone.";
    for (sender, to, mail, kind) in [
        ("", RETURN, away, v1::MailKind::Automatic),
        ("abuse@host.example", REPLY, away, v1::MailKind::Automatic),
        ("abuse@host.example", REPLY, word, v1::MailKind::Reply),
    ] {
        let replies = send(&gateway, sender, &[to], mail).await;
        assert_eq!(replies, ["250", "250", "354", "250"]);
        let told = told(&gateway);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].kind, kind as i32);
        assert_eq!(told[0].from_domain, "host.example");
        assert!(!format!("{told:?}").contains("amber"), "no word of it");
    }
}

#[tokio::test]
async fn only_addresses_that_dispatch_made_are_taken() {
    let gateway = start().await;
    let strangers = [
        "abuse@hotline.example",
        "somebody@elsewhere.example",
        "postmaster@returns.hotline.example",
        &format!("b1-{}@returns.hotline.example", "a".repeat(400)),
    ];
    for to in strangers {
        let replies = send(&gateway, "me@host.example", &[to], "Subject: x\r\n\r\nx").await;
        assert_eq!(replies, ["250", "550", "503"], "{to}");
    }
    // Those that are known beside it get theirs.
    let replies = send(&gateway, "", &[strangers[0], RETURN], BOUNCE).await;
    assert_eq!(replies, ["250", "550", "250", "354", "250"]);
    assert_eq!(told(&gateway).len(), 1);
}

#[tokio::test]
async fn whoever_has_seen_only_where_to_answer_cannot_say_that_it_never_arrived() {
    let gateway = start().await;
    let replies = send(&gateway, "", &[REPLY], BOUNCE).await;
    assert_eq!(replies, ["250", "250", "354", "550"]);
    assert!(told(&gateway).is_empty());
}

#[tokio::test]
async fn what_cannot_be_told_now_stays_with_whoever_sends_it() {
    let gateway = start().await;
    let down = send(&gateway, "", &["down@returns.hotline.example"], BOUNCE).await;
    assert_eq!(down, ["250", "451", "503"]);
    let busy = send(&gateway, "", &["b1-busy@returns.hotline.example"], BOUNCE).await;
    assert_eq!(busy, ["250", "250", "354", "451"]);
}
