//! The log of delivery attempts, and requests for redelivery.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::Invalid;
use domain::enums::DeliveryChannel;
use domain::wire::parse_duration;
use http::StatusCode;
use platform::error::Problem;
use proto::v1;
use proto::v1::redelivery_result::Result as RedeliveryOutcome;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::notices::{cursor, limit, with_our_parameters};
use crate::caller::RequiredCredential;
use crate::edge::Edge;
use crate::enum_schemas;
use crate::input::{Fields, Json as Body, NoQuery, Query};
use crate::problem::{
    BodyProblems, CommonProblems, CredentialProblems, ProblemResponse, ValidationProblems,
    problem_from_item,
};
use crate::reports::ItemProblem;
use crate::upstream::{malformed_response, rfc3339_required};

/// One attempt to deliver a message to you.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryAttempt {
    delivery_id: String,
    /// The same for every attempt. For webhooks, the `webhook-id`.
    #[schema(example = "msg_0b0e7c5e-5c0f-4d39-9a53-3d1f1f1c7a11_1")]
    message_id: String,
    /// Null for a test.
    #[schema(format = "uuid")]
    notice_id: Option<String>,
    /// The endpoint, for webhooks.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
    #[schema(schema_with = enum_schemas::delivery_channel)]
    channel: &'static str,
    /// Number of the attempt for this message, from 1.
    attempt: u32,
    #[schema(format = "date-time")]
    at: String,
    /// Duration in milliseconds.
    took_ms: u32,
    /// `delivered`, or a stable code of the failure, such as `http_5xx`, `timed_out`, `refused` or `gone`.
    #[schema(example = "delivered")]
    outcome: String,
    /// The status of your HTTP response, if there was one.
    http_status: Option<u32>,
}

impl DeliveryAttempt {
    pub(super) fn from_proto(delivery: v1::Delivery) -> Result<Self, Problem> {
        let optional = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self {
            channel: DeliveryChannel::from_wire(delivery.channel)
                .map_err(|_| malformed_response())?
                .as_str(),
            at: rfc3339_required(delivery.at.as_ref())?,
            delivery_id: delivery.delivery_id,
            message_id: delivery.message_id,
            notice_id: optional(delivery.notice_id),
            endpoint_id: optional(delivery.endpoint_id),
            attempt: delivery.attempt,
            took_ms: delivery.took.as_ref().map_or(Ok(0), whole_milliseconds)?,
            outcome: delivery.outcome,
            http_status: (delivery.http_status > 0).then_some(delivery.http_status),
        })
    }
}

fn whole_milliseconds(length: &prost_types::Duration) -> Result<u32, Problem> {
    parse_duration("took", length)
        .ok()
        .and_then(|length| u32::try_from(length.whole_milliseconds()).ok())
        .ok_or_else(malformed_response)
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryPage {
    /// Newest first.
    deliveries: Vec<DeliveryAttempt>,
    /// For the next page, with older attempts; null on the last page.
    next_cursor: Option<String>,
}

/// The query parameters, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are parsed one by one")]
struct DeliveryQuery {
    /// Only attempts for this notice.
    #[param(format = "uuid", required = false, value_type = String)]
    notice_id: Option<String>,
    /// Only attempts with this outcome.
    #[param(inline, required = false, schema_with = outcome)]
    outcome: Option<String>,
    /// `next_cursor` of the previous page.
    #[param(pattern = "^[0-9]{1,18}$", required = false, value_type = String)]
    cursor: Option<String>,
    /// Maximum number of attempts in a page.
    #[param(minimum = 1, maximum = 1000, required = false, value_type = u32)]
    limit: Option<u32>,
}

fn outcome() -> utoipa::openapi::schema::Object {
    utoipa::openapi::schema::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(["delivered", "failed"]))
        .build()
}

