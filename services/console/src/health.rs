//! Whether the process lives, and whether staff can sign in: without verification no page can be shown.

use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::edge::Edge;

const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

pub(crate) async fn ready(State(edge): State<Edge>) -> (StatusCode, &'static str) {
    let mut client = HealthClient::new(edge.deps.verification.clone());
    let check = client.check(HealthCheckRequest {
        service: platform::grpc::READY.to_owned(),
    });
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => {
            (StatusCode::OK, "ok\n")
        }
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "verification does not answer: nobody can sign in\n",
        ),
    }
}
