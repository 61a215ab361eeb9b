//! The health service of a role: what it reports, and its client.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::HealthReporter;

use super::{READY, ReadinessCheck};
use crate::service::ConsumerStates;

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

/// What a server reports about itself.
pub(super) struct HealthReports {
    pub(super) health: HealthReporter,
    pub(super) checks: Vec<ReadinessCheck>,
    /// The role whose consumers are reported.
    pub(super) consumers: Option<(&'static str, ConsumerStates)>,
}

impl HealthReports {
    /// Updates the reports once per second. The role is not ready from the start of the shutdown.
    pub(super) async fn watch(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            self.update().await;
        }
        self.report(READY, false).await;
    }

    pub(super) async fn update(&self) {
        let results = futures::future::join_all(self.checks.iter().map(|check| check())).await;
        self.report(READY, results.into_iter().all(|ready| ready))
            .await;
        if let Some((role, states)) = &self.consumers {
            for (producer, runs) in states.of_role(role) {
                self.report(&consumer_health(producer), runs).await;
            }
        }
    }

    async fn report(&self, name: &str, is_serving: bool) {
        let status = if is_serving {
            tonic_health::ServingStatus::Serving
        } else {
            tonic_health::ServingStatus::NotServing
        };
        self.health.set_service_status(name, status).await;
    }
}
