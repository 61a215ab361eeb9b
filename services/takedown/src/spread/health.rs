//! Whether a process is there and can do its work, by its own word.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use platform::grpc::{self, READY};

use super::{Instance, LOOK, Spread};
use crate::role::Role;

impl Spread {
    /// Waits until a role says that it can do its work. Fails at once when its process ends.
    pub async fn ready(&self, role: impl Into<Instance>, within: Duration) -> Result<()> {
        let role = role.into();
        let waiting = async {
            while !self.is_ready(role).await {
                if let Some(status) = self.process(role).ended().await? {
                    bail!(
                        "{role} ended with {status}: {}",
                        self.log(role).lines().last().unwrap_or("it wrote nothing")
                    );
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        tokio::time::timeout(within, waiting)
            .await
            .with_context(|| format!("{role} was not ready in time; see its log"))?
    }

    /// Whether a role says that it and what it needs are there.
    pub async fn is_ready(&self, role: impl Into<Instance>) -> bool {
        self.says(role.into(), "readyz", READY).await
    }

    /// Whether a role answers at all.
    pub async fn is_alive(&self, role: impl Into<Instance>) -> bool {
        self.says(role.into(), "healthz", "").await
    }

    /// Asks an edge at a path, a core role for a name of the health service.
    async fn says(&self, one: Instance, path: &str, service: &str) -> bool {
        let base = match one.role() {
            Role::Gateway => &self.addresses.gateway,
            Role::Console => &self.addresses.console,
            Role::Intake | Role::Verification | Role::Dispatch | Role::Ledger => {
                return self.core_says(one, service).await;
            }
        };
        let asked = reqwest::get(format!("{base}/{path}")).await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    async fn core_says(&self, one: Instance, service: &str) -> bool {
        let called = || {
            let mut channels = self.client.channels().into_iter();
            let found = channels.find(|(name, _)| *name == one.role().name());
            found.map(|(_, channel)| channel)
        };
        let Some(channel) = self.second.get(&one).cloned().or_else(called) else {
            return false;
        };
        grpc::health(channel, service).await == Some(true)
    }
}
