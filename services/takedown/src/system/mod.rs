//! The whole system in one process: every role on the Local bus, over one database.
//!
//! [`System::start`] does what `takedown up`, the demo and the tests need alike: database, keyring, migrations,
//! listeners, roles, the local operator and `client.toml`. It must not decide anything that a role decides.

mod database;
mod keys;
mod listen;
mod migrate;
mod roles;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dispatch::policy::Policy;
use platform::bus::BusConfig;
use platform::clock::Clock;
use platform::connector;
use platform::error::{Kind, Problem};
use platform::sealed::Keyring;
use platform::shutdown::{CancellationToken, TaskFailed, Tasks};
use platform::telemetry::Telemetry;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use crate::client::{Addresses, Client, Operator, Profile};
use crate::role::monitor::{self, Monitor};
use database::Database;
use listen::Listeners;

pub use keys::keyring_path;
pub(crate) use keys::{checkpoint_keys, open as open_keyring};
pub use listen::Listen;
pub(crate) use migrate::migrate_some;
pub use migrate::{Pools, SERVICES, SHARED_LOGS, make_topics, migrate, set_passwords};
pub(crate) use roles::local_operator;

/// Name of the account that the first start makes.
pub const LOCAL_OPERATOR: &str = "local-operator";

/// The escalation policy that a system has by default.
pub const PRODUCTION_POLICY: &str = include_str!("../../../../deploy/policies/production.yaml");

/// The one whose hours are seconds.
pub const DEMO_POLICY: &str = include_str!("../../../../deploy/policies/demo.yaml");

/// For the roles to finish what is in flight. The database needs a few seconds more of the 25 that an end may take.
const DRAIN: Duration = Duration::from_secs(21);

/// For the connections to come back.
const CLOSE: Duration = Duration::from_secs(1);

/// The settings of every role, each with its own defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub intake: intake::Config,
    pub verification: verification::Config,
    pub dispatch: dispatch::Config,
    pub ledger: ledger::Config,
    pub gateway: gateway::Config,
    pub console: console::Config,
    pub bus: BusConfig,
    pub monitor: Monitor,
}

/// What to start, and where.
#[derive(Clone)]
pub struct Options {
    /// Keyring, `client.toml` and, where no address is given, the database.
    pub data_dir: PathBuf,
    /// None starts the private Postgres of the data folder.
    pub database_url: Option<SecretString>,
    pub gateway: Listen,
    /// Where mails come back to, for a `dispatch.mail.return_domain`.
    pub mail: Listen,
    pub console: Listen,
    pub clock: Clock,
    /// Who is reminded of what, and when; see [`policy`].
    pub policy: Arc<Policy>,
    /// For everything that goes out. Its map stays empty, except in the demo and in tests.
    pub connector: connector::Policy,
    pub settings: Settings,
}

impl Options {
    /// Everything by default, on free ports.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            database_url: None,
            gateway: Listen::free(),
            mail: Listen::free(),
            console: Listen::free(),
            clock: Clock::Database,
            policy: policy(PRODUCTION_POLICY).expect("a test reads the policies that are built in"),
            connector: connector::Policy::default(),
            settings: Settings::default(),
        }
    }
}

/// A running system. Dropping it ends it, abruptly for what is in flight; [`System::stop`] waits.
pub struct System {
    addresses: Addresses,
    mail_door: SocketAddr,
    client: Client,
    keyring: Arc<Keyring>,
    new_password: Option<SecretString>,
    ledger_origin: String,
    bus: BusConfig,
    token: CancellationToken,
    roles: JoinHandle<Result<(), TaskFailed>>,
    telemetry: Telemetry,
    _end: DropGuard,
    pools: Pools,
    /// Freed last: the roles need it until they have ended.
    database: Database,
}

