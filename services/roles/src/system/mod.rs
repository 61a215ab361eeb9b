//! The whole system in one process: every role on the Local bus, over one database.
//!
//! [`System::start`] sets up what `takedown up`, the demo and the tests need: database, keyring, migrations,
//! listeners, roles, the local operator and `client.toml`.

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
use platform::Progress;
use platform::bus::BusConfig;
use platform::clock::Clock;
use platform::connector;
use platform::sealed::Keyring;
use platform::shutdown::{CancellationToken, TaskFailed, Tasks};
use platform::telemetry::Telemetry;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use crate::client::{Addresses, Client, Operator, Profile};
use crate::role::monitor::{self, Monitor};
use crate::role::start::RoleProcess;
use listen::RoleListeners;

pub use crate::escalation_policy::{DEMO_POLICY, PRODUCTION_POLICY, policy};
pub use crate::role::SHARED_LOGS;
pub use database::Database;
pub use keys::{checkpoint_keys, keyring_path, open as open_keyring};
pub use listen::Listen;
pub use migrate::{Pools, SERVICES, create_topics, migrate, migrate_some, set_passwords};
pub use roles::local_operator;

/// Name of the account that the first start creates.
pub const LOCAL_OPERATOR: &str = "local-operator";

/// Limit for work in flight. Stopping the database takes a few more seconds of the 25 that shutdown may take.
const DRAIN: Duration = Duration::from_secs(21);

/// Limit for closing the connection pools.
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
    /// Folder of keyring, `client.toml` and, without `database_url`, the database.
    pub data_dir: PathBuf,
    /// None starts the private Postgres of the data folder.
    pub database_url: Option<SecretString>,
    pub gateway: Listen,
    /// Inbound mail, for `dispatch.mail.return_domain`.
    pub mail: Listen,
    pub console: Listen,
    pub clock: Clock,
    /// The escalation policy; see [`policy`].
    pub policy: Arc<Policy>,
    /// For outgoing connections. Its map is empty except in the demo and in tests.
    pub connector: connector::Policy,
    pub settings: Settings,
}

impl Options {
    /// Defaults, on free ports.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            database_url: None,
            gateway: Listen::free(),
            mail: Listen::free(),
            console: Listen::free(),
            clock: Clock::Database,
            policy: policy(PRODUCTION_POLICY).expect("a test parses the built-in policies"),
            connector: connector::Policy::default(),
            settings: Settings::default(),
        }
    }
}

/// A running system. Dropping it aborts work in flight; [`System::stop`] waits for it.
pub struct System {
    addresses: Addresses,
    mail_address: SocketAddr,
    client: Client,
    keyring: Arc<Keyring>,
    new_password: Option<SecretString>,
    ledger_origin: String,
    bus: BusConfig,
    token: CancellationToken,
    roles: JoinHandle<Result<(), TaskFailed>>,
    telemetry: Telemetry,
    _cancel_on_drop: DropGuard,
    pools: Pools,
    /// Dropped last: the roles need it until they have ended.
    database: Database,
}

impl System {
    /// Starts everything and waits until every role is ready. `progress` receives a line about each slow step
    /// and each choice made.
    pub async fn start(options: Options, progress: Progress<'_>) -> Result<Self> {
        // Fails if the process has installed one already, which is then used.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let database =
            Database::open(&options.data_dir, options.database_url.clone(), progress).await?;
        let url = database.url().expose_secret();
        let keyring = Arc::new(keys::open(&options.data_dir, url).await?);
        migrate(url, options.settings.bus.kind)
            .await
            .context("migrating the database")?;
        let pools = Pools::open(url).await?;

        let listeners = RoleListeners::bind(&options, progress).await?;
        let addresses = listeners.addresses()?;
        let mail_address = listeners.mail.local_addr()?;
        let (new_password, session) =
            roles::local_operator(&pools, &options.clock, progress).await?;
        let client = Client::new(&addresses, session.clone())?;

        let ledger_origin = options.settings.ledger.origin.clone();
        let bus = options.settings.bus.clone();
        let monitor_settings = options.settings.monitor.clone();
        let telemetry = Telemetry::start("takedown")?;
        let token = CancellationToken::new();
        let mut roles = RoleProcess::new(Tasks::new(token.clone()), options.clock);
        let inputs = roles::RoleInputs {
            settings: options.settings,
            policy: options.policy,
            connector: options.connector,
            keyring: keyring.clone(),
            pools: pools.clone(),
            listeners,
        };
        roles::start(&mut roles, inputs, &addresses)?;
        let channels = client.channels().into_iter().map(|(_, channel)| channel);
        let ready = monitor::all_are_ready(channels.collect());
        let RoleProcess {
            mut tasks,
            consumer_states,
            ..
        } = roles;
        monitor_settings
            .serve(&mut tasks, ready, consumer_states, telemetry.clone())
            .await?;
        let cancel_on_drop = token.clone().drop_guard();
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
            mail_address,
            client,
            keyring,
            new_password,
            ledger_origin,
            bus,
            token,
            roles: tokio::spawn(supervised),
            telemetry,
            _cancel_on_drop: cancel_on_drop,
            pools,
            database,
        };
        if let Err(timeout) = roles::ready(&system.client, &system.token).await {
            // If a role failed, return its error instead of the timeout.
            system.stop().await?;
            return Err(timeout);
        }
        system.profile(session).write(&options.data_dir)?;
        Ok(system)
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Address of the SMTP server for inbound mail.
    pub fn mail_address(&self) -> SocketAddr {
        self.mail_address
    }

    /// A client of the services as the local operator, who has every staff role.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The local operator's password, if this start created the account. It is reported once and not stored.
    pub fn new_password(&self) -> Option<&SecretString> {
        self.new_password.as_ref()
    }

    /// The database address, with the password.
    pub fn database_url(&self) -> &SecretString {
        self.database.url()
    }

    /// The private Postgres server, if this system started one.
    #[cfg(feature = "private-postgres")]
    pub fn embedded(&self) -> Option<&platform::embedded::Embedded> {
        self.database.embedded()
    }

    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Cancel it to begin shutdown. It is cancelled when a role fails; [`System::stop`] then returns that
    /// role's error.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Waits until the token is cancelled or a role fails, then stops everything.
    pub async fn ended(self) -> Result<()> {
        self.token.cancelled().await;
        let outcome = self.roles.await.context("waiting for the roles to end")?;
        // A task that still holds a connection after the drain loses it when the database stops.
        let _ = tokio::time::timeout(CLOSE, self.pools.close()).await;
        self.telemetry.end().await;
        let stopped = self.database.stop().await;
        outcome?;
        stopped
    }

    /// Stops everything within 25 seconds.
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
            database_url: self
                .database
                .is_private()
                .then(|| self.database_url().clone()),
            checkpoint_keys: keys::checkpoint_keys(&self.keyring),
            ledger_origin: self.ledger_origin.clone(),
            tls: None,
            bus: self.bus.clone(),
        }
    }
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
