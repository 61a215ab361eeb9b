//! How notices reach a provider, by the provider's own choice.

use axum::Json;
use axum::extract::State;
use domain::Invalid;
use domain::word::DeliveryChannel;
use proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::Named;
use crate::edge::Edge;
use crate::input::{Json as Body, NoQuery};
use crate::problem::{Always, Refused, WithBody, WithKey, WithValues};
use crate::words::{self, damaged};

/// How you want to be reached. Replaces what was there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `channel`")]
#[schema(example = json!({"channel": "webhook", "webhook_url": "https://abuse.amber-host.example/takedown", "abuse_contact": "abuse@amber-host.example"}))]
pub(crate) struct Wanted {
    #[schema(schema_with = words::delivery_channel)]
    channel: String,
    /// Where webhooks go; needed with `webhook`. An address that is none of your endpoints yet becomes one.
    #[schema(format = "uri")]
    #[serde(default)]
    webhook_url: Option<String>,
    /// The mailbox for notices, and for when another channel fails.
    #[schema(format = "email")]
    #[serde(default)]
    abuse_contact: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Preferences {
    #[schema(schema_with = words::delivery_channel)]
    channel: &'static str,
    webhook_url: Option<String>,
    /// The endpoint of that address.
    #[schema(format = "uuid")]
    webhook_endpoint_id: Option<String>,
    abuse_contact: Option<String>,
    /// Check webhooks with it (Standard Webhooks, `v1a`).
    #[schema(example = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")]
    webhook_public_key: Option<String>,
}

/// How notices reach you.
#[utoipa::path(
    get, path = "/provider/v1/preferences", operation_id = "read_preferences", tag = "preferences",
    security(("provider_key" = [])),
    responses((status = 200, description = "What holds now.", body = Preferences), Always, WithKey)
)]
pub(crate) async fn read(
    State(edge): State<Edge>,
    Named(key): Named,
    _: NoQuery,
) -> Result<Json<Preferences>, Refused> {
    let answer = edge
        .dispatch()
        .get_preferences(edge.named(&key, v1::GetPreferencesRequest {}))
        .await?
        .into_inner();
    shown(answer.preferences, answer.webhook_public_key)
}

/// Choose how notices reach you. Holds for what is sent from now on.
#[utoipa::path(
    put, path = "/provider/v1/preferences", operation_id = "write_preferences", tag = "preferences",
    security(("provider_key" = [])),
    request_body = Wanted,
    responses((status = 200, description = "What holds now.", body = Preferences), Always, WithKey, WithBody, WithValues)
)]
pub(crate) async fn write(
    State(edge): State<Edge>,
    Named(key): Named,
    _: NoQuery,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Preferences>, Refused> {
    let preferences = v1::Preferences {
        channel: wanted.channel.parse::<DeliveryChannel>()?.wire(),
        webhook_url: given("webhook_url", wanted.webhook_url)?,
        abuse_contact: given("abuse_contact", wanted.abuse_contact)?,
        ..v1::Preferences::default()
    };
    let request = v1::SetPreferencesRequest {
        preferences: Some(preferences),
    };
    let answer = edge
        .dispatch()
        .set_preferences(edge.named(&key, request))
        .await?
        .into_inner();
    shown(answer.preferences, answer.webhook_public_key)
}

/// What was given, or nothing; an empty text is neither.
fn given(field: &str, text: Option<String>) -> Result<String, Invalid> {
    match text {
        Some(text) if text.trim().is_empty() => Err(Invalid::new(
            "field_empty",
            field,
            format!("`{field}` is empty; give it a value, or leave it out"),
        )),
        text => Ok(text.unwrap_or_default()),
    }
}

fn shown(
    preferences: Option<v1::Preferences>,
    webhook_public_key: String,
) -> Result<Json<Preferences>, Refused> {
    let preferences = preferences.ok_or_else(damaged)?;
    let optional = |text: String| (!text.is_empty()).then_some(text);
    Ok(Json(Preferences {
        channel: DeliveryChannel::from_wire(preferences.channel)
            .map_err(|_| damaged())?
            .as_str(),
        webhook_url: optional(preferences.webhook_url),
        webhook_endpoint_id: optional(preferences.webhook_endpoint_id),
        abuse_contact: optional(preferences.abuse_contact),
        webhook_public_key: optional(webhook_public_key),
    }))
}