impl System {
    /// Starts everything and waits until every role is ready. `say` is told what takes time and what was decided.
    pub async fn start(options: Options, say: &(dyn Fn(&str) + Send + Sync)) -> Result<Self> {
        // Somebody may have chosen one already; then it stays.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let database = Database::open(&options.data_dir, options.database_url.clone(), say).await?;
        let url = database.url().expose_secret();
        let keyring = Arc::new(keys::open(&options.data_dir, url).await?);
        migrate(url, options.settings.bus.kind)
            .await
            .context("migrating the database")?;
        let pools = Pools::open(url).await?;

        let listeners = Listeners::bind(&options, say).await?;
        let addresses = listeners.addresses()?;
        let mail_door = listeners.mail.local_addr()?;
        let (new_password, session) = roles::local_operator(&pools, &options.clock, say).await?;
        let client = Client::new(&addresses, session.clone())?;

        let ledger_origin = options.settings.ledger.origin.clone();
        let bus = options.settings.bus.clone();
        let watching = options.settings.monitor.clone();
        let telemetry = Telemetry::start("takedown")?;
        let token = CancellationToken::new();
        let mut tasks = Tasks::new(token.clone());
        let start = roles::Start {
            settings: options.settings,
            policy: options.policy,
            connector: options.connector,
            clock: options.clock,
            keyring: keyring.clone(),
            pools: pools.clone(),
            addresses: &addresses,
            listeners,
        };
        start.spawn(&mut tasks)?;
        let roles = client.channels().into_iter().map(|(_, channel)| channel);
        let ready = monitor::answers(roles.collect());
        watching.serve(&mut tasks, ready, telemetry.clone()).await?;
        let end = token.clone().drop_guard();
        let supervised = {
            let token = token.clone();
            async move {
                let outcome = tasks.finish(DRAIN).await;
                token.cancel();
                outcome
            }
        };
        let system = Self {
            addresses,
            mail_door,
            client,
            keyring,
            new_password,
            ledger_origin,
            bus,
            token,
            roles: tokio::spawn(supervised),
            telemetry,
            _end: end,
            pools,
            database,
        };
        if let Err(late) = roles::ready(&system.client, &system.token).await {
            // A role that failed says more than the wait for it.
            system.stop().await?;
            return Err(late);
        }
        system.profile(session).write(&options.data_dir)?;
        Ok(system)
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Where mails come back to, by SMTP.
    pub fn mail_door(&self) -> SocketAddr {
        self.mail_door
    }

    /// The services as the local operator, who has every role.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Of the local operator's account when this start made it: `say` was told it, and it is kept nowhere.
    pub fn new_password(&self) -> Option<&SecretString> {
        self.new_password.as_ref()
    }

    /// With the password in it.
    pub fn database_url(&self) -> &SecretString {
        self.database.url()
    }

    /// The private Postgres, where there is one: its files, its programs, its process.
    pub fn embedded(&self) -> Option<&platform::embedded::Embedded> {
        self.database.embedded()
    }

    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Cancel it to begin the end. It is cancelled when a role fails; then [`System::stop`] says which.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Waits until somebody cancels the token or a role fails, then ends everything.
    pub async fn ended(self) -> Result<()> {
        self.token.cancelled().await;
        let outcome = self.roles.await.context("waiting for the roles to end")?;
        // Whoever still holds a connection after the drain loses it with the database.
        let _ = tokio::time::timeout(CLOSE, self.pools.close()).await;
        self.telemetry.end().await;
        let stopped = self.database.stop().await;
        outcome?;
        stopped
    }

    /// Ends everything within 25 seconds.
    pub async fn stop(self) -> Result<()> {
        self.token.cancel();
        self.ended().await
    }

    fn profile(&self, session: SecretString) -> Profile {
        Profile {
            addresses: self.addresses.clone(),
            operator: Operator {
                name: LOCAL_OPERATOR.to_owned(),
                session,
            },
            database_url: self.embedded().map(|_| self.database_url().clone()),
            checkpoint_keys: keys::checkpoint_keys(&self.keyring),
            ledger_origin: self.ledger_origin.clone(),
            tls: None,
            bus: self.bus.clone(),
        }
    }
}

/// Reads an escalation policy; its first mistake where there is one.
pub fn policy(text: &str) -> Result<Arc<Policy>, Problem> {
    dispatch::policy::parse(text).map(Arc::new).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        Problem::new(
            Kind::Invalid,
            "policy_wrong",
            format!("The escalation policy is not right, {first}. `takedown policy lint` names every mistake."),
        )
    })
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_that_are_built_in_are_right() {
        for text in [PRODUCTION_POLICY, DEMO_POLICY] {
            assert_eq!(dispatch::policy::lint(text), []);
        }
    }
}
