//! The mail of a notice: its parts, its threading, and what a name in it cannot do.

use time::macros::datetime;

use super::*;
use crate::channels::xarf;
use crate::document::tests::{content, keyring};
use crate::document::{Issue, build};
use platform::sealed::SigningContext;

fn letter(message: Message) -> (Content, String) {
    let keyring = keyring();
    let hotline = Hotline::default();
    let content = Content {
        message,
        ..content()
    };
    let signed = build(
        &content,
        &Issue {
            at: datetime!(2025-03-01 12:00 UTC),
            legal_basis: "Online Safety Act 2023, section 10",
            hotline: &hotline,
            checkpoint: None,
            signer: &keyring.signer(SigningContext::Notice),
        },
    );
    let mail = Mail::new(&MailSettings::default(), &hotline, Duration::from_secs(1)).unwrap();
    let to = Mailbox::new(None, "abuse@host.example".parse().unwrap());
    let letter = mail
        .letter(to, &content, &signed, "https://hotline.example/n/token")
        .unwrap();
    (content, String::from_utf8(letter.formatted()).unwrap())
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
        let (content, letter) = letter(message);
        let letter = letter.replace("=\r\n", "");
        assert!(letter.contains(subject), "{message}: {letter}");
        assert!(letter.contains(words), "{message}: {letter}");
        assert!(letter.contains(content.url.reveal()), "{message}");
        let machine = matches!(message, Message::Notice | Message::Reminder);
        assert_eq!(letter.contains("xarf_version"), machine, "{message}");
    }
}

#[tokio::test]
async fn nothing_with_line_breaks_gets_into_a_header() {
    let opens = |name: &str, domain: &str| {
        let hotline = Hotline {
            name: name.into(),
            domain: domain.into(),
            ..Hotline::default()
        };
        Mail::new(&MailSettings::default(), &hotline, Duration::from_secs(1)).is_ok()
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
    let signed = build(
        &content,
        &Issue {
            at: datetime!(2025-03-01 12:00 UTC),
            legal_basis: "Online Safety Act 2023, section 10",
            hotline: &hotline,
            checkpoint: None,
            signer: &keyring.signer(SigningContext::Notice),
        },
    );
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
        "source_identifier": "images.host.example",
        "category": "content",
        "type": "csam",
        "evidence_source": "user_report",
        "url": "https://images.host.example/a",
        "classification": "baseline",
        "detection_method": "manual_review",
        "content_removed": false,
        "description": "Online Safety Act 2023, section 10. Removal is due by 2025-03-02T10:00:00Z.",
        "tags": ["category:a"],
        "media_type": "image",
    });
    assert_eq!(xarf::report(&content, &signed, &hotline), expected);
}
