//! The mail of a notice: parts, header fields, threading, and protection against header injection.

use mail_parser::{MessageParser, MimeHeaders as _};
use serde_json::json;
use time::macros::datetime;

use super::*;
use crate::cases::Message;
use crate::delivery::channels::xarf;
use crate::delivery::document::tests::{content, keyring};
use crate::delivery::document::{IssueDetails, sign_notice};
use platform::sealed::SigningContext;

struct ComposedMail {
    content: NoticeContent,
    envelope: lettre::address::Envelope,
    bytes: Vec<u8>,
    keyring: Arc<Keyring>,
}

const RETURNS: &str = "returns.hotline.example";

fn resolved_host() -> HostLookup {
    HostLookup {
        addresses: vec!["203.0.113.9".parse().unwrap()],
        at: datetime!(2025-03-01 11:59:58 UTC),
    }
}

fn compose(content: NoticeContent, host_lookup: &HostLookup, attempt: i32) -> ComposedMail {
    let keyring = Arc::new(keyring());
    let hotline = Hotline::default();
    let signed = signed(&content, &keyring);
    let settings = MailSettings {
        return_domain: Some(RETURNS.into()),
        ..MailSettings::default()
    };
    let sender = MailSender::new(&settings, &hotline, &keyring, Duration::from_secs(1)).unwrap();
    let mail = OutgoingMail {
        content: &content,
        signed: &signed,
        link: "https://hotline.example/n/token",
        host_lookup,
        attempt,
    };
    let message = sender
        .compose("abuse@host.example".parse().unwrap(), &mail)
        .unwrap();
    ComposedMail {
        envelope: message.envelope().clone(),
        bytes: message.formatted(),
        content,
        keyring,
    }
}

fn signed(content: &NoticeContent, keyring: &Keyring) -> SignedNotice {
    let issue = IssueDetails {
        at: datetime!(2025-03-01 12:00 UTC),
        legal_basis: "Online Safety Act 2023, section 10",
        hotline: &Hotline::default(),
        checkpoint: None,
        signer: &keyring.signer(SigningContext::Notice),
    };
    sign_notice(content, &issue)
}

fn content_of(message: Message) -> NoticeContent {
    NoticeContent {
        message,
        ..content()
    }
}

/// Media types of all parts, each multipart before its parts.
fn media_types(mail: &[u8]) -> Vec<String> {
    let mail = MessageParser::default().parse(mail).unwrap();
    let kinds = mail.parts.iter().map(|part| {
        let kind = part.content_type().unwrap();
        format!("{}/{}", kind.ctype(), kind.subtype().unwrap())
    });
    kinds.collect()
}

#[tokio::test]
async fn subject_and_text_name_the_kind_of_message() {
    for (message, subject, phrase) in [
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
        (Message::Upheld, "upheld", "reviewed this notice"),
        (Message::Retraction, "withdrawn", "No action is needed"),
    ] {
        let compose = compose(content_of(message), &resolved_host(), 1);
        let mail = MessageParser::default().parse(&compose.bytes).unwrap();
        assert!(mail.subject().unwrap().contains(subject), "{message}");
        let text = mail.body_text(0).unwrap();
        assert!(text.contains(phrase), "{message}: {text}");
        assert!(text.contains(compose.content.url.reveal()), "{message}");
        assert!(
            text.contains("https://hotline.example/n/token"),
            "{message}"
        );
        let media_types = media_types(&compose.bytes);
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
        assert_eq!(media_types, expected, "{message}");
    }
}

#[tokio::test]
async fn the_first_lines_name_material_url_host_law_deadline_and_link() {
    let compose = compose(content_of(Message::Notice), &resolved_host(), 1);
    let mail = MessageParser::default().parse(&compose.bytes).unwrap();
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
    let failed = HostLookup {
        addresses: Vec::new(),
        ..resolved_host()
    };
    let unresolved = self::compose(content_of(Message::Notice), &failed, 1);
    let mail = MessageParser::default().parse(&unresolved.bytes).unwrap();
    let text = mail.body_text(0).unwrap();
    assert!(text.contains("could not be looked up at 2025-03-01T11:59:58Z"));
}

#[tokio::test]
async fn the_mail_has_an_arf_part_and_an_xarf_part() {
    let compose = compose(content_of(Message::Notice), &resolved_host(), 1);
    let mail = MessageParser::default().parse(&compose.bytes).unwrap();
    let report = mail.parts[1].content_type().unwrap();
    assert_eq!(report.attribute("report-type"), Some("feedback-report"));
    let arf = &mail.parts[3];
    assert_eq!(
        std::str::from_utf8(arf.contents()).unwrap().trim_end(),
        "Feedback-Type: other\r\nUser-Agent: takedown/0.1.0\r\nVersion: 1\r\nSource-IP: 203.0.113.9\r\n\
         Reported-Domain: images.host.example\r\nReported-URI: https://images.host.example/a"
    );
    assert!(arf.content_transfer_encoding().is_none_or(|e| e == "7bit"));
    for (part, name, member) in [
        (4, "xarf.json", "xarf_version"),
        (5, "notice.json", "notice"),
    ] {
        let part = &mail.parts[part];
        assert_eq!(part.attachment_name(), Some(name));
        let json: serde_json::Value = serde_json::from_slice(part.contents()).unwrap();
        assert!(!json[member].is_null(), "{name}");
    }
    for line in compose.bytes.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 999 && line.is_ascii());
    }
}

