//! What was sent to a provider: looked at, and asked for again.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::Invalid;
use domain::word::DeliveryChannel;
use http::StatusCode;
use platform::error::Problem;
use proto::v1;
use proto::v1::redelivery_result::Result as Said;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::notices::{cursor, limit, named_as_here};
use crate::caller::Named;
use crate::edge::Edge;
use crate::input::{Fields, Json as Body, NoQuery, Query};
use crate::problem::{Always, Refused, WithBody, WithKey, WithValues, of_item};
use crate::reports::ItemProblem;
use crate::words::{self, damaged, rfc3339_required};

/// One attempt to hand a message over to you.
#[derive(Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "the field's word on every channel"
)]
pub(crate) struct Delivery {
    delivery_id: String,
    /// The same for every attempt: of a webhook, its `webhook-id`.
    #[schema(example = "msg_0b0e7c5e-5c0f-4d39-9a53-3d1f1f1c7a11_1")]
    message_id: String,
    /// None for a test.
    #[schema(format = "uuid")]
    notice_id: Option<String>,
    /// Of a webhook.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
    #[schema(schema_with = words::delivery_channel)]
    channel: &'static str,
    /// Counts from 1 for each message.
    attempt: u32,
    #[schema(format = "date-time")]
    at: String,
    /// How long it took, milliseconds.
    took_ms: u32,
    /// `delivered`, or the stable code of the failure, such as `http_5xx`, `timed_out`, `refused` or `gone`.
    #[schema(example = "delivered")]
    outcome: String,
    /// Of your answer, where there was one.
    http_status: Option<u32>,
}

impl Delivery {
    pub(super) fn of(delivery: v1::Delivery) -> Result<Self, Problem> {
        let optional = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self {
            channel: DeliveryChannel::from_wire(delivery.channel)
                .map_err(|_| damaged())?
                .as_str(),
            at: rfc3339_required(delivery.at.as_ref())?,
            delivery_id: delivery.delivery_id,
            message_id: delivery.message_id,
            notice_id: optional(delivery.notice_id),
            endpoint_id: optional(delivery.endpoint_id),
            attempt: delivery.attempt,
            took_ms: delivery.took_millis,
            outcome: delivery.outcome,
            http_status: (delivery.http_status > 0).then_some(delivery.http_status),
        })
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Deliveries {
    /// The newest first.
    deliveries: Vec<Delivery>,
    /// Goes on with older ones; null on the last page.
    next_cursor: Option<String>,
}

/// The parameters of a listing, for the API's document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are taken one by one")]
struct Listing {
    /// Only attempts with this notice.
    #[param(format = "uuid", required = false, value_type = String)]
    notice_id: Option<String>,
    /// Only attempts that came to this.
    #[param(inline, required = false, schema_with = outcome)]
    outcome: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$", required = false, value_type = String)]
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, required = false, value_type = u32)]
    limit: Option<u32>,
}

fn outcome() -> utoipa::openapi::schema::Object {
    utoipa::openapi::schema::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(["delivered", "failed"]))
        .build()
}

/// Attempts to hand messages over to you, for thirty days.
#[utoipa::path(
    get, path = "/provider/v1/deliveries", operation_id = "list_deliveries", tag = "webhooks",
    security(("provider_key" = [])),
    params(Listing),
    responses((status = 200, description = "A page of attempts.", body = Deliveries), Always, WithKey, WithValues)
)]
pub(crate) async fn list(
    State(edge): State<Edge>,
    Named(key): Named,
    Query(fields): Query,
) -> Result<Json<Deliveries>, Refused> {
    let request = wanted(fields)?;
    let page = edge
        .dispatch()
        .list_deliveries(edge.named(&key, request))
        .await
        .map_err(named_as_here)?
        .into_inner();
    let deliveries = page
        .deliveries
        .into_iter()
        .map(Delivery::of)
        .collect::<Result<_, _>>()?;
    Ok(Json(Deliveries {
        deliveries,
        next_cursor: Some(page.next_cursor).filter(|cursor| !cursor.is_empty()),
    }))
}

fn wanted(mut fields: Fields) -> Result<v1::ListDeliveriesRequest, Refused> {
    let notice_id = fields.take("notice_id")?.unwrap_or_default();
    let failed = match fields.take("outcome")?.as_deref() {
        None => None,
        Some("delivered") => Some(false),
        Some("failed") => Some(true),
        Some(_) => {
            return Err(Invalid::new(
                "word_unknown",
                "outcome",
                "`outcome` is not one of: delivered, failed",
            )
            .into());
        }
    };
    let cursor = cursor("cursor", &fields.take("cursor")?.unwrap_or_default())?;
    let size = limit(&mut fields)?;
    fields.finish()?;
    Ok(v1::ListDeliveriesRequest {
        page: Some(v1::Page { size, cursor }),
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
pub(crate) struct Redeliveries {
    /// Each is judged by itself.
    #[schema(min_items = 1, max_items = 100)]
    notice_ids: Vec<String>,
}

/// What became of one: how it goes out, or a `problem`.
#[derive(Serialize, ToSchema)]
pub(crate) struct RedeliveryResult {
    notice_id: String,
    #[schema(required = false, nullable = false, schema_with = words::delivery_channel)]
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ItemProblem>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RedeliveryResults {
    /// In the order of the ids.
    results: Vec<RedeliveryResult>,
}

/// Ask for the newest message about notices once more, under the same id. What waits for a retry goes out at once.
#[utoipa::path(
    post, path = "/provider/v1/redeliveries", operation_id = "redeliver", tag = "webhooks",
    security(("provider_key" = [])),
    request_body = Redeliveries,
    responses((status = 202, description = "What is on its way; the list of deliveries tells what comes of it.", body = RedeliveryResults), Always, WithKey, WithBody, WithValues)
)]
pub(crate) async fn redeliver(
    State(edge): State<Edge>,
    Named(key): Named,
    _: NoQuery,
    Body(wanted): Body<Redeliveries>,
) -> Result<Response, Refused> {
    let request = v1::RedeliverNoticesRequest {
        notice_ids: wanted.notice_ids,
    };
    let answer = edge
        .dispatch()
        .redeliver_notices(edge.named(&key, request))
        .await?
        .into_inner();
    let results = answer
        .results
        .into_iter()
        .map(|result| {
            let (channel, problem) = match result.result.ok_or_else(damaged)? {
                Said::Channel(wire) => {
                    let channel = DeliveryChannel::from_wire(wire).map_err(|_| damaged())?;
                    (Some(channel.as_str()), None)
                }
                Said::Problem(problem) => (None, Some(ItemProblem::of(of_item(&problem)))),
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
