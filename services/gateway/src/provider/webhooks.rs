//! Where a provider takes webhooks: endpoints, their secrets, and a test of each. Which of them is used is a preference.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use platform::error::Problem;
use proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deliveries::Delivery;
use super::keys::Overlap;
use crate::caller::{IdempotencyKey, Named};
use crate::edge::Edge;
use crate::input::{Json as Body, NoQuery, Segment};
use crate::problem::{Always, Refused, WithBody, WithKey, WithName, WithValues};
use crate::words::{damaged, rfc3339, rfc3339_required};

/// A place that takes webhooks.
#[derive(Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "the field's word on every channel"
)]
pub(crate) struct Endpoint {
    #[schema(format = "uuid")]
    endpoint_id: String,
    #[schema(format = "uri", example = "https://abuse.amber-host.example/takedown")]
    url: String,
    /// Notices go here; your preferences name it.
    in_use: bool,
    /// Messages are signed with a shared secret (`v1`) beside `v1a`.
    has_secret: bool,
    /// Until when messages are signed with the former secret too.
    #[schema(format = "date-time")]
    former_secret_until: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
    /// When it answered that it is gone for good (410). A test that it takes, or naming it anew, revives it.
    #[schema(format = "date-time")]
    gone_at: Option<String>,
}

impl Endpoint {
    fn of(endpoint: Option<v1::WebhookEndpoint>) -> Result<Self, Problem> {
        let endpoint = endpoint.ok_or_else(damaged)?;
        Ok(Self {
            former_secret_until: rfc3339(endpoint.former_secret_until.as_ref())?,
            created_at: rfc3339_required(endpoint.created_at.as_ref())?,
            gone_at: rfc3339(endpoint.gone_at.as_ref())?,
            endpoint_id: endpoint.endpoint_id,
            url: endpoint.url,
            in_use: endpoint.in_use,
            has_secret: endpoint.has_secret,
        })
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Endpoints {
    /// The newest first.
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `url`")]
#[schema(example = json!({"url": "https://abuse.amber-host.example/takedown"}))]
pub(crate) struct NewEndpoint {
    /// An https address without user information.
    #[schema(format = "uri", max_length = 2048)]
    url: String,
}

/// An endpoint and its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct WithSecret {
    endpoint: Endpoint,
    /// Shared secret of Standard Webhooks (`v1`), shown here and never again.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
}

/// Your webhook endpoints.
#[utoipa::path(
    get, path = "/provider/v1/webhook-endpoints", operation_id = "list_webhook_endpoints", tag = "webhooks",
    security(("provider_key" = [])),
    responses((status = 200, description = "All of them.", body = Endpoints), Always, WithKey)
)]
pub(crate) async fn list(
    State(edge): State<Edge>,
    Named(key): Named,
    _: NoQuery,
) -> Result<Json<Endpoints>, Refused> {
    let answer = edge
        .dispatch()
        .list_webhook_endpoints(edge.named(&key, v1::ListWebhookEndpointsRequest {}))
        .await?
        .into_inner();
    let endpoints = answer
        .endpoints
        .into_iter()
        .map(|endpoint| Endpoint::of(Some(endpoint)))
        .collect::<Result<_, _>>()?;
    Ok(Json(Endpoints { endpoints }))
}

/// Make an endpoint. Nothing goes there until you test it, or name its address in your preferences.
#[utoipa::path(
    post, path = "/provider/v1/webhook-endpoints", operation_id = "create_webhook_endpoint", tag = "webhooks",
    security(("provider_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body shows the same secret, for seven days.", min_length = 1, max_length = 128)),
    request_body = NewEndpoint,
    responses((status = 201, description = "Made.", body = WithSecret), Always, WithKey, WithBody, WithValues)
)]
pub(crate) async fn create(
    State(edge): State<Edge>,
    Named(key): Named,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(wanted): Body<NewEndpoint>,
) -> Result<Response, Refused> {
    let request = v1::CreateWebhookEndpointRequest {
        url: wanted.url,
        idempotency_key,
    };
    let answer = edge
        .dispatch()
        .create_webhook_endpoint(edge.named(&key, request))
        .await?
        .into_inner();
    with_secret(answer.endpoint, answer.secret)
}

/// Give an endpoint another secret. Messages are signed with both until the overlap is over.
#[utoipa::path(
    post, path = "/provider/v1/webhook-endpoints/{endpoint_id}/rotate", operation_id = "rotate_webhook_secret", tag = "webhooks",
    security(("provider_key" = [])),
    params(
        ("endpoint_id" = String, Path, format = "uuid", description = "As the list of endpoints names it."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body shows the same secret, for seven days.", min_length = 1, max_length = 128)
    ),
    request_body = Overlap,
    responses((status = 201, description = "Made.", body = WithSecret), Always, WithKey, WithName, WithBody, WithValues)
)]
pub(crate) async fn rotate(
    State(edge): State<Edge>,
    Named(key): Named,
    Segment(endpoint_id): Segment,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(wanted): Body<Overlap>,
) -> Result<Response, Refused> {
    let request = v1::RotateWebhookSecretRequest {
        endpoint_id,
        overlap_seconds: wanted.overlap_seconds,
        idempotency_key,
    };
    let answer = edge
        .dispatch()
        .rotate_webhook_secret(edge.named(&key, request))
        .await?
        .into_inner();
    with_secret(answer.endpoint, answer.secret)
}

/// Send a message of the type `endpoint.test` now, signed as notices are, and hear what came of it. At most ten a minute.
#[utoipa::path(
    post, path = "/provider/v1/webhook-endpoints/{endpoint_id}/test", operation_id = "test_webhook_endpoint", tag = "webhooks",
    security(("provider_key" = [])),
    params(("endpoint_id" = String, Path, format = "uuid", description = "As the list of endpoints names it.")),
    responses((status = 200, description = "What came of it: `outcome` is `delivered`, or says why not.", body = Delivery), Always, WithKey, WithName, WithValues)
)]
pub(crate) async fn test(
    State(edge): State<Edge>,
    Named(key): Named,
    Segment(endpoint_id): Segment,
    _: NoQuery,
) -> Result<Json<Delivery>, Refused> {
    let request = v1::TestWebhookEndpointRequest { endpoint_id };
    let answer = edge
        .dispatch()
        .test_webhook_endpoint(edge.named(&key, request))
        .await?
        .into_inner();
    Ok(Json(Delivery::of(answer.delivery.ok_or_else(damaged)?)?))
}

/// Delete an endpoint that is not in use.
#[utoipa::path(
    delete, path = "/provider/v1/webhook-endpoints/{endpoint_id}", operation_id = "delete_webhook_endpoint", tag = "webhooks",
    security(("provider_key" = [])),
    params(("endpoint_id" = String, Path, format = "uuid", description = "As the list of endpoints names it.")),
    responses((status = 204, description = "Deleted."), Always, WithKey, WithName, WithBody, WithValues)
)]
pub(crate) async fn delete(
    State(edge): State<Edge>,
    Named(key): Named,
    Segment(endpoint_id): Segment,
    _: NoQuery,
) -> Result<StatusCode, Refused> {
    let request = v1::DeleteWebhookEndpointRequest { endpoint_id };
    edge.dispatch()
        .delete_webhook_endpoint(edge.named(&key, request))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn with_secret(endpoint: Option<v1::WebhookEndpoint>, secret: String) -> Result<Response, Refused> {
    let endpoint = Endpoint::of(endpoint)?;
    let shown = WithSecret { endpoint, secret };
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}
