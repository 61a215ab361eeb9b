//! No log line shows a sensitive field by accident: every `string` and `bytes` field is redacted in `Debug` or
//! listed here as harmless.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, Value};
use proto::v1;

/// Fields that `Debug` may show, in every message: ids, codes, words of a closed vocabulary, positions in a
/// list, public keys, public proofs, and facts about organisations that the directory publishes.
const SHOWN_EVERYWHERE: [&str; 62] = [
    "after_event_id",
    "approved_by",
    "approvers",
    "audience",
    "audit_path",
    "basis",
    "case_id",
    "caused_by",
    "cidrs",
    "claimed_by",
    "clock",
    "code",
    "consumer",
    "country",
    "decision_id",
    "delivery_id",
    "domains",
    "endpoint_id",
    "event_id",
    "first_by",
    "from_provider_id",
    "head_event_id",
    "imported_by",
    "key_id",
    "last_failure",
    "leaf_hash",
    "legal_basis",
    "list",
    "message_id",
    "named_provider_id",
    "next_notice_id",
    "next_page_token",
    "next_provider_id",
    "notice_id",
    "notice_ids",
    "outcome",
    "page_token",
    "partner_id",
    "police_hold_id",
    "policy_version",
    "producer",
    "proposed_by",
    "provider_id",
    "public_key",
    "registrar",
    "report_id",
    "reporter_country",
    "reveal_id",
    "review_id",
    "rule_id",
    "sealed_content_report_id",
    "second_by",
    "stage",
    "subject",
    "submitted_by",
    "to_provider_id",
    "traceparent",
    "type",
    "upstream",
    "webhook_endpoint_id",
    "webhook_public_key",
    "withdrawn_by",
];

/// Fields that `Debug` may show in these messages only, because another message uses the name for something
/// sensitive or could do so: names of metrics, fixed phrases.
const SHOWN_IN_MESSAGE: [&str; 19] = [
    "AgreementCount.kind",
    "Checkpoint.note",
    "Checkpoint.root",
    "Disagreement.first",
    "Disagreement.kind",
    "Disagreement.second",
    "GaugeReading.label",
    "GaugeReading.name",
    "GetConsistencyProofResponse.proof",
    "ItemProblem.detail",
    "ItemProblem.field",
    "LogEvent.kind",
    "MailReceived.status",
    "NoticeBounced.reason",
    "ParkedEvent.kind",
    "ParkedEvent.reason",
    "Provider.origin",
    "ReceiveMailRequest.status",
    "TimelineEntry.summary",
];

fn published() -> DescriptorPool {
    DescriptorPool::decode(proto::DESCRIPTORS).unwrap()
}

fn is_redacted(field: &FieldDescriptor) -> bool {
    let options = field.options();
    let option = options.get_field_by_name("debug_redact");
    option.as_deref().and_then(Value::as_bool) == Some(true)
}

#[test]
fn every_text_is_redacted_or_listed_as_harmless() {
    let everywhere = BTreeSet::from(SHOWN_EVERYWHERE.map(str::to_owned));
    let in_message = BTreeSet::from(SHOWN_IN_MESSAGE.map(str::to_owned));
    let (mut unlisted, mut used, mut contradictory) = (Vec::new(), BTreeSet::new(), Vec::new());
    let pool = published();
    let messages = pool.all_messages();
    let fields = messages
        .filter(|message| message.package_name() == "takedown.v1")
        .flat_map(|message| message.fields().collect::<Vec<_>>())
        .filter(|field| matches!(field.kind(), Kind::String | Kind::Bytes));
    for field in fields {
        let name = field.name().to_owned();
        let path = format!("{}.{name}", field.parent_message().name());
        let listed = everywhere.contains(&name) || in_message.contains(&path);
        match (is_redacted(&field), listed) {
            (false, false) => unlisted.push(path),
            (true, true) => contradictory.push(path),
            (false, true) => used.extend([name, path]),
            (true, false) => {}
        }
    }
    assert!(
        unlisted.is_empty(),
        "add [debug_redact = true], or list as harmless: {unlisted:?}"
    );
    assert!(
        contradictory.is_empty(),
        "redacted, and listed as harmless: {contradictory:?}"
    );
    let listed: BTreeSet<String> = everywhere.union(&in_message).cloned().collect();
    let stale: Vec<_> = listed.difference(&used).collect();
    assert!(stale.is_empty(), "no such field is left: {stale:?}");
}

#[test]
fn debug_shows_no_password_session_or_key() {
    let secret = || "needle".to_owned();
    let sign_in = v1::SignInRequest {
        name: secret(),
        password: secret(),
    };
    assert_eq!(
        format!("{sign_in:?}"),
        "SignInRequest { name: <redacted>, password: <redacted> }"
    );
    let exchange = v1::ExchangeSessionRequest {
        session: secret(),
        audience: "dispatch".to_owned(),
    };
    assert_eq!(
        format!("{exchange:?}"),
        "ExchangeSessionRequest { session: <redacted>, audience: \"dispatch\" }"
    );
    let created = v1::CreatePartnerResponse {
        key: secret(),
        ..v1::CreatePartnerResponse::default()
    };
    assert_eq!(
        format!("{created:?}"),
        "CreatePartnerResponse { partner: None, key: <redacted> }"
    );
}

#[test]
fn debug_shows_no_url_hash_or_young_persons_number_at_any_depth() {
    let secret = || "needle".to_owned();
    let hash = v1::Hash {
        kind: v1::HashKind::Sha256 as i32,
        value: secret(),
    };
    assert_eq!(
        format!("{hash:?}"),
        "Hash { kind: Sha256, value: <redacted> }"
    );
    let entry = v1::HashEntry {
        hash: Some(hash.clone()),
        verdict: Some(v1::hash_entry::Verdict::NotActionable(2)),
    };
    let report = v1::NewReport {
        external_id: secret(),
        url: secret(),
        hashes: vec![hash],
        media: v1::Media::Image as i32,
        ..v1::NewReport::default()
    };
    let request = v1::StreamReportsRequest {
        submission: 7,
        request: Some(v1::SubmitReportsRequest {
            reports: vec![report],
            report_remove: Some(v1::ReportRemoveFacts {
                unique_number: secret(),
                age_band: v1::AgeBand::Under13 as i32,
                under_18: true,
            }),
            ..v1::SubmitReportsRequest::default()
        }),
    };
    let notice = v1::Notice {
        url: secret(),
        text: secret(),
        state: v1::NoticeState::Delivered as i32,
        ..v1::Notice::default()
    };
    let shown = format!("{request:?} {entry:#?} {notice:?}");
    assert!(!shown.contains("needle"), "{shown}");
    assert!(
        !shown.contains("Under13"),
        "{shown} shows a young person's age"
    );
    for harmless in ["submission: 7", "media: Image", "state: Delivered"] {
        assert!(shown.contains(harmless), "{shown} without {harmless}");
    }
}

#[test]
fn debug_of_a_choice_hides_only_the_sensitive_one() {
    use v1::find_reports_request::By;
    let by_case = v1::FindReportsRequest {
        by: Some(By::CaseId("case".to_owned())),
    };
    assert_eq!(
        format!("{by_case:?}"),
        "FindReportsRequest { by: Some(CaseId(\"case\")) }"
    );
    let by_url = By::Url("needle".to_owned());
    assert_eq!(format!("{by_url:?}"), "Url(<redacted>)");
}
