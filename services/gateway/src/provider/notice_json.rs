//! A notice as JSON, with the same fields as in a webhook.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Invalid;
use domain::enums::{Category, Media, MessageKind, NoticeState, Rung};
use platform::error::Problem;
use proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::enum_schemas;
use crate::upstream::{malformed_response, rfc3339, rfc3339_required};

/// A notice. `signed` and `signature` prove that the hotline sent it to you; the other fields are for
/// convenience.
#[derive(Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "the same field names as in a webhook"
)]
pub(crate) struct Notice {
    #[schema(format = "uuid", example = "0b0e7c5e-5c0f-4d39-9a53-3d1f1f1c7a11")]
    notice_id: String,
    #[schema(format = "uuid", example = "01890a5d-ac96-774b-bcce-b302099a8057")]
    case_id: String,
    #[schema(example = "amber-host")]
    provider_id: String,
    /// Increases when the material re-appears.
    #[schema(example = 1)]
    episode: u32,
    /// Increases with each notice about the case.
    #[schema(example = 1)]
    step: u32,
    /// Increases with each message about this notice; the highest one is in force.
    #[schema(example = 1)]
    sequence: u32,
    #[schema(schema_with = enum_schemas::notice_state)]
    state: String,
    #[schema(schema_with = enum_schemas::rung)]
    rung: String,
    #[schema(schema_with = enum_schemas::category)]
    category: String,
    #[schema(example = "image")]
    media: Option<String>,
    #[schema(example = "https://img.example/a/1")]
    url: String,
    #[schema(format = "date-time")]
    issued_at: String,
    /// The deadline for the removal.
    #[schema(format = "date-time")]
    due_at: Option<String>,
    #[schema(example = "Online Safety Act 2023, section 10")]
    legal_basis: String,
    /// The kind of the newest message: `notice`, `reminder`, `information`, `upheld` or `retraction`.
    #[schema(example = "notice")]
    message: String,
    /// With `information`: the hotline's answer to your question.
    text: Option<String>,
    /// The exact signed bytes, standard base64.
    #[schema(format = "byte")]
    signed: String,
    /// Ed25519 signature of `signed`, standard base64.
    #[schema(format = "byte")]
    signature: String,
    /// The `kid` of the key in `/.well-known/takedown-keys.json`.
    #[schema(example = "n1")]
    key_id: String,
    /// For checking the commitment in `signed` against `url`; standard base64.
    #[schema(format = "byte")]
    salt: Option<String>,
}

impl Notice {
    pub(crate) fn from_proto(notice: v1::Notice) -> Result<Self, Problem> {
        let malformed = |_: Invalid| malformed_response();
        let optional = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self {
            state: state(notice.state)?.to_owned(),
            rung: Rung::from_wire(notice.rung).map_err(malformed)?.to_string(),
            category: Category::from_wire(notice.category)
                .map_err(malformed)?
                .to_string(),
            media: Media::from_wire_optional(notice.media)
                .map_err(malformed)?
                .map(|media| media.to_string()),
            issued_at: rfc3339_required(notice.issued_at.as_ref())?,
            due_at: rfc3339(notice.due_at.as_ref())?,
            notice_id: notice.notice_id,
            case_id: notice.case_id,
            provider_id: notice.provider_id,
            episode: notice.episode,
            step: notice.step,
            sequence: notice.sequence,
            url: notice.url,
            legal_basis: notice.legal_basis,
            message: MessageKind::from_wire(notice.message)
                .map_err(malformed)?
                .to_string(),
            text: optional(notice.text),
            signed: STANDARD.encode(notice.signed),
            signature: STANDARD.encode(notice.signature),
            key_id: notice.key_id,
            salt: optional(STANDARD.encode(notice.salt)),
        })
    }
}

/// The name of a notice state.
pub(crate) fn state(wire: i32) -> Result<&'static str, Problem> {
    NoticeState::from_wire(wire)
        .map(NoticeState::as_str)
        .map_err(|_| malformed_response())
}
