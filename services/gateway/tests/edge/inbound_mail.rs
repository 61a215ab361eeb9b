//! Inbound mail: the calls to dispatch, and that nothing else of a mail is forwarded.

use proto::v1;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::backend::RecordedCall;
use crate::setup::{TestGateway, start};

const RETURN: &str = "b1-abc@returns.hotline.example";
const REPLY: &str = "r1-abc@returns.hotline.example";

const BOUNCE: &str = "From: MAILER-DAEMON@mx.host.example\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
--b\r\nContent-Type: text/plain\r\n\r\nhttps://img.amber.example/a/1 could not be delivered.\r\n\
--b\r\nContent-Type: message/delivery-status\r\n\r\n\
Reporting-MTA: dns; mx.host.example\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n";

/// Sends a mail; returns the codes of the SMTP replies.
async fn send(gateway: &TestGateway, from: &str, to: &[&str], mail: &str) -> Vec<String> {
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

/// The mails that were forwarded to dispatch.
fn forwarded(gateway: &TestGateway) -> Vec<v1::ReceiveMailRequest> {
    let calls = gateway.backend.take().into_iter();
    calls
        .filter_map(|(credential, call)| match call {
            RecordedCall::Mail(mail) => {
                assert!(credential.is_none());
                Some(mail)
            }
            RecordedCall::Mailbox(_) => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn only_kind_status_and_domain_of_a_bounce_are_forwarded() {
    let gateway = start().await;
    let replies = send(&gateway, "", &[RETURN], BOUNCE).await;
    assert_eq!(replies, ["250", "250", "354", "250"]);
    let expected = v1::ReceiveMailRequest {
        address: RETURN.into(),
        kind: v1::MailKind::Bounced.into(),
        from_domain: "mx.host.example".into(),
        status: "5.1.1".into(),
    };
    assert_eq!(forwarded(&gateway), [expected]);
}

#[tokio::test]
async fn an_automatic_reply_and_a_persons_reply_are_distinguished() {
    let gateway = start().await;
    let away = "From: abuse@host.example\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.";
    let reply = "From: abuse@host.example\r\nSubject: Re: Notice\r\n\r\nhttps://img.amber.example/a/1 is offline.";
    for (sender, to, mail, kind) in [
        ("", RETURN, away, v1::MailKind::Automatic),
        ("abuse@host.example", REPLY, away, v1::MailKind::Automatic),
        ("abuse@host.example", REPLY, reply, v1::MailKind::Reply),
    ] {
        let replies = send(&gateway, sender, &[to], mail).await;
        assert_eq!(replies, ["250", "250", "354", "250"]);
        let mails = forwarded(&gateway);
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].kind, kind as i32);
        assert_eq!(mails[0].from_domain, "host.example");
        assert!(!format!("{mails:?}").contains("amber"));
    }
}

#[tokio::test]
async fn only_addresses_that_dispatch_created_are_accepted() {
    let gateway = start().await;
    let unknown = [
        "abuse@hotline.example",
        "someone@elsewhere.example",
        "postmaster@returns.hotline.example",
        &format!("b1-{}@returns.hotline.example", "a".repeat(400)),
    ];
    for to in unknown {
        let replies = send(&gateway, "me@host.example", &[to], "Subject: x\r\n\r\nx").await;
        assert_eq!(replies, ["250", "550", "503"], "{to}");
    }
    // A known recipient of the same mail is still accepted.
    let replies = send(&gateway, "", &[unknown[0], RETURN], BOUNCE).await;
    assert_eq!(replies, ["250", "550", "250", "354", "250"]);
    assert_eq!(forwarded(&gateway).len(), 1);
}

#[tokio::test]
async fn a_delivery_report_to_a_reply_address_is_refused() {
    let gateway = start().await;
    let replies = send(&gateway, "", &[REPLY], BOUNCE).await;
    assert_eq!(replies, ["250", "250", "354", "550"]);
    assert!(forwarded(&gateway).is_empty());
}

#[tokio::test]
async fn a_mail_that_cannot_be_forwarded_now_is_deferred() {
    let gateway = start().await;
    let down = send(&gateway, "", &["down@returns.hotline.example"], BOUNCE).await;
    assert_eq!(down, ["250", "451", "503"]);
    let busy = send(&gateway, "", &["b1-busy@returns.hotline.example"], BOUNCE).await;
    assert_eq!(busy, ["250", "250", "354", "451"]);
}
