//! A provider's webhook endpoints: their secrets, and a test of each. The preferences select the endpoint in
//! use.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use platform::error::Problem;
use proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deliveries::DeliveryAttempt;
use super::keys::{RotationRequest, with_overlap_in_seconds};
use crate::caller::{IdempotencyKey, RequiredCredential};
use crate::edge::Edge;
use crate::input::{Json as Body, NoQuery, Segment};
use crate::problem::{
    BodyProblems, CommonProblems, CredentialProblems, NotFoundProblems, ProblemResponse,
    ValidationProblems,
};
use crate::upstream::{malformed_response, rfc3339, rfc3339_required};

/// A webhook endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpoint {
    #[schema(format = "uuid")]
    endpoint_id: String,
    #[schema(format = "uri", example = "https://abuse.amber-host.example/takedown")]
    url: String,
    /// Whether notices are sent here; your preferences select it.
    in_use: bool,
    /// Whether messages are also signed with a shared secret (`v1`), in addition to `v1a`.
    has_secret: bool,
    /// Until when messages are also signed with the previous secret.
    #[schema(format = "date-time")]
    previous_secret_until: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
    /// When the endpoint answered 410 Gone. A successful test, or selecting it in the preferences,
    /// re-activates it.
    #[schema(format = "date-time")]
    retired_at: Option<String>,
}

impl WebhookEndpoint {
    fn from_proto(endpoint: Option<v1::WebhookEndpoint>) -> Result<Self, Problem> {
        let endpoint = endpoint.ok_or_else(malformed_response)?;
        Ok(Self {
            previous_secret_until: rfc3339(endpoint.previous_secret_until.as_ref())?,
            created_at: rfc3339_required(endpoint.created_at.as_ref())?,
            retired_at: rfc3339(endpoint.retired_at.as_ref())?,
            endpoint_id: endpoint.endpoint_id,
            url: endpoint.url,
            in_use: endpoint.in_use,
            has_secret: endpoint.has_secret,
        })
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpoints {
    /// Newest first.
    endpoints: Vec<WebhookEndpoint>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `url`")]
#[schema(example = json!({"url": "https://abuse.amber-host.example/takedown"}))]
pub(crate) struct NewWebhookEndpoint {
    /// An https URL without user information.
    #[schema(format = "uri", max_length = 2048)]
    url: String,
}

/// An endpoint and its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointWithSecret {
    endpoint: WebhookEndpoint,
    /// The shared secret (Standard Webhooks, `v1`). It is shown only in this response.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
}

/// Your webhook endpoints.
#[utoipa::path(
    get, path = "/provider/v1/webhook-endpoints", operation_id = "list_webhook_endpoints", tag = "webhooks",
    security(("provider_key" = [])),
    responses((status = 200, description = "All endpoints.", body = WebhookEndpoints), CommonProblems, CredentialProblems)
)]
pub(crate) async fn list(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    _: NoQuery,
) -> Result<Json<WebhookEndpoints>, ProblemResponse> {
    let response = edge
        .dispatch()
        .list_webhook_endpoints(
            edge.authenticated_request(&key, v1::ListWebhookEndpointsRequest {}),
        )
        .await?
        .into_inner();
    let endpoints = response
        .endpoints
        .into_iter()
        .map(|endpoint| WebhookEndpoint::from_proto(Some(endpoint)))
        .collect::<Result<_, _>>()?;
    Ok(Json(WebhookEndpoints { endpoints }))
}