#[tokio::test]
async fn a_url_too_long_for_a_header_line_is_only_in_the_text_and_the_xarf_part() {
    let long = format!("https://images.host.example/{}", "a".repeat(1200));
    let content = NoticeContent {
        url: domain::url::CanonicalUrl::from_stored(&long).unwrap(),
        ..content_of(Message::Notice)
    };
    let compose = compose(content, &resolved_host(), 1);
    let mail = MessageParser::default().parse(&compose.bytes).unwrap();
    let arf = std::str::from_utf8(mail.parts[3].contents()).unwrap();
    assert!(!arf.contains("Reported-URI") && arf.contains("Reported-Domain"));
    assert!(mail.body_text(0).unwrap().contains(&long));
    let xarf: serde_json::Value = serde_json::from_slice(mail.parts[4].contents()).unwrap();
    assert_eq!(xarf["url"], long.as_str());
    assert!(
        compose
            .bytes
            .split(|byte| *byte == b'\n')
            .all(|line| line.len() <= 999)
    );
}

#[tokio::test]
async fn envelope_sender_and_reply_to_are_return_addresses_of_this_attempt() {
    let compose = compose(content_of(Message::Notice), &resolved_host(), 2);
    let expected = |mailbox| {
        let sent = SentMessage {
            notice_id: compose.content.notice_id,
            sequence: 3,
            attempt: 2,
        };
        let provider = &compose.content.provider_id;
        let local = return_address::local_part(&compose.keyring, mailbox, &sent, provider);
        format!("{local}@{RETURNS}")
    };
    let from = compose.envelope.from().unwrap().to_string();
    assert_eq!(from, expected(return_address::AddressKind::Return));
    let mail = MessageParser::default().parse(&compose.bytes).unwrap();
    let reply_to: Vec<String> = mail
        .reply_to()
        .unwrap()
        .iter()
        .map(|to| to.address().unwrap().to_owned())
        .collect();
    assert_eq!(
        reply_to,
        [
            "notices@hotline.example".to_owned(),
            expected(return_address::AddressKind::Reply)
        ]
    );
    assert_eq!(
        mail.header_raw("Auto-Submitted").unwrap().trim(),
        "auto-generated"
    );
}

#[tokio::test]
async fn all_messages_to_one_addressee_about_one_case_form_a_thread() {
    let first = content().notice_id;
    let ids = |notice: u128, sequence, message| {
        let content = NoticeContent {
            notice_id: domain::id::NoticeId::new(uuid::Uuid::from_u128(notice)),
            first_notice_id: first,
            sequence,
            message,
            ..content()
        };
        let bytes = compose(content, &resolved_host(), 1).bytes;
        let mail = MessageParser::default().parse(&bytes).unwrap();
        let id = mail.message_id().unwrap().to_owned();
        let parent = mail.in_reply_to().as_text().map(str::to_owned);
        assert_eq!(parent.as_deref(), mail.references().as_text());
        assert!(mail.subject().unwrap().contains(&first.to_string()[..8]));
        (id, parent)
    };
    let root = format!("{first}.1@hotline.example");
    let own = first.uuid().as_u128();
    assert_eq!(ids(own, 1, Message::Notice), (root.clone(), None));
    // Sent again, the message keeps its id.
    assert_eq!(ids(own, 1, Message::Notice).0, root);
    let retracted = ids(own, 2, Message::Retraction);
    assert_eq!(
        retracted,
        (format!("{first}.2@hotline.example"), Some(root.clone()))
    );
    let reminder = ids(99, 1, Message::Reminder);
    assert_ne!(reminder.0, root);
    assert_eq!(reminder.1, Some(root));
}

#[tokio::test]
async fn a_line_break_in_a_setting_or_mailbox_is_refused() {
    let accepted = |name: &str, domain: &str| {
        let hotline = Hotline {
            name: name.into(),
            domain: domain.into(),
            ..Hotline::default()
        };
        let keyring = Arc::new(keyring());
        let settings = MailSettings::default();
        MailSender::new(&settings, &hotline, &keyring, Duration::from_secs(1)).is_ok()
    };
    assert!(accepted("A hotline", "hotline.example"));
    assert!(!accepted(
        "A hotline\r\nBcc: everybody@host.example",
        "hotline.example"
    ));
    assert!(!accepted(
        "A hotline",
        "hotline.example>\r\nBcc: everybody@host.example"
    ));
    let mailbox = "abuse@host.example\r\nBcc: everybody@host.example";
    assert!(mailbox.parse::<lettre::Address>().is_err());
}

#[test]
fn the_xarf_report_follows_the_published_schema() {
    let keyring = keyring();
    let hotline = Hotline::default();
    let content = content();
    let signed = signed(&content, &keyring);
    let contact = json!({
        "org": "Synthetic Hotline", "contact": "notices@hotline.example", "domain": "hotline.example",
    });
    // This report validates against the schemas of XARF 4.2.0 (`content-csam`, `content-base`, `xarf-core`).
    let expected = json!({
        "xarf_version": "4.2.0",
        "report_id": "00000000-0000-0000-0000-000000000007",
        "timestamp": "2025-03-01T12:00:00Z",
        "reporter": contact,
        "sender": contact,
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
        xarf::report(&content, &signed, &hotline, &resolved_host()),
        expected
    );
    let failed = HostLookup {
        addresses: Vec::new(),
        ..resolved_host()
    };
    let report = xarf::report(&content, &signed, &hotline, &failed);
    assert_eq!(report["source_identifier"], "images.host.example");
}
