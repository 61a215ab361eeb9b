//! Whether the process lives, and whether it can do its work: that is, whether both owners can do theirs.

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
use crate::problem::Always;

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Json<Health> = Json(Health { status: "ok" });

/// The process lives.
#[utoipa::path(get, path = "/healthz", operation_id = "alive", tag = "operation", security(()), responses((status = 200, description = "It lives.", body = Health), Always))]
pub(crate) async fn alive(_: NoQuery) -> Json<Health> {
    OK
}

/// The gateway and the owners behind it can do their work.
#[utoipa::path(get, path = "/readyz", operation_id = "ready", tag = "operation", security(()), responses((status = 200, description = "It can do its work.", body = Health), Always))]
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
        "An owner behind the gateway does not answer; look at intake and dispatch.",
    )
    .retry_after(Duration::from_secs(1))
    .into_response()
}
