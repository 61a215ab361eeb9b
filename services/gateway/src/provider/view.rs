//! A notice as its addressee reads it: the same fields as a webhook carries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Invalid;
use domain::word::{Category, Media, NoticeState, Rung};
use platform::error::Problem;
use proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::words::{self, damaged, rfc3339_required};

/// A notice. `signed` and `signature` are the proof that the hotline asks this of you; the rest is for convenience.
#[derive(Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "the field's word on every channel"
)]
pub(crate) struct Notice {
    #[schema(format = "uuid", example = "0b0e7c5e-5c0f-4d39-9a53-3d1f1f1c7a11")]
    notice_id: String,
    #[schema(format = "uuid", example = "01890a5d-ac96-774b-bcce-b302099a8057")]
    case_id: String,
    #[schema(example = "amber-host")]
    provider_id: String,
    /// Grows when the material comes back.
    #[schema(example = 1)]
    episode: u32,
    /// Grows with each notice of one case.
    #[schema(example = 1)]
    step: u32,
    /// Grows with each message about this notice; the highest holds.
    #[schema(example = 1)]
    sequence: u32,
    #[schema(schema_with = words::notice_state)]
    state: String,
    #[schema(schema_with = words::rung)]
    rung: String,
    #[schema(schema_with = words::category)]
    category: String,
    #[schema(example = "image")]
    media: Option<String>,
    #[schema(example = "https://img.example/a/1")]
    url: String,
    #[schema(format = "date-time")]
    issued_at: String,
    /// Until when the hotline asks you to act.
    #[schema(format = "date-time")]
    due_at: Option<String>,
    #[schema(example = "Online Safety Act 2023, section 10")]
    legal_basis: String,
    /// Why it is shown now: `notice`, `reminder`, `information`, `upheld` or `retraction`.
    #[schema(example = "notice")]
    message: String,
    /// The hotline's words with `information`.
    text: Option<String>,
    /// The signed object: exact bytes, standard base64.
    #[schema(format = "byte")]
    signed: String,
    /// Ed25519 over the signed object, standard base64.
    #[schema(format = "byte")]
    signature: String,
    /// The key, as `/.well-known/takedown-keys.json` names it.
    #[schema(example = "n1")]
    key_id: String,
    /// With it and `url` the commitment in the signed object can be checked; standard base64.
    #[schema(format = "byte")]
    salt: Option<String>,
}

impl Notice {
    pub(crate) fn of(notice: v1::Notice) -> Result<Self, Problem> {
        let unreadable = |_: Invalid| damaged();
        let optional = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self {
            state: state(notice.state)?.to_owned(),
            rung: Rung::from_wire(notice.rung)
                .map_err(unreadable)?
                .to_string(),
            category: Category::from_wire(notice.category)
                .map_err(unreadable)?
                .to_string(),
            media: Media::from_wire_optional(notice.media)
                .map_err(unreadable)?
                .map(|media| media.to_string()),
            issued_at: rfc3339_required(notice.issued_at.as_ref())?,
            due_at: words::rfc3339(notice.due_at.as_ref())?,
            notice_id: notice.notice_id,
            case_id: notice.case_id,
            provider_id: notice.provider_id,
            episode: notice.episode,
            step: notice.step,
            sequence: notice.sequence,
            url: notice.url,
            legal_basis: notice.legal_basis,
            message: notice.message,
            text: optional(notice.text),
            signed: STANDARD.encode(notice.signed),
            signature: STANDARD.encode(notice.signature),
            key_id: notice.key_id,
            salt: optional(STANDARD.encode(notice.salt)),
        })
    }
}

/// A notice's state in words.
pub(crate) fn state(wire: i32) -> Result<&'static str, Problem> {
    NoticeState::from_wire(wire)
        .map(NoticeState::as_str)
        .map_err(|_| damaged())
}
