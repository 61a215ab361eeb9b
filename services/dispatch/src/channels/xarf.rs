//! The notice as XARF v4 `content/csam`, for abuse desks that read machines' mail. Carries no evidence: there is none
//! to carry. Members that are only for the inside of an organisation (`_internal`) are never written.

use domain::word::Media;
use serde_json::{Value, json};

use super::mail::Place;
use crate::document::{Hotline, Signed, rfc3339};
use crate::store::Content;

/// Of the schema that the form below keeps to.
const VERSION: &str = "4.2.0";

/// The source is the address that serves it, where that is known, and else its name.
pub(super) fn report(
    content: &Content,
    signed: &Signed,
    hotline: &Hotline,
    place: &Place,
) -> Value {
    let who = json!({
        "org": hotline.name,
        "contact": hotline.contact,
        "domain": hotline.domain,
    });
    let host = content.url.host();
    let address = host.ip().or_else(|| place.addresses.first().copied());
    let source = address.map_or_else(|| host.reveal(), |ip| ip.to_string());
    let mut report = json!({
        "xarf_version": VERSION,
        "report_id": content.notice_id.to_string(),
        "timestamp": rfc3339(signed.issued_at),
        "reporter": who,
        "sender": who,
        "source_identifier": source,
        "category": "content",
        "type": "csam",
        "evidence_source": "user_report",
        "url": content.url.reveal(),
        // The hotline grades by its own country's law; the baseline is what all countries share.
        "classification": "baseline",
        "detection_method": "manual_review",
        "content_removed": false,
        "description": format!(
            "{}. Removal is due by {}.",
            signed.legal_basis.trim_end_matches('.'),
            rfc3339(content.due_at)
        ),
        "tags": [format!("category:{}", content.category.as_str().to_ascii_lowercase())],
    });
    if let Some(name) = host.domain() {
        report["domain"] = json!(name.reveal());
    }
    if let Some(media) = content.media {
        report["media_type"] = json!(match media {
            Media::Image => "image",
            Media::Video => "video",
            Media::Text => "text",
        });
    }
    report
}
