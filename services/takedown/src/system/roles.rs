//! Every role in this process, wired together: what each depends on, and the bells between them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dispatch::policy::Policy;
use platform::bus::Bus;
use platform::clock::Clock;
use platform::connector;
use platform::grpc;
use platform::log::Hint;
use platform::sealed::Keyring;
use platform::shutdown::{CancellationToken, Tasks};
use secrecy::SecretString;

use super::listen::Listeners;
use super::migrate::Pools;
use super::{LOCAL_OPERATOR, Settings};
use crate::client::{Addresses, Client};
use crate::role::spawn::{self, Core, Reach};

/// From the start of a role to its first word.
const READY: Duration = Duration::from_secs(30);

/// Makes the local operator's account when there is no account at all, and opens a session for `client.toml`: an
/// empty one where that account is gone, which stops no role.
pub(crate) async fn local_operator(
    pools: &Pools,
    clock: &Clock,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<(Option<SecretString>, SecretString)> {
    let pool = &pools.verification;
    let password = verification::ensure_local_operator(pool, clock, LOCAL_OPERATOR).await?;
    if let Some(password) = &password {
        // Told at once: the account stands, whatever becomes of this start.
        say(&format!(
            "the local operator's account, shown this once: sign in as {LOCAL_OPERATOR} with {password}"
        ));
    }
    let session = match verification::open_local_session(pool, clock, LOCAL_OPERATOR).await {
        Err(error) if error.code() == "staff_unknown" => {
            say("the local operator's account was revoked: the commands have no credential here");
            String::new()
        }
        session => session?,
    };
    Ok((password.map(Into::into), session.into()))
}

pub(super) struct Start<'a> {
    pub(super) settings: Settings,
    pub(super) policy: Arc<Policy>,
    pub(super) connector: connector::Policy,
    pub(super) clock: Clock,
    pub(super) keyring: Arc<Keyring>,
    pub(super) pools: Pools,
    pub(super) addresses: &'a Addresses,
    pub(super) listeners: Listeners,
}

impl Start<'_> {
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
        reached_at(&mut settings, &addresses.gateway);
        let intake = grpc::channel(&addresses.intake)?;
        let verification = grpc::channel(&addresses.verification)?;
        let dispatch = grpc::channel(&addresses.dispatch)?;
        let ledger = grpc::channel(&addresses.ledger)?;
        let bus = Bus::open(&settings.bus, &keyring)?
            .with_log("intake", intake.clone())
            .with_log("verification", verification.clone())
            .with_log("dispatch", dispatch.clone());
        // Rung when a log has new positions, so that whoever hears it need not wait for the next look.
        let stamped_by_verification = Hint::default();
        let stamped_by_dispatch = Hint::default();

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
        let hints = verification::Hints {
            stamped: stamped_by_verification.clone(),
            dispatch: stamped_by_dispatch.clone(),
            ..Default::default()
        };
        spawn::verification(tasks, core, hints);

        let core = Core {
            pool: pools.dispatch,
            keyring: keyring.clone(),
            clock: clock.clone(),
            settings: settings.dispatch,
            bus: bus.clone(),
            listener: listeners.dispatch.into(),
        };
        let reach = Reach {
            policy,
            way_out: connector,
            ledger: ledger.clone(),
        };
        let hints = dispatch::Hints {
            stamped: stamped_by_dispatch,
            verification: stamped_by_verification,
        };
        spawn::dispatch(tasks, core, reach, hints);

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

/// Where nobody said how the outside reaches the gateway, it is reached where it listens: links in mails lead there.
fn reached_at(settings: &mut Settings, gateway: &str) {
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

/// Waits until every core role says that it can do its work.
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
        done = tokio::time::timeout(READY, all) => done.context("the roles were not ready in time; see the log"),
        () = token.cancelled() => bail!("a role ended before all were ready"),
    }
}
