//! Liveness, readiness and metrics of a role, over plain HTTP on a port of its own. It exposes no id of a
//! case and accepts no input.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::grpc::{ConsumerStates, ReadinessCheck};
use crate::telemetry::Telemetry;

/// Prometheus text format, version 0.0.4.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Monitor {
    ready: ReadinessCheck,
    consumers: ConsumerStates,
    telemetry: Telemetry,
}

/// Serves `/livez`, `/readyz` and `/metrics` until the shutdown.
pub async fn serve(
    listener: TcpListener,
    ready: ReadinessCheck,
    consumers: ConsumerStates,
    telemetry: Telemetry,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let monitor = Arc::new(Monitor {
        ready,
        consumers,
        telemetry,
    });
    let routes = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(monitor);
    axum::serve(listener, routes)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

/// A stopped consumer is reported, but the role stays ready: it can do the rest of its work.
async fn readyz(State(monitor): State<Arc<Monitor>>) -> (StatusCode, String) {
    let (status, mut text) = if (monitor.ready)().await {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        let reason = "not ready: a dependency does not answer; see the log of this role\n";
        (StatusCode::SERVICE_UNAVAILABLE, reason.to_owned())
    };
    for (role, producer) in monitor.consumers.stopped() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "stopped: {role} no longer consumes the events of {producer}; see the alarm in its log"
        );
    }
    (status, text)
}

async fn metrics(State(monitor): State<Arc<Monitor>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT)], monitor.telemetry.metrics())
}
