//! Whether the process lives, and whether staff can sign in: without verification no page can be shown.

use axum::extract::State;
use http::StatusCode;

use crate::edge::Edge;

pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

pub(crate) async fn ready(State(edge): State<Edge>) -> (StatusCode, &'static str) {
    if platform::grpc::is_ready(edge.deps.verification.clone()).await {
        return (StatusCode::OK, "ok\n");
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "verification does not answer: nobody can sign in\n",
    )
}
