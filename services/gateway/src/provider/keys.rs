//! A provider's own keys: made, replaced and ended by a key with the scope `settings`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::Invalid;
use http::StatusCode;
use platform::error::Problem;
use proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::{IdempotencyKey, Named};
use crate::edge::Edge;
use crate::input::{self, Json as Body, NoQuery, Segment};
use crate::problem::{Always, Refused, WithBody, WithKey, WithName, WithValues};
use crate::words::{damaged, rfc3339, rfc3339_required};

/// What a key may do: `read` notices, `answer` them, change `settings` (preferences, webhook endpoints, keys).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    Read,
    Answer,
    Settings,
}

impl Scope {
    const ALL: [(&str, Self, v1::ProviderScope); 3] = [
        ("read", Self::Read, v1::ProviderScope::Read),
        ("answer", Self::Answer, v1::ProviderScope::Answer),
        ("settings", Self::Settings, v1::ProviderScope::Settings),
    ];

    fn wire(text: &str) -> Result<i32, Invalid> {
        Self::ALL
            .iter()
            .find(|(word, ..)| *word == text)
            .map(|(.., wire)| i32::from(*wire))
            .ok_or_else(|| {
                Invalid::new(
                    "word_unknown",
                    "scopes",
                    "`scopes` is not one of: read, answer, settings",
                )
            })
    }

    fn of(wire: i32) -> Result<Self, Problem> {
        Self::ALL
            .iter()
            .find(|(.., known)| i32::from(*known) == wire)
            .map(|(_, scope, _)| *scope)
            .ok_or_else(damaged)
    }
}

/// A key, without its secret part.
#[derive(Serialize, ToSchema)]
#[schema(as = ProviderKey)]
#[expect(
    clippy::struct_field_names,
    reason = "the field's word on every channel"
)]
pub(crate) struct Key {
    #[schema(format = "uuid")]
    key_id: String,
    scopes: Vec<Scope>,
    /// What it is for, in your words.
    #[schema(example = "abuse desk")]
    name: String,
    #[schema(format = "date-time")]
    created_at: String,
    /// It is refused from then on.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
    #[schema(format = "date-time")]
    revoked_at: Option<String>,
    /// The key that you sent with this request.
    current: bool,
}

