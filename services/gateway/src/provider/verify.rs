//! Verifies for a provider that a notice it received is authentic.

use axum::Json;
use axum::extract::State;
use proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::RequiredCredential;
use crate::edge::Edge;
use crate::input::{self, Json as Body, NoQuery, Segment};
use crate::problem::{
    BodyProblems, CommonProblems, CredentialProblems, NotFoundProblems, ProblemResponse,
    ValidationProblems,
};

/// The notice as you received it.
#[derive(Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `signed` and `signature`"
)]
pub(crate) struct NoticeToVerify {
    /// Standard base64.
    #[schema(format = "byte", min_length = 1)]
    signed: String,
    /// Standard base64.
    #[schema(format = "byte", min_length = 1)]
    signature: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct VerifiedNotice {
    /// The hotline signed exactly these bytes for you.
    authentic: bool,
    /// A newer message about the notice was issued.
    superseded: bool,
    /// The notice was withdrawn.
    retracted: bool,
}

/// Check whether a notice that you received is authentic and still in force.
#[utoipa::path(
    post, path = "/provider/v1/notices/{notice_id}/verify", operation_id = "verify_notice", tag = "notices",
    security(("provider_key" = [])),
    params(("notice_id" = String, Path, format = "uuid", description = "The notice's id.")),
    request_body = NoticeToVerify,
    responses((status = 200, description = "The result.", body = VerifiedNotice), CommonProblems, CredentialProblems, NotFoundProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn verify(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Segment(notice_id): Segment,
    _: NoQuery,
    Body(body): Body<NoticeToVerify>,
) -> Result<Json<VerifiedNotice>, ProblemResponse> {
    let request = v1::VerifyNoticeRequest {
        notice_id,
        signed: input::base64("signed", &body.signed)?.into(),
        signature: input::base64("signature", &body.signature)?.into(),
    };
    let response = edge
        .dispatch()
        .verify_notice(edge.authenticated_request(&key, request))
        .await?
        .into_inner();
    Ok(Json(VerifiedNotice {
        authentic: response.authentic,
        superseded: response.superseded,
        retracted: response.retracted,
    }))
}
