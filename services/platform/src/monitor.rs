//! What watches a role from outside asks here, over plain HTTP on a port of its own: whether it lives, whether it can do
//! its work, and its metrics. Shows no id of a case and takes nothing in.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::grpc::Check;
use crate::telemetry::Telemetry;

/// Prometheus' text format, version 0.0.4.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Monitor {
    ready: Check,
    telemetry: Telemetry,
}

/// Serves `/livez`, `/readyz` and `/metrics` until the shutdown.
pub async fn serve(
    listener: TcpListener,
    ready: Check,
    telemetry: Telemetry,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let monitor = Arc::new(Monitor { ready, telemetry });
    let routes = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(monitor);
    axum::serve(listener, routes)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

async fn readyz(State(monitor): State<Arc<Monitor>>) -> impl IntoResponse {
    if (monitor.ready)().await {
        (StatusCode::OK, "ok\n")
    } else {
        let why = "it lives, and something that it needs does not answer; see its log\n";
        (StatusCode::SERVICE_UNAVAILABLE, why)
    }
}

async fn metrics(State(monitor): State<Arc<Monitor>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT)], monitor.telemetry.metrics())
}
