//! The public keys of notice signatures, as a JSON Web Key Set (RFC 7517; RFC 8037 for Ed25519).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::enums::SigningPurpose;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::edge::Edge;
use crate::input::NoQuery;
use crate::problem::{CommonProblems, ProblemResponse};

#[derive(Serialize, ToSchema)]
pub(crate) struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Jwk {
    /// The `key_id` of a notice.
    #[schema(example = "n1")]
    kid: String,
    #[schema(example = "OKP")]
    kty: &'static str,
    #[schema(example = "Ed25519")]
    crv: &'static str,
    /// The public key, base64url without padding.
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    x: String,
    #[schema(example = "sig")]
    r#use: &'static str,
    #[schema(example = "EdDSA")]
    alg: &'static str,
}

/// The public keys of notice signatures. Fetch them only from the hotline's own address.
#[utoipa::path(get, path = "/.well-known/takedown-keys.json", operation_id = "signing_keys", tag = "keys", security(()), responses((status = 200, description = "The keys; two of them during a key rotation.", body = JwkSet, content_type = "application/jwk-set+json"), CommonProblems))]
pub(crate) async fn signing_keys(
    State(edge): State<Edge>,
    _: NoQuery,
) -> Result<Response, ProblemResponse> {
    let keys = edge
        .dispatch()
        .list_signing_keys(edge.anonymous_request(v1::ListSigningKeysRequest {}))
        .await?
        .into_inner()
        .keys;
    let keys = keys
        .into_iter()
        .filter(|key| key.purpose == SigningPurpose::Notice.wire())
        .map(|key| Jwk {
            kid: key.key_id,
            kty: "OKP",
            crv: "Ed25519",
            x: URL_SAFE_NO_PAD.encode(key.public_key),
            r#use: "sig",
            alg: "EdDSA",
        })
        .collect();
    let headers = [
        (CONTENT_TYPE, "application/jwk-set+json"),
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    Ok((headers, Json(JwkSet { keys })).into_response())
}
