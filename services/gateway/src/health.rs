//! Liveness and readiness. The gateway is ready if intake and dispatch are.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use platform::error::{Kind, Problem};
use platform::grpc::is_ready;
use serde::Serialize;
use utoipa::ToSchema;

use crate::edge::Edge;
use crate::input::NoQuery;
use crate::problem::CommonProblems;

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Json<Health> = Json(Health { status: "ok" });

/// Liveness: the process runs.
#[utoipa::path(get, path = "/healthz", operation_id = "alive", tag = "operation", security(()), responses((status = 200, description = "The process runs.", body = Health), CommonProblems))]
pub(crate) async fn alive(_: NoQuery) -> Json<Health> {
    OK
}

/// Readiness: the gateway, intake and dispatch can serve requests.
#[utoipa::path(get, path = "/readyz", operation_id = "ready", tag = "operation", security(()), responses((status = 200, description = "Requests can be served.", body = Health), CommonProblems))]
pub(crate) async fn ready(State(edge): State<Edge>, _: NoQuery) -> Response {
    let (intake, dispatch) = futures::join!(
        is_ready(edge.intake_channel.clone()),
        is_ready(edge.dispatch_channel.clone())
    );
    if intake && dispatch {
        return OK.into_response();
    }
    Problem::new(
        Kind::Unavailable,
        "not_ready",
        "Intake or dispatch is not ready; check both services.",
    )
    .retry_after(Duration::from_secs(1))
    .into_response()
}