impl Key {
    fn of(key: Option<v1::ProviderKey>) -> Result<Self, Problem> {
        let key = key.ok_or_else(damaged)?;
        Ok(Self {
            scopes: key
                .scopes
                .into_iter()
                .map(Scope::of)
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
#[schema(as = ProviderKeys)]
pub(crate) struct Keys {
    /// Those that hold first, the newest before the others.
    keys: Vec<Key>,
}

/// What a new key may do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `scopes`")]
#[schema(example = json!({"name": "abuse desk", "scopes": ["read", "answer"]}))]
pub(crate) struct NewKey {
    /// No more than the key that you send has; all that it has where none are named.
    #[schema(value_type = Vec<Scope>, max_items = 3)]
    #[serde(default)]
    scopes: Vec<String>,
    #[schema(
        max_length = 100,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    #[serde(default)]
    name: String,
}

/// A fresh key.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedKey)]
pub(crate) struct Created {
    /// The whole key, shown here and never again.
    #[schema(example = "tdh_0b0e7c5e5c0f4d399a533d1f1f1c7a11_wF3bq…")]
    key: String,
    about: Key,
}

/// How a key is replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(example = json!({"overlap_seconds": 3600}))]
pub(crate) struct Overlap {
    /// How long what is replaced goes on: a day where nothing is said, at most seven, 0 for not at all.
    #[schema(minimum = 0, maximum = 604_800, default = 86_400)]
    #[serde(default, deserialize_with = "input::whole")]
    pub(super) overlap_seconds: Option<u32>,
}

/// The key that took another's place.
#[derive(Serialize, ToSchema)]
#[schema(as = RotatedKey)]
pub(crate) struct Rotated {
    /// The whole key, shown here and never again.
    #[schema(example = "tdh_0b0e7c5e5c0f4d399a533d1f1f1c7a11_wF3bq…")]
    key: String,
    about: Key,
    /// The key that it replaces, with its end.
    former: Key,
}

/// Your keys.
#[utoipa::path(
    get, path = "/provider/v1/keys", operation_id = "list_keys", tag = "access",
    security(("provider_key" = [])),
    responses((status = 200, description = "All keys, also those that are over.", body = Keys), Always, WithKey)
)]
pub(crate) async fn list(
    State(edge): State<Edge>,
    Named(key): Named,
    _: NoQuery,
) -> Result<Json<Keys>, Refused> {
    let answer = edge
        .dispatch()
        .list_provider_keys(edge.named(&key, v1::ListProviderKeysRequest::default()))
        .await?
        .into_inner();
    let keys = answer
        .keys
        .into_iter()
        .map(|key| Key::of(Some(key)))
        .collect::<Result<_, _>>()?;
    Ok(Json(Keys { keys }))
}

/// Make a key.
#[utoipa::path(
    post, path = "/provider/v1/keys", operation_id = "create_key", tag = "access",
    security(("provider_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body shows the same new key, for seven days.", min_length = 1, max_length = 128)),
    request_body = NewKey,
    responses((status = 201, description = "Made.", body = Created), Always, WithKey, WithBody, WithValues)
)]
pub(crate) async fn create(
    State(edge): State<Edge>,
    Named(key): Named,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(wanted): Body<NewKey>,
) -> Result<Response, Refused> {
    let request = v1::CreateProviderKeyRequest {
        provider_id: String::new(),
        scopes: wanted
            .scopes
            .iter()
            .map(|scope| Scope::wire(scope))
            .collect::<Result<_, _>>()?,
        name: wanted.name,
        idempotency_key,
    };
    let answer = edge
        .dispatch()
        .create_provider_key(edge.named(&key, request))
        .await?
        .into_inner();
    let created = Created {
        key: answer.key,
        about: Key::of(answer.about)?,
    };
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Replace a key by one with the same rights. Both hold until the overlap is over.
#[utoipa::path(
    post, path = "/provider/v1/keys/{key_id}/rotate", operation_id = "rotate_key", tag = "access",
    security(("provider_key" = [])),
    params(
        ("key_id" = String, Path, format = "uuid", description = "As the list of keys names it."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body shows the same new key, for seven days.", min_length = 1, max_length = 128)
    ),
    request_body = Overlap,
    responses((status = 201, description = "Made.", body = Rotated), Always, WithKey, WithName, WithBody, WithValues)
)]
pub(crate) async fn rotate(
    State(edge): State<Edge>,
    Named(key): Named,
    Segment(key_id): Segment,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(wanted): Body<Overlap>,
) -> Result<Response, Refused> {
    let request = v1::RotateProviderKeyRequest {
        key_id,
        overlap_seconds: wanted.overlap_seconds,
        idempotency_key,
    };
    let answer = edge
        .dispatch()
        .rotate_provider_key(edge.named(&key, request))
        .await?
        .into_inner();
    let rotated = Rotated {
        key: answer.key,
        about: Key::of(answer.about)?,
        former: Key::of(answer.former)?,
    };
    Ok((StatusCode::CREATED, Json(rotated)).into_response())
}

/// End a key at once. Ending it again is success.
#[utoipa::path(
    delete, path = "/provider/v1/keys/{key_id}", operation_id = "revoke_key", tag = "access",
    security(("provider_key" = [])),
    params(("key_id" = String, Path, format = "uuid", description = "As the list of keys names it.")),
    responses((status = 204, description = "It does not hold any more."), Always, WithKey, WithName, WithValues)
)]
pub(crate) async fn revoke(
    State(edge): State<Edge>,
    Named(key): Named,
    Segment(key_id): Segment,
    _: NoQuery,
) -> Result<StatusCode, Refused> {
    let request = v1::RevokeProviderKeyRequest { key_id };
    edge.dispatch()
        .revoke_provider_key(edge.named(&key, request))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