/// Create an endpoint. Nothing is sent there until you test it or select its URL in your preferences.
#[utoipa::path(
    post, path = "/provider/v1/webhook-endpoints", operation_id = "create_webhook_endpoint", tag = "webhooks",
    security(("provider_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: for seven days, the same idempotency key with the same body returns the same secret.", min_length = 1, max_length = 128)),
    request_body = NewWebhookEndpoint,
    responses((status = 201, description = "Created.", body = EndpointWithSecret), CommonProblems, CredentialProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn create(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(body): Body<NewWebhookEndpoint>,
) -> Result<Response, ProblemResponse> {
    let request = v1::CreateWebhookEndpointRequest {
        url: body.url,
        idempotency_key,
    };
    let response = edge
        .dispatch()
        .create_webhook_endpoint(edge.authenticated_request(&key, request))
        .await?
        .into_inner();
    with_secret(response.endpoint, response.secret)
}

/// Replace the secret of an endpoint. Messages are signed with both secrets until the overlap ends.
#[utoipa::path(
    post, path = "/provider/v1/webhook-endpoints/{endpoint_id}/rotate", operation_id = "rotate_webhook_secret", tag = "webhooks",
    security(("provider_key" = [])),
    params(
        ("endpoint_id" = String, Path, format = "uuid", description = "The `endpoint_id` from the list of endpoints."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: for seven days, the same idempotency key with the same body returns the same secret.", min_length = 1, max_length = 128)
    ),
    request_body = RotationRequest,
    responses((status = 201, description = "Created.", body = EndpointWithSecret), CommonProblems, CredentialProblems, NotFoundProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn rotate(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Segment(endpoint_id): Segment,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(body): Body<RotationRequest>,
) -> Result<Response, ProblemResponse> {
    let request = v1::RotateWebhookSecretRequest {
        endpoint_id,
        overlap: body.overlap(),
        idempotency_key,
    };
    let response = edge
        .dispatch()
        .rotate_webhook_secret(edge.authenticated_request(&key, request))
        .await
        .map_err(with_overlap_in_seconds)?
        .into_inner();
    with_secret(response.endpoint, response.secret)
}

/// Send a message of the type `endpoint.test` now, signed like a notice, and return the outcome.
///
/// At most ten tests a minute are allowed.
#[utoipa::path(
    post, path = "/provider/v1/webhook-endpoints/{endpoint_id}/test", operation_id = "test_webhook_endpoint", tag = "webhooks",
    security(("provider_key" = [])),
    params(("endpoint_id" = String, Path, format = "uuid", description = "The `endpoint_id` from the list of endpoints.")),
    responses((status = 200, description = "The attempt: `outcome` is `delivered` or the code of the failure.", body = DeliveryAttempt), CommonProblems, CredentialProblems, NotFoundProblems, ValidationProblems)
)]
pub(crate) async fn test(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Segment(endpoint_id): Segment,
    _: NoQuery,
) -> Result<Json<DeliveryAttempt>, ProblemResponse> {
    let request = v1::TestWebhookEndpointRequest { endpoint_id };
    let response = edge
        .dispatch()
        .test_webhook_endpoint(edge.authenticated_request(&key, request))
        .await?
        .into_inner();
    Ok(Json(DeliveryAttempt::from_proto(
        response.delivery.ok_or_else(malformed_response)?,
    )?))
}

/// Delete an endpoint that is not in use.
#[utoipa::path(
    delete, path = "/provider/v1/webhook-endpoints/{endpoint_id}", operation_id = "delete_webhook_endpoint", tag = "webhooks",
    security(("provider_key" = [])),
    params(("endpoint_id" = String, Path, format = "uuid", description = "The `endpoint_id` from the list of endpoints.")),
    responses((status = 204, description = "Deleted."), CommonProblems, CredentialProblems, NotFoundProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn delete(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Segment(endpoint_id): Segment,
    _: NoQuery,
) -> Result<StatusCode, ProblemResponse> {
    let request = v1::DeleteWebhookEndpointRequest { endpoint_id };
    edge.dispatch()
        .delete_webhook_endpoint(edge.authenticated_request(&key, request))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn with_secret(
    endpoint: Option<v1::WebhookEndpoint>,
    secret: String,
) -> Result<Response, ProblemResponse> {
    let endpoint = WebhookEndpoint::from_proto(endpoint)?;
    let body = EndpointWithSecret { endpoint, secret };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}
