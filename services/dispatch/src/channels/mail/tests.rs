//! The mail of a notice: its parts, its threading, and what a name in it cannot do.

use mail_parser::{MessageParser, MimeHeaders as _};
use serde_json::json;
use time::macros::datetime;

use super::*;
use crate::channels::xarf;
use crate::document::tests::{content, keyring};
use crate::document::{Issue, build};
use crate::lifecycle::Message;
use platform::sealed::SigningContext;

struct Written {
    content: Content,
    envelope: lettre::address::Envelope,
    bytes: Vec<u8>,
    keyring: Arc<Keyring>,
}

const RETURNS: &str = "returns.hotline.example";

fn place() -> Place {
    Place {
        addresses: vec!["203.0.113.9".parse().unwrap()],
        at: datetime!(2025-03-01 11:59:58 UTC),
    }
}

fn written(content: Content, place: &Place, attempt: i32) -> Written {
    let keyring = Arc::new(keyring());
    let hotline = Hotline::default();
    let signed = signed(&content, &keyring);
    let settings = MailSettings {
        return_domain: Some(RETURNS.into()),
        ..MailSettings::default()
    };
    let mail = Mail::new(&settings, &hotline, &keyring, Duration::from_secs(1)).unwrap();
    let parcel = Parcel {
        content: &content,
        signed: &signed,
        link: "https://hotline.example/n/token",
        place,
        attempt,
    };
    let letter = mail
        .letter("abuse@host.example".parse().unwrap(), &parcel)
        .unwrap();
    Written {
        envelope: letter.envelope().clone(),
        bytes: letter.formatted(),
        content,
        keyring,
    }
}

fn signed(content: &Content, keyring: &Keyring) -> Signed {
    let issue = Issue {
        at: datetime!(2025-03-01 12:00 UTC),
        legal_basis: "Online Safety Act 2023, section 10",
        hotline: &Hotline::default(),
        checkpoint: None,
        signer: &keyring.signer(SigningContext::Notice),
    };
    build(content, &issue)
}

fn about(message: Message) -> Content {
    Content {
        message,
        ..content()
    }
}

/// Media types of all parts, from the outside in, each multipart before what is in it.
fn shape(mail: &[u8]) -> Vec<String> {
    let mail = MessageParser::default().parse(mail).unwrap();
    let kinds = mail.parts.iter().map(|part| {
        let kind = part.content_type().unwrap();
        format!("{}/{}", kind.ctype(), kind.subtype().unwrap())
    });
    kinds.collect()
}

#[tokio::test]
async fn every_message_says_what_it_is() {
    for (message, subject, words) in [
        (
            Message::Notice,
            "remove illegal material",
            "Please remove it",
        ),
        (Message::Reminder, "Reminder", "Please remove it"),
        (
            Message::Information,
            "the information you asked for",
            "Look at the second image.",
        ),
        (Message::Upheld, "it stands", "looked at this notice again"),
        (Message::Retraction, "withdrawn", "You need not do anything"),
    ] {
        let written = written(about(message), &place(), 1);
        let mail = MessageParser::default().parse(&written.bytes).unwrap();
        assert!(mail.subject().unwrap().contains(subject), "{message}");
        let text = mail.body_text(0).unwrap();
        assert!(text.contains(words), "{message}: {text}");
        assert!(text.contains(written.content.url.reveal()), "{message}");
        assert!(
            text.contains("https://hotline.example/n/token"),
            "{message}"
        );
        let shape = shape(&written.bytes);
        let expected: &[&str] = if matches!(message, Message::Notice | Message::Reminder) {
            &[
                "multipart/mixed",
                "multipart/report",
                "text/plain",
                "message/feedback-report",
                "application/json",
                "application/json",
            ]
        } else {
            &["multipart/mixed", "text/plain", "application/json"]
        };
        assert_eq!(shape, expected, "{message}");
    }
}

