//! Client of the health service of a role.

use std::time::Duration;

use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::READY;

/// Time limit of a health check.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The health of the role behind a channel. `service` is [`READY`], or empty for the process alone. `None` if
/// the role does not respond.
pub async fn health(channel: Channel, service: &str) -> Option<bool> {
    let mut client = HealthClient::new(channel);
    let check = client.check(HealthCheckRequest {
        service: service.to_owned(),
    });
    let response = tokio::time::timeout(TIMEOUT, check).await.ok()?.ok()?;
    Some(response.get_ref().status() == ServingStatus::Serving)
}

/// True if the role behind a channel is ready.
pub async fn is_ready(channel: Channel) -> bool {
    health(channel, READY).await == Some(true)
}

/// The name under which the health service reports whether the consumer of this producer runs.
pub fn consumer_health(producer: &str) -> String {
    format!("consumer/{producer}")
}
