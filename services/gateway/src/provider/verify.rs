//! "Is this notice yours?", asked by the provider that holds it.

use axum::Json;
use axum::extract::State;
use proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::Named;
use crate::edge::Edge;
use crate::input::{self, Json as Body, NoQuery, Segment};
use crate::problem::{Always, Refused, WithBody, WithKey, WithName, WithValues};

/// What you hold, as it came.
#[derive(Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `signed` and `signature`"
)]
pub(crate) struct Held {
    /// Standard base64.
    #[schema(format = "byte", min_length = 1)]
    signed: String,
    /// Standard base64.
    #[schema(format = "byte", min_length = 1)]
    signature: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Verdict {
    /// The hotline signed these bytes, for you.
    ours: bool,
    /// A newer message about it was issued.
    superseded: bool,
    /// It was withdrawn.
    retracted: bool,
}

/// Ask whether what you hold is a notice of ours, and whether it still stands.
#[utoipa::path(
    post, path = "/provider/v1/notices/{notice_id}/verify", operation_id = "verify_notice", tag = "notices",
    security(("provider_key" = [])),
    params(("notice_id" = String, Path, format = "uuid", description = "As the notice names itself.")),
    request_body = Held,
    responses((status = 200, description = "What the hotline says of it.", body = Verdict), Always, WithKey, WithName, WithBody, WithValues)
)]
pub(crate) async fn verify(
    State(edge): State<Edge>,
    Named(key): Named,
    Segment(notice_id): Segment,
    _: NoQuery,
    Body(held): Body<Held>,
) -> Result<Json<Verdict>, Refused> {
    let request = v1::VerifyNoticeRequest {
        notice_id,
        signed: input::base64("signed", &held.signed)?.into(),
        signature: input::base64("signature", &held.signature)?.into(),
    };
    let verdict = edge
        .dispatch()
        .verify_notice(edge.named(&key, request))
        .await?
        .into_inner();
    Ok(Json(Verdict {
        ours: verdict.ours,
        superseded: verdict.superseded,
        retracted: verdict.retracted,
    }))
}