#[tokio::test]
async fn the_first_lines_say_what_where_by_which_law_until_when_and_how_to_answer() {
    let written = written(about(Message::Notice), &place(), 1);
    let mail = MessageParser::default().parse(&written.bytes).unwrap();
    let text = mail.body_text(0).unwrap();
    let first: Vec<&str> = text.lines().take(6).collect();
    assert_eq!(
        first,
        [
            "What:    child sexual abuse material, category A as graded in the United Kingdom",
            "Where:   https://images.host.example/a",
            "Host:    images.host.example, at 203.0.113.9 when looked up at 2025-03-01T11:59:58Z",
            "Law:     Online Safety Act 2023, section 10",
            "Until:   2025-03-02T10:00:00Z",
            "Answer:  https://hotline.example/n/token",
        ]
    );
    let nowhere = Place {
        addresses: Vec::new(),
        ..place()
    };
    let lost = self::written(about(Message::Notice), &nowhere, 1);
    let mail = MessageParser::default().parse(&lost.bytes).unwrap();
    let text = mail.body_text(0).unwrap();
    assert!(text.contains("could not be looked up at 2025-03-01T11:59:58Z"));
}

#[tokio::test]
async fn machines_that_know_arf_or_xarf_each_find_their_part() {
    let written = written(about(Message::Notice), &place(), 1);
    let mail = MessageParser::default().parse(&written.bytes).unwrap();
    let report = mail.parts[1].content_type().unwrap();
    assert_eq!(report.attribute("report-type"), Some("feedback-report"));
    let arf = &mail.parts[3];
    assert_eq!(
        std::str::from_utf8(arf.contents()).unwrap().trim_end(),
        "Feedback-Type: other\r\nUser-Agent: takedown/0.1.0\r\nVersion: 1\r\nSource-IP: 203.0.113.9\r\n\
         Reported-Domain: images.host.example\r\nReported-URI: https://images.host.example/a"
    );
    assert!(arf.content_transfer_encoding().is_none_or(|e| e == "7bit"));
    for (part, name, holds) in [
        (4, "xarf.json", "xarf_version"),
        (5, "notice.json", "notice"),
    ] {
        let part = &mail.parts[part];
        assert_eq!(part.attachment_name(), Some(name));
        let json: serde_json::Value = serde_json::from_slice(part.contents()).unwrap();
        assert!(!json[holds].is_null(), "{name}");
    }
    for line in written.bytes.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 999 && line.is_ascii());
    }
}

#[tokio::test]
async fn a_place_too_long_for_a_line_is_left_to_the_part_that_can_hold_it() {
    let long = format!("https://images.host.example/{}", "a".repeat(1200));
    let content = Content {
        url: domain::url::CanonicalUrl::from_stored(&long).unwrap(),
        ..about(Message::Notice)
    };
    let written = written(content, &place(), 1);
    let mail = MessageParser::default().parse(&written.bytes).unwrap();
    let arf = std::str::from_utf8(mail.parts[3].contents()).unwrap();
    assert!(!arf.contains("Reported-URI") && arf.contains("Reported-Domain"));
    assert!(mail.body_text(0).unwrap().contains(&long));
    let xarf: serde_json::Value = serde_json::from_slice(mail.parts[4].contents()).unwrap();
    assert_eq!(xarf["url"], long.as_str());
    assert!(
        written
            .bytes
            .split(|byte| *byte == b'\n')
            .all(|line| line.len() <= 999)
    );
}

#[tokio::test]
async fn a_mail_comes_back_to_an_address_of_this_attempt_and_is_answered_to_two() {
    let written = written(about(Message::Notice), &place(), 2);
    let expected = |mailbox| {
        let sent = Sent {
            notice_id: written.content.notice_id,
            sequence: 3,
            attempt: 2,
        };
        let provider = &written.content.provider_id;
        let local = mailbox::local_part(&written.keyring, mailbox, &sent, provider);
        format!("{local}@{RETURNS}")
    };
    let from = written.envelope.from().unwrap().to_string();
    assert_eq!(from, expected(mailbox::Mailbox::Return));
    let mail = MessageParser::default().parse(&written.bytes).unwrap();
    let answered: Vec<String> = mail
        .reply_to()
        .unwrap()
        .iter()
        .map(|to| to.address().unwrap().to_owned())
        .collect();
    assert_eq!(
        answered,
        [
            "notices@hotline.example".to_owned(),
            expected(mailbox::Mailbox::Reply)
        ]
    );
    assert_eq!(
        mail.header_raw("Auto-Submitted").unwrap().trim(),
        "auto-generated"
    );
}

