//! A provider's API keys: created, rotated and revoked with a key that has the scope `settings`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::Invalid;
use domain::wire::duration;
use http::StatusCode;
use platform::error::Problem;
use proto::v1;
use serde::{Deserialize, Serialize};
use time::Duration;
use utoipa::ToSchema;

use crate::caller::{IdempotencyKey, RequiredCredential};
use crate::edge::Edge;
use crate::input::{self, Json as Body, NoQuery, Segment};
use crate::problem::{
    BodyProblems, CommonProblems, CredentialProblems, NotFoundProblems, ProblemResponse,
    ValidationProblems,
};
use crate::upstream::{malformed_response, rfc3339, rfc3339_required};

/// What a key may do: `read` notices, `answer` them, change `settings` (preferences, webhook endpoints,
/// keys).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyScope {
    Read,
    Answer,
    Settings,
}

impl KeyScope {
    const ALL: [(&str, Self, v1::ProviderScope); 3] = [
        ("read", Self::Read, v1::ProviderScope::Read),
        ("answer", Self::Answer, v1::ProviderScope::Answer),
        ("settings", Self::Settings, v1::ProviderScope::Settings),
    ];

    fn wire(text: &str) -> Result<i32, Invalid> {
        Self::ALL
            .iter()
            .find(|(name, ..)| *name == text)
            .map(|(.., wire)| i32::from(*wire))
            .ok_or_else(|| {
                Invalid::new(
                    "value_unknown",
                    "scopes",
                    "a value of `scopes` is not one of: read, answer, settings",
                )
            })
    }

    fn from_proto(wire: i32) -> Result<Self, Problem> {
        Self::ALL
            .iter()
            .find(|(.., scope)| i32::from(*scope) == wire)
            .map(|(_, scope, _)| *scope)
            .ok_or_else(malformed_response)
    }
}

/// A key without its secret part.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProviderKey {
    #[schema(format = "uuid")]
    key_id: String,
    scopes: Vec<KeyScope>,
    /// Your name for the key.
    #[schema(example = "abuse team")]
    name: String,
    #[schema(format = "date-time")]
    created_at: String,
    /// When the key stops being valid.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
    #[schema(format = "date-time")]
    revoked_at: Option<String>,
    /// Whether this is the key of this request.
    current: bool,
}

impl ProviderKey {
    fn from_proto(key: Option<v1::ProviderKey>) -> Result<Self, Problem> {
        let key = key.ok_or_else(malformed_response)?;
        Ok(Self {
            scopes: key
                .scopes
                .into_iter()
                .map(KeyScope::from_proto)
                .collect::<Result<_, _>>()?,
            created_at: rfc3339_required(key.created_at.as_ref())?,
            expires_at: rfc3339(key.expires_at.as_ref())?,
            revoked_at: rfc3339(key.revoked_at.as_ref())?,
            key_id: key.key_id,
            name: key.name,
            current: key.is_current,
        })
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProviderKeys {
    /// Valid keys first; newest first.
    keys: Vec<ProviderKey>,
}

/// A key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `scopes`")]
#[schema(example = json!({"name": "abuse team", "scopes": ["read", "answer"]}))]
pub(crate) struct NewProviderKey {
    /// Scopes of the key that you send; all of them if this is absent or empty.
    #[schema(value_type = Vec<KeyScope>, max_items = 3)]
    #[serde(default)]
    scopes: Vec<String>,
    #[schema(
        max_length = 100,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    #[serde(default)]
    name: String,
}

/// A new key.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    /// The complete key. It is shown only in this response.
    #[schema(example = "tdh_0b0e7c5e5c0f4d399a533d1f1f1c7a11_wF3bq…")]
    key: String,
    details: ProviderKey,
}

/// Options of a rotation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(example = json!({"overlap_seconds": 3600}))]
pub(crate) struct RotationRequest {
    /// How long the previous key or secret stays valid, in seconds: one day by default, at most seven, 0 to
    /// end it immediately.
    #[schema(minimum = 0, maximum = 604_800, default = 86_400)]
    #[serde(default, deserialize_with = "input::whole_number")]
    overlap_seconds: Option<u32>,
}

impl RotationRequest {
    pub(super) fn overlap(&self) -> Option<prost_types::Duration> {
        let seconds = self.overlap_seconds?;
        Some(duration(Duration::seconds(seconds.into())))
    }
}

/// A refusal by dispatch in the words of this API, where the overlap is a number of seconds.
pub(super) fn with_overlap_in_seconds(status: tonic::Status) -> ProblemResponse {
    let problem = Problem::from(status);
    if problem.code == "overlap_out_of_range" {
        return Invalid::new(
            "overlap_out_of_range",
            "overlap_seconds",
            "`overlap_seconds` must be a number from 0 to 604800 (seven days)",
        )
        .into();
    }
    problem.into()
}

/// A new key that replaces another.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedKey {
    /// The complete key. It is shown only in this response.
    #[schema(example = "tdh_0b0e7c5e5c0f4d399a533d1f1f1c7a11_wF3bq…")]
    key: String,
    details: ProviderKey,
    /// The key that is replaced, with its new `expires_at`.
    previous: ProviderKey,
}

