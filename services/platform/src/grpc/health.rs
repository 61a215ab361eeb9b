//! Asking a role how it is, as whoever calls it sees it.

use std::time::Duration;

use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::READY;

/// Longer than a role that is well needs to say so.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the role behind a channel says of itself, or of a part of it ([`READY`]; empty for the process alone); None where
/// it does not answer.
pub async fn health(channel: Channel, service: &str) -> Option<bool> {
    let mut client = HealthClient::new(channel);
    let asked = client.check(HealthCheckRequest {
        service: service.to_owned(),
    });
    let answer = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    Some(answer.get_ref().status() == ServingStatus::Serving)
}

/// Whether the role behind a channel says that it can do its work.
pub async fn is_ready(channel: Channel) -> bool {
    health(channel, READY).await == Some(true)
}