/// Attempts to deliver messages to you. Kept for thirty days.
#[utoipa::path(
    get, path = "/provider/v1/deliveries", operation_id = "list_deliveries", tag = "webhooks",
    security(("provider_key" = [])),
    params(DeliveryQuery),
    responses((status = 200, description = "A page of attempts.", body = DeliveryPage), CommonProblems, CredentialProblems, ValidationProblems)
)]
pub(crate) async fn list(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Query(fields): Query,
) -> Result<Json<DeliveryPage>, ProblemResponse> {
    let request = parse_query(fields)?;
    let page = edge
        .dispatch()
        .list_deliveries(edge.authenticated_request(&key, request))
        .await
        .map_err(with_our_parameters)?
        .into_inner();
    let deliveries = page
        .deliveries
        .into_iter()
        .map(DeliveryAttempt::from_proto)
        .collect::<Result<_, _>>()?;
    Ok(Json(DeliveryPage {
        deliveries,
        next_cursor: Some(page.next_page_token).filter(|cursor| !cursor.is_empty()),
    }))
}

fn parse_query(mut fields: Fields) -> Result<v1::ListDeliveriesRequest, ProblemResponse> {
    let notice_id = fields.take("notice_id")?.unwrap_or_default();
    let failed = match fields.take("outcome")?.as_deref() {
        None => None,
        Some("delivered") => Some(false),
        Some("failed") => Some(true),
        Some(_) => {
            return Err(Invalid::new(
                "value_unknown",
                "outcome",
                "`outcome` is not one of: delivered, failed",
            )
            .into());
        }
    };
    let page_token = cursor("cursor", &fields.take("cursor")?.unwrap_or_default())?;
    let page_size = limit(&mut fields)?;
    fields.finish()?;
    Ok(v1::ListDeliveriesRequest {
        page_size,
        page_token,
        notice_id,
        failed,
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with the list `notice_ids`"
)]
#[schema(example = json!({"notice_ids": ["0b0e7c5e-5c0f-4d39-9a53-3d1f1f1c7a11"]}))]
pub(crate) struct RedeliveryRequest {
    /// Each id has its own result.
    #[schema(min_items = 1, max_items = 100)]
    notice_ids: Vec<String>,
}

/// The result for one notice: the delivery `channel`, or a `problem`.
#[derive(Serialize, ToSchema)]
pub(crate) struct RedeliveryResult {
    notice_id: String,
    #[schema(required = false, nullable = false, schema_with = enum_schemas::delivery_channel)]
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ItemProblem>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RedeliveryResults {
    /// In the order of `notice_ids`.
    results: Vec<RedeliveryResult>,
}

/// Request the newest message about notices again, under the same message id.
///
/// A message that waits for a retry is sent immediately.
#[utoipa::path(
    post, path = "/provider/v1/redeliveries", operation_id = "redeliver", tag = "webhooks",
    security(("provider_key" = [])),
    request_body = RedeliveryRequest,
    responses((status = 202, description = "Accepted; the list of deliveries shows the outcome.", body = RedeliveryResults), CommonProblems, CredentialProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn redeliver(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    _: NoQuery,
    Body(body): Body<RedeliveryRequest>,
) -> Result<Response, ProblemResponse> {
    let request = v1::RedeliverNoticesRequest {
        notice_ids: body.notice_ids,
    };
    let response = edge
        .dispatch()
        .redeliver_notices(edge.authenticated_request(&key, request))
        .await?
        .into_inner();
    let results = response
        .results
        .into_iter()
        .map(|result| {
            let (channel, problem) = match result.result.ok_or_else(malformed_response)? {
                RedeliveryOutcome::Channel(wire) => {
                    let channel =
                        DeliveryChannel::from_wire(wire).map_err(|_| malformed_response())?;
                    (Some(channel.as_str()), None)
                }
                RedeliveryOutcome::Problem(problem) => (
                    None,
                    Some(ItemProblem::from_problem(problem_from_item(&problem))),
                ),
            };
            Ok(RedeliveryResult {
                notice_id: result.notice_id,
                channel,
                problem,
            })
        })
        .collect::<Result<_, Problem>>()?;
    Ok((StatusCode::ACCEPTED, Json(RedeliveryResults { results })).into_response())
}