/// Your keys.
#[utoipa::path(
    get, path = "/provider/v1/keys", operation_id = "list_keys", tag = "access",
    security(("provider_key" = [])),
    responses((status = 200, description = "All keys, including expired and revoked ones.", body = ProviderKeys), CommonProblems, CredentialProblems)
)]
pub(crate) async fn list(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    _: NoQuery,
) -> Result<Json<ProviderKeys>, ProblemResponse> {
    let response = edge
        .dispatch()
        .list_provider_keys(
            edge.authenticated_request(&key, v1::ListProviderKeysRequest::default()),
        )
        .await?
        .into_inner();
    let keys = response
        .keys
        .into_iter()
        .map(|key| ProviderKey::from_proto(Some(key)))
        .collect::<Result<_, _>>()?;
    Ok(Json(ProviderKeys { keys }))
}

/// Create a key.
#[utoipa::path(
    post, path = "/provider/v1/keys", operation_id = "create_key", tag = "access",
    security(("provider_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: for seven days, the same idempotency key with the same body returns the same new key.", min_length = 1, max_length = 128)),
    request_body = NewProviderKey,
    responses((status = 201, description = "Created.", body = CreatedKey), CommonProblems, CredentialProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn create(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(body): Body<NewProviderKey>,
) -> Result<Response, ProblemResponse> {
    let request = v1::CreateProviderKeyRequest {
        provider_id: String::new(),
        scopes: body
            .scopes
            .iter()
            .map(|scope| KeyScope::wire(scope))
            .collect::<Result<_, _>>()?,
        name: body.name,
        idempotency_key,
    };
    let response = edge
        .dispatch()
        .create_provider_key(edge.authenticated_request(&key, request))
        .await?
        .into_inner();
    let created = CreatedKey {
        key: response.key,
        details: ProviderKey::from_proto(response.details)?,
    };
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Replace a key with a new one that has the same scopes. Both are valid until the overlap ends.
#[utoipa::path(
    post, path = "/provider/v1/keys/{key_id}/rotate", operation_id = "rotate_key", tag = "access",
    security(("provider_key" = [])),
    params(
        ("key_id" = String, Path, format = "uuid", description = "The `key_id` from the list of keys."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: for seven days, the same idempotency key with the same body returns the same new key.", min_length = 1, max_length = 128)
    ),
    request_body = RotationRequest,
    responses((status = 201, description = "Created.", body = RotatedKey), CommonProblems, CredentialProblems, NotFoundProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn rotate(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Segment(key_id): Segment,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(body): Body<RotationRequest>,
) -> Result<Response, ProblemResponse> {
    let request = v1::RotateProviderKeyRequest {
        key_id,
        overlap: body.overlap(),
        idempotency_key,
    };
    let response = edge
        .dispatch()
        .rotate_provider_key(edge.authenticated_request(&key, request))
        .await
        .map_err(with_overlap_in_seconds)?
        .into_inner();
    let rotated = RotatedKey {
        key: response.key,
        details: ProviderKey::from_proto(response.details)?,
        previous: ProviderKey::from_proto(response.previous)?,
    };
    Ok((StatusCode::CREATED, Json(rotated)).into_response())
}

/// Revoke a key immediately. Repeating the request succeeds.
#[utoipa::path(
    delete, path = "/provider/v1/keys/{key_id}", operation_id = "revoke_key", tag = "access",
    security(("provider_key" = [])),
    params(("key_id" = String, Path, format = "uuid", description = "The `key_id` from the list of keys.")),
    responses((status = 204, description = "Revoked."), CommonProblems, CredentialProblems, NotFoundProblems, ValidationProblems)
)]
pub(crate) async fn revoke(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Segment(key_id): Segment,
    _: NoQuery,
) -> Result<StatusCode, ProblemResponse> {
    let request = v1::RevokeProviderKeyRequest { key_id };
    edge.dispatch()
        .revoke_provider_key(edge.authenticated_request(&key, request))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
