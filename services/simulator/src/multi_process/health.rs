//! Liveness and readiness of the processes, by their own health checks.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use platform::grpc::{self, READY};

use super::{Instance, MultiProcessSystem, POLL_INTERVAL};
use roles::role::Role;

impl MultiProcessSystem {
    /// Waits until a role is ready.
    ///
    /// # Errors
    /// Its process has ended, or it is not ready within the time.
    pub async fn wait_until_ready(
        &self,
        role: impl Into<Instance>,
        within: Duration,
    ) -> Result<()> {
        let role = role.into();
        let waiting = async {
            while !self.is_ready(role).await {
                if let Some(status) = self.process(role).exit_status().await? {
                    bail!(
                        "{role} ended with {status}: {}",
                        self.log(role).lines().last().unwrap_or("its log is empty")
                    );
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Ok(())
        };
        tokio::time::timeout(within, waiting)
            .await
            .with_context(|| format!("{role} was not ready in time; see its log"))?
    }

    /// True if the role and its dependencies can serve.
    pub async fn is_ready(&self, role: impl Into<Instance>) -> bool {
        self.is_healthy(role.into(), "readyz", READY).await
    }

    /// True if the role responds.
    pub async fn is_alive(&self, role: impl Into<Instance>) -> bool {
        self.is_healthy(role.into(), "healthz", "").await
    }

    /// Requests `path` from an edge role, and the gRPC health of `service` from a core role.
    async fn is_healthy(&self, instance: Instance, path: &str, service: &str) -> bool {
        let base = match instance.role() {
            Role::Gateway => &self.addresses.gateway,
            Role::Console => &self.addresses.console,
            Role::Intake | Role::Verification | Role::Dispatch | Role::Ledger => {
                return self.core_is_serving(instance, service).await;
            }
        };
        let response = reqwest::get(format!("{base}/{path}")).await;
        response.is_ok_and(|response| response.status().is_success())
    }

    async fn core_is_serving(&self, instance: Instance, service: &str) -> bool {
        let client_channel = || {
            let mut channels = self.client.channels().into_iter();
            let found = channels.find(|(name, _)| *name == instance.role().name());
            found.map(|(_, channel)| channel)
        };
        let channel = self.extra_channels.get(&instance).cloned();
        let Some(channel) = channel.or_else(client_channel) else {
            return false;
        };
        grpc::health(channel, service).await == Some(true)
    }
}
