//! The public keys that notices are signed with, as a JSON Web Key Set (RFC 7517, and RFC 8037 for Ed25519).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::edge::Edge;
use crate::input::NoQuery;
use crate::problem::{Always, Refused};

#[derive(Serialize, ToSchema)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Key {
    /// As a notice names it in `key_id`.
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

/// Keys that notices are signed with: fetch them from here and nowhere else.
#[utoipa::path(get, path = "/.well-known/takedown-keys.json", operation_id = "signing_keys", tag = "keys", security(()), responses((status = 200, description = "The keys; two at a time while they rotate.", body = KeySet, content_type = "application/jwk-set+json"), Always))]
pub(crate) async fn signing_keys(
    State(edge): State<Edge>,
    _: NoQuery,
) -> Result<Response, Refused> {
    let keys = edge
        .dispatch()
        .list_signing_keys(edge.unnamed(v1::ListSigningKeysRequest {}))
        .await?
        .into_inner()
        .keys;
    let keys = keys
        .into_iter()
        .filter(|key| key.purpose == "notice")
        .map(|key| Key {
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
    Ok((headers, Json(KeySet { keys })).into_response())
}
