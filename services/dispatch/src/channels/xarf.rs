//! The notice as XARF v4 `content/csam`, for abuse desks that read machines' mail. Carries no evidence: there is none
//! to carry. Members that are only for the inside of an organisation (`_internal`) are never written.

use domain::word::Media;
use serde_json::{Value, json};

use crate::document::{Hotline, Signed, rfc3339};
use crate::store::Content;

/// Of the schema that the form below keeps to.
const VERSION: &str = "4.2.0";

pub(super) fn report(content: &Content, signed: &Signed, hotline: &Hotline) -> Value {
    let who = json!({
        "org": hotline.name,
        "contact": hotline.contact,
        "domain": hotline.domain,
    });
    let host = content.url.host().reveal();
    let mut report = json!({
        "xarf_version": VERSION,
        "report_id": content.notice_id.to_string(),
        "timestamp": rfc3339(signed.issued_at),
        "reporter": who,
        "sender": who,
        "source_identifier": host.trim_start_matches('[').trim_end_matches(']'),
        "category": "content",
        "type": "csam",
        "evidence_source": "user_report",
        "url": content.url.reveal(),
        // The hotline grades by its own country's law; the baseline is what all countries share.
        "classification": "baseline",
        "detection_method": "manual_review",
        "content_removed": false,
        "description": format!("{}. Removal is due by {}.", signed.legal_basis, rfc3339(content.due_at)),
        "tags": [format!("category:{}", content.category.as_str().to_ascii_lowercase())],
    });
    if let Some(media) = content.media {
        report["media_type"] = json!(match media {
            Media::Image => "image",
            Media::Video => "video",
            Media::Text => "text",
        });
    }
    report
}
