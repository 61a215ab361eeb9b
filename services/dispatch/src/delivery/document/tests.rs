//! The signed notice: its format, its verification, and the JSON that the addressee receives.

use domain::enums::{Category, ContentStatus, DeliveryChannel, Media, NoticeState, Rung};
use domain::id::{CaseId, NoticeId};
use domain::url::CanonicalUrl;
use platform::sealed::{Keyring, SealedError, SigningContext, commitment};
use serde_json::Value;
use time::macros::datetime;
use uuid::Uuid;

use super::*;
use crate::cases::Message;

pub(crate) fn keyring() -> Keyring {
    let folder = tempfile::tempdir().unwrap();
    Keyring::create(&folder.path().join("keyring")).unwrap()
}

pub(crate) fn content() -> NoticeContent {
    let notice_id = NoticeId::new(Uuid::from_u128(7));
    NoticeContent {
        notice_id,
        case_id: CaseId::new(Uuid::from_u128(8)),
        provider_id: "amber-host".parse().unwrap(),
        episode: 1,
        step: 2,
        sequence: 3,
        rung: Rung::Remind,
        state: NoticeState::Delivered,
        escalated_to: None,
        content_status: ContentStatus::Online,
        channel: DeliveryChannel::Webhook,
        message: Message::Information,
        text: Some("Look at the second image.".into()),
        category: Category::A,
        media: Some(Media::Image),
        url: CanonicalUrl::from_stored("https://images.host.example/a").unwrap(),
        salt: [9; 32],
        regime: "uk-osa".into(),
        opened_at: datetime!(2025-03-01 10:00 UTC),
        verified_at: datetime!(2025-03-01 09:00 UTC),
        due_at: datetime!(2025-03-02 10:00 UTC),
        first_notice_id: notice_id,
        proof: proto::v1::ApprovalProof::default(),
        traceparent: None,
        answer: None,
        is_delivered: false,
    }
}

fn sign(keyring: &Keyring, content: &NoticeContent) -> SignedNotice {
    sign_notice(
        content,
        &IssueDetails {
            at: datetime!(2025-03-01 12:00 UTC),
            legal_basis: "Online Safety Act 2023, section 10",
            hotline: &Hotline::default(),
            checkpoint: Some("log\n1\nroot\n"),
            signer: &keyring.signer(SigningContext::Notice),
        },
    )
}

#[test]
fn the_signed_format_is_fixed_and_contains_no_url() {
    let keyring = keyring();
    let signed = sign(&keyring, &content());
    let text = std::str::from_utf8(&signed.bytes).unwrap();
    let commitment = hex::encode(commitment(&[9; 32], "https://images.host.example/a"));
    let expected = format!(
        concat!(
            r#"{{"format":1,"notice_id":"00000000-0000-0000-0000-000000000007","sequence":3,"message":"information","#,
            r#""provider_id":"amber-host","episode":1,"step":2,"commitment":"{}","category":"A","#,
            r#""legal_basis":"Online Safety Act 2023, section 10","issued":"2025-03-01T12:00:00Z","#,
            r#""due":"2025-03-02T10:00:00Z","expires":"2025-05-30T12:00:00Z","hotline":"Synthetic Hotline","#,
            r#""key_id":"{}","checkpoint":"log\n1\nroot\n"}}"#,
        ),
        commitment, signed.key_id
    );
    assert_eq!(text, expected);
}

#[test]
fn only_unaltered_notices_signed_with_a_notice_key_verify() {
    let keyring = keyring();
    let keys = keyring.verifier(SigningContext::Notice);
    let signed = sign(&keyring, &content());
    let statement = verify(&signed.bytes, &signed.signature, &keys).unwrap();
    assert_eq!(
        (statement.sequence, statement.provider_id.as_str()),
        (3, "amber-host")
    );

    let altered = String::from_utf8(signed.bytes.clone()).unwrap();
    let altered = altered.replace("\"sequence\":3", "\"sequence\":4");
    let refused = verify(altered.as_bytes(), &signed.signature, &keys);
    assert_eq!(refused, Err(SealedError::Refused));

    // Neither a key of another context nor one of another installation is a notice key.
    let proof_keys = keyring.verifier(SigningContext::Proof);
    assert!(verify(&signed.bytes, &signed.signature, &proof_keys).is_err());
    let others = super::tests::keyring().verifier(SigningContext::Notice);
    assert!(verify(&signed.bytes, &signed.signature, &others).is_err());
    assert_eq!(
        verify(b"{}", &signed.signature, &keys),
        Err(SealedError::Malformed)
    );
}

#[test]
fn the_addressee_receives_url_and_salt_of_the_commitment() {
    let keyring = keyring();
    let content = content();
    let notice = notice_json(&content, &sign(&keyring, &content));
    assert_eq!(notice["url"], "https://images.host.example/a");
    assert_eq!(notice["message"], "information");
    assert_eq!(notice["media"], Value::from("image"));
    assert!(notice["salt"].is_string() && notice["signature"].is_string());
}
