//! Starts every role in this process, with its dependencies and the wake-ups between them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dispatch::policy::Policy;
use platform::Progress;
use platform::bus::Bus;
use platform::clock::Clock;
use platform::connector;
use platform::grpc;
use platform::log::Wakeup;
use platform::sealed::Keyring;
use platform::shutdown::{CancellationToken, Tasks};
use secrecy::SecretString;

use super::listen::RoleListeners;
use super::migrate::Pools;
use super::{LOCAL_OPERATOR, Settings};
use crate::client::{Addresses, Client};
use crate::role::spawn::{self, Core, Egress};

/// Limit for all roles to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates the local operator's account if there is no account at all, and opens a session for `client.toml`.
/// If that account has been revoked, the session is empty and the roles start nevertheless.
pub async fn local_operator(
    pools: &Pools,
    clock: &Clock,
    progress: Progress<'_>,
) -> Result<(Option<SecretString>, SecretString)> {
    let pool = &pools.verification;
    let password = verification::ensure_local_operator(pool, clock, LOCAL_OPERATOR).await?;
    if let Some(password) = &password {
        // Reported at once: the account exists even if this start fails.
        progress(&format!(
            "the local operator's account, shown only once: sign in as {LOCAL_OPERATOR} with {password}"
        ));
    }
    let session = match verification::open_local_session(pool, clock, LOCAL_OPERATOR).await {
        Err(error) if error.code() == "staff_unknown" => {
            progress("the local operator's account is revoked: client.toml has no credential");
            String::new()
        }
        session => session?,
    };
    Ok((password.map(Into::into), session.into()))
}

pub(super) struct RoleStarter<'a> {
    pub(super) settings: Settings,
    pub(super) policy: Arc<Policy>,
    pub(super) connector: connector::Policy,
    pub(super) clock: Clock,
    pub(super) keyring: Arc<Keyring>,
    pub(super) pools: Pools,
    pub(super) addresses: &'a Addresses,
    pub(super) listeners: RoleListeners,
}

impl RoleStarter<'_> {
    pub(super) fn spawn(self, tasks: &mut Tasks) -> Result<()> {
        let Self {
            mut settings,
            policy,
            connector,
            clock,
            keyring,
            pools,
            addresses,
            listeners,
        } = self;
        set_public_base(&mut settings, &addresses.gateway);
        let intake = grpc::channel(&addresses.intake)?;
        let verification = grpc::channel(&addresses.verification)?;
        let dispatch = grpc::channel(&addresses.dispatch)?;
        let ledger = grpc::channel(&addresses.ledger)?;
        let bus = Bus::open(&settings.bus, &keyring)?
            .with_log("intake", intake.clone())
            .with_log("verification", verification.clone())
            .with_log("dispatch", dispatch.clone());
        // Notified when a log has new positions, so that consumers need not wait for the next poll.
        let positioned_by_verification = Wakeup::default();
        let positioned_by_dispatch = Wakeup::default();

        let core = Core {
            pool: pools.intake,
            keyring: keyring.clone(),
            clock: clock.clone(),
            settings: settings.intake,
            bus: bus.clone(),
            listener: listeners.intake.into(),
        };
        spawn::intake(tasks, core);

        let core = Core {
            pool: pools.verification,
            keyring: keyring.clone(),
            clock: clock.clone(),
            settings: settings.verification,
            bus: bus.clone(),
            listener: listeners.verification.into(),
        };
        let wakeups = verification::Wakeups {
            positioned: positioned_by_verification.clone(),
            dispatch: positioned_by_dispatch.clone(),
            ..Default::default()
        };
        spawn::verification(tasks, core, wakeups);

        let core = Core {
            pool: pools.dispatch,
            keyring: keyring.clone(),
            clock: clock.clone(),
            settings: settings.dispatch,
            bus: bus.clone(),
            listener: listeners.dispatch.into(),
        };
        let egress = Egress {
            policy,
            connector,
            ledger: ledger.clone(),
        };
        let wakeups = dispatch::DispatchWakeups {
            positioned: positioned_by_dispatch,
            verification: positioned_by_verification,
        };
        spawn::dispatch(tasks, core, egress, wakeups);

        let core = Core {
            pool: pools.ledger,
            keyring,
            clock,
            settings: settings.ledger,
            bus,
            listener: listeners.ledger.into(),
        };
        spawn::ledger(tasks, core);

        let deps = gateway::Deps {
            intake: intake.clone(),
            dispatch: dispatch.clone(),
            mail: Some(listeners.mail),
            config: settings.gateway,
        };
        spawn::gateway(tasks, deps, listeners.gateway);

        let deps = console::Deps {
            intake,
            verification,
            dispatch,
            ledger,
            config: settings.console,
        };
        spawn::console(tasks, deps, listeners.console);
        Ok(())
    }
}

/// Without a configured public address, links in mails use the address on which the gateway listens.
fn set_public_base(settings: &mut Settings, gateway: &str) {
    let (notices, pages) = (
        &mut settings.dispatch.hotline.public_base,
        &mut settings.gateway.public_base,
    );
    if *notices == dispatch::Config::default().hotline.public_base {
        gateway.clone_into(notices);
    }
    if *pages == gateway::Config::default().public_base {
        gateway.clone_into(pages);
    }
}

/// Waits until every core role is ready.
pub(super) async fn ready(client: &Client, token: &CancellationToken) -> Result<()> {
    let all = async {
        for (name, channel) in client.channels() {
            while !grpc::is_ready(channel.clone()).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tracing::debug!(role = name, "ready");
        }
    };
    tokio::select! {
        done = tokio::time::timeout(READY_TIMEOUT, all) => done.context("the roles were not ready in time; see the log"),
        () = token.cancelled() => bail!("a role ended before all were ready"),
    }
}
