//! Starts every role in this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dispatch::policy::Policy;
use platform::Progress;
use platform::bus::BusConfig;
use platform::clock::Clock;
use platform::connector;
use platform::grpc;
use platform::sealed::Keyring;
use platform::shutdown::CancellationToken;
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::listen::RoleListeners;
use super::migrate::Pools;
use super::{LOCAL_OPERATOR, Settings};
use crate::client::{Addresses, Client};
use crate::role::Role;
use crate::role::start::{CoreParts, DispatchParts, RoleProcess};

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

/// What the roles are started with.
pub(super) struct RoleInputs {
    pub(super) settings: Settings,
    pub(super) policy: Arc<Policy>,
    pub(super) connector: connector::Policy,
    pub(super) keyring: Arc<Keyring>,
    pub(super) pools: Pools,
    pub(super) listeners: RoleListeners,
}

/// Starts every role.
pub(super) fn start(
    roles: &mut RoleProcess,
    inputs: RoleInputs,
    addresses: &Addresses,
) -> Result<()> {
    let RoleInputs {
        mut settings,
        policy,
        connector,
        keyring,
        pools,
        listeners,
    } = inputs;
    set_public_base(&mut settings, &addresses.gateway);
    let peers = |role| {
        let address = match role {
            Role::Intake => &addresses.intake,
            Role::Verification => &addresses.verification,
            Role::Dispatch => &addresses.dispatch,
            Role::Ledger => &addresses.ledger,
            Role::Gateway => &addresses.gateway,
            Role::Console => &addresses.console,
        };
        Ok(grpc::channel(address)?)
    };
    let bus = &settings.bus;
    let core = CoreInputs {
        keyring: &keyring,
        bus,
    };
    roles.intake(
        core.parts(pools.intake, settings.intake, listeners.intake),
        &peers,
    )?;
    let parts = core.parts(
        pools.verification,
        settings.verification,
        listeners.verification,
    );
    roles.verification(parts, &peers)?;
    let parts = core.parts(pools.dispatch, settings.dispatch, listeners.dispatch);
    roles.dispatch(parts, DispatchParts { policy, connector }, &peers)?;
    roles.ledger(
        core.parts(pools.ledger, settings.ledger, listeners.ledger),
        &peers,
    )?;
    let mail = Some(listeners.mail);
    roles.gateway(settings.gateway, listeners.gateway, mail, &peers)?;
    roles.console(settings.console, listeners.console, &peers)
}

/// What the core roles of this process share.
struct CoreInputs<'a> {
    keyring: &'a Arc<Keyring>,
    bus: &'a BusConfig,
}

impl CoreInputs<'_> {
    fn parts<C>(&self, pool: PgPool, settings: C, listener: TcpListener) -> CoreParts<C> {
        CoreParts {
            pool,
            keyring: Arc::clone(self.keyring),
            bus: self.bus.clone(),
            settings,
            listener: listener.into(),
        }
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