#[tokio::test]
async fn all_that_one_addressee_is_told_of_one_case_is_one_thread() {
    let first = content().notice_id;
    let one = |notice: u128, sequence, message| {
        let content = Content {
            notice_id: domain::id::NoticeId::new(uuid::Uuid::from_u128(notice)),
            first_notice_id: first,
            sequence,
            message,
            ..content()
        };
        let bytes = written(content, &place(), 1).bytes;
        let mail = MessageParser::default().parse(&bytes).unwrap();
        let id = mail.message_id().unwrap().to_owned();
        let of = mail.in_reply_to().as_text().map(str::to_owned);
        assert_eq!(of.as_deref(), mail.references().as_text());
        assert!(mail.subject().unwrap().contains(&first.to_string()[..8]));
        (id, of)
    };
    let root = format!("{first}.1@hotline.example");
    let own = first.uuid().as_u128();
    assert_eq!(one(own, 1, Message::Notice), (root.clone(), None));
    // The same message again is the same.
    assert_eq!(one(own, 1, Message::Notice).0, root);
    let retracted = one(own, 2, Message::Retraction);
    assert_eq!(
        retracted,
        (format!("{first}.2@hotline.example"), Some(root.clone()))
    );
    let reminder = one(99, 1, Message::Reminder);
    assert_ne!(reminder.0, root);
    assert_eq!(reminder.1, Some(root));
}

#[tokio::test]
async fn nothing_with_line_breaks_gets_into_a_header() {
    let opens = |name: &str, domain: &str| {
        let hotline = Hotline {
            name: name.into(),
            domain: domain.into(),
            ..Hotline::default()
        };
        let keyring = Arc::new(keyring());
        let settings = MailSettings::default();
        Mail::new(&settings, &hotline, &keyring, Duration::from_secs(1)).is_ok()
    };
    assert!(opens("A hotline", "hotline.example"));
    assert!(!opens(
        "A hotline\r\nBcc: everybody@host.example",
        "hotline.example"
    ));
    assert!(!opens(
        "A hotline",
        "hotline.example>\r\nBcc: everybody@host.example"
    ));
    let mailbox = "abuse@host.example\r\nBcc: everybody@host.example";
    assert!(mailbox.parse::<lettre::Address>().is_err());
}

#[test]
fn the_report_is_of_the_published_form() {
    let keyring = keyring();
    let hotline = Hotline::default();
    let content = content();
    let signed = signed(&content, &keyring);
    let who = json!({
        "org": "Synthetic Hotline", "contact": "notices@hotline.example", "domain": "hotline.example",
    });
    // These very bytes hold against the schemas of XARF 4.2.0 (`content-csam`, `content-base`, `xarf-core`).
    let expected = json!({
        "xarf_version": "4.2.0",
        "report_id": "00000000-0000-0000-0000-000000000007",
        "timestamp": "2025-03-01T12:00:00Z",
        "reporter": who,
        "sender": who,
        "source_identifier": "203.0.113.9",
        "category": "content",
        "type": "csam",
        "evidence_source": "user_report",
        "url": "https://images.host.example/a",
        "domain": "images.host.example",
        "classification": "baseline",
        "detection_method": "manual_review",
        "content_removed": false,
        "description": "Online Safety Act 2023, section 10. Removal is due by 2025-03-02T10:00:00Z.",
        "tags": ["category:a"],
        "media_type": "image",
    });
    assert_eq!(
        xarf::report(&content, &signed, &hotline, &place()),
        expected
    );
    let nowhere = Place {
        addresses: Vec::new(),
        ..place()
    };
    let report = xarf::report(&content, &signed, &hotline, &nowhere);
    assert_eq!(report["source_identifier"], "images.host.example");
}
