//! How a provider wants notices to be delivered.

use axum::Json;
use axum::extract::State;
use domain::Invalid;
use domain::enums::DeliveryChannel;
use proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::RequiredCredential;
use crate::edge::Edge;
use crate::enum_schemas;
use crate::input::{Json as Body, NoQuery};
use crate::problem::{
    BodyProblems, CommonProblems, CredentialProblems, ProblemResponse, ValidationProblems,
};
use crate::upstream::malformed_response;

/// How notices are delivered to you. Replaces your previous preferences.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `channel`")]
#[schema(example = json!({"channel": "webhook", "webhook_url": "https://abuse.amber-host.example/takedown", "abuse_contact": "abuse@amber-host.example"}))]
pub(crate) struct PreferencesUpdate {
    #[schema(schema_with = enum_schemas::delivery_channel)]
    channel: String,
    /// Where webhooks are sent; required with `webhook`. A URL that is not one of your endpoints is added to
    /// them.
    #[schema(format = "uri")]
    #[serde(default)]
    webhook_url: Option<String>,
    /// The mailbox for notices, also used if another channel fails; required with `email`.
    #[schema(format = "email")]
    #[serde(default)]
    abuse_contact: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Preferences {
    #[schema(schema_with = enum_schemas::delivery_channel)]
    channel: &'static str,
    webhook_url: Option<String>,
    /// The endpoint with this URL.
    #[schema(format = "uuid")]
    webhook_endpoint_id: Option<String>,
    abuse_contact: Option<String>,
    /// For verifying webhook signatures (Standard Webhooks, `v1a`).
    #[schema(example = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")]
    webhook_public_key: Option<String>,
}

/// Read how notices are delivered to you.
#[utoipa::path(
    get, path = "/provider/v1/preferences", operation_id = "read_preferences", tag = "preferences",
    security(("provider_key" = [])),
    responses((status = 200, description = "The preferences in force.", body = Preferences), CommonProblems, CredentialProblems)
)]
pub(crate) async fn read(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    _: NoQuery,
) -> Result<Json<Preferences>, ProblemResponse> {
    let response = edge
        .dispatch()
        .get_preferences(edge.authenticated_request(&key, v1::GetPreferencesRequest {}))
        .await?
        .into_inner();
    preferences_json(response.preferences, response.webhook_public_key)
}

/// Choose how notices are delivered to you. Applies to messages sent from now on.
#[utoipa::path(
    put, path = "/provider/v1/preferences", operation_id = "write_preferences", tag = "preferences",
    security(("provider_key" = [])),
    request_body = PreferencesUpdate,
    responses((status = 200, description = "The preferences in force.", body = Preferences), CommonProblems, CredentialProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn write(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    _: NoQuery,
    Body(body): Body<PreferencesUpdate>,
) -> Result<Json<Preferences>, ProblemResponse> {
    let preferences = v1::Preferences {
        channel: body.channel.parse::<DeliveryChannel>()?.wire(),
        webhook_url: non_empty("webhook_url", body.webhook_url)?,
        abuse_contact: non_empty("abuse_contact", body.abuse_contact)?,
        ..v1::Preferences::default()
    };
    let request = v1::SetPreferencesRequest {
        preferences: Some(preferences),
    };
    let response = edge
        .dispatch()
        .set_preferences(edge.authenticated_request(&key, request))
        .await?
        .into_inner();
    preferences_json(response.preferences, response.webhook_public_key)
}

/// The value, or an empty string if it is absent. Refuses a value that is present and blank.
fn non_empty(field: &str, text: Option<String>) -> Result<String, Invalid> {
    match text {
        Some(text) if text.trim().is_empty() => Err(Invalid::new(
            "field_empty",
            field,
            format!("`{field}` is empty; give it a value, or leave it out"),
        )),
        text => Ok(text.unwrap_or_default()),
    }
}

fn preferences_json(
    preferences: Option<v1::Preferences>,
    webhook_public_key: String,
) -> Result<Json<Preferences>, ProblemResponse> {
    let preferences = preferences.ok_or_else(malformed_response)?;
    let optional = |text: String| (!text.is_empty()).then_some(text);
    Ok(Json(Preferences {
        channel: DeliveryChannel::from_wire(preferences.channel)
            .map_err(|_| malformed_response())?
            .as_str(),
        webhook_url: optional(preferences.webhook_url),
        webhook_endpoint_id: optional(preferences.webhook_endpoint_id),
        abuse_contact: optional(preferences.abuse_contact),
        webhook_public_key: optional(webhook_public_key),
    }))
}
