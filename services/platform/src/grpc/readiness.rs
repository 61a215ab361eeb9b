//! Whether the dependencies of a role are available, as its health service reports it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::consumer_states::ConsumerStates;
use super::health::consumer_health;

/// Checks whether a dependency is available.
pub type ReadinessCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// A check that the database responds within two seconds.
pub fn database(pool: PgPool) -> ReadinessCheck {
    Arc::new(move || {
        let pool = pool.clone();
        Box::pin(async move {
            let ping = sqlx::query("-- ready\nselect 1").execute(&pool);
            matches!(
                tokio::time::timeout(Duration::from_secs(2), ping).await,
                Ok(Ok(_))
            )
        })
    })
}

/// What the health service reports about the services of a server.
pub(super) struct Readiness {
    pub(super) reporter: HealthReporter,
    pub(super) services: Vec<&'static str>,
    pub(super) checks: Vec<ReadinessCheck>,
    /// The role whose consumers are reported; they do not affect the readiness.
    pub(super) consumers: Option<(&'static str, ConsumerStates)>,
}

impl Readiness {
    /// Updates the readiness once per second. The role is not ready from the start of the shutdown.
    pub(super) async fn watch(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = tick.tick() => self.update().await,
            }
        }
        self.set(ServingStatus::NotServing).await;
    }

    pub(super) async fn update(&self) {
        let results = futures::future::join_all(self.checks.iter().map(|check| check())).await;
        self.set(status(results.into_iter().all(|ready| ready)))
            .await;
        if let Some((role, states)) = &self.consumers {
            for (producer, runs) in states.of_role(role) {
                let name = consumer_health(producer);
                self.reporter.set_service_status(name, status(runs)).await;
            }
        }
    }

    async fn set(&self, status: ServingStatus) {
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

fn status(is_serving: bool) -> ServingStatus {
    if is_serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}
