//! The whole system on this machine with a process for each role: for the demo, tests and the crash runs.
//!
//! [`Spread::start`] does what an operator of a cluster does: a Postgres, migrations, passwords, a certificate for each
//! role, a configuration file for each, and then one `takedown <role> --config FILE` after the other. Every address is
//! decided before and held, so that a role comes back where it was. It must not know what a role does, and must not
//! reach into one: what it cannot do by a file, a signal or a call, it cannot do.

mod certificates;
mod files;
mod health;
mod instance;
mod ports;
mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use platform::bus::BusConfig;
use platform::clock::Clock;
use platform::embedded::Embedded;
use platform::sealed::Keyring;
use secrecy::SecretString;
use tonic::transport::Channel;

use crate::client::{Addresses, Client, Operator, Profile, transport};
use crate::role::Role;
use crate::role::config::Outside;
use crate::system::{self, LOCAL_OPERATOR, Pools};
use certificates::Authority;
use ports::Ports;
use process::Process;

pub use instance::Instance;
pub use process::Signal;

/// From the start of a role to its readiness.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// A role ends within 25 seconds of being asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(25);

/// What to start.
pub struct Plan {
    /// Everything is under it: database, keyring, certificates, configuration, logs. New or empty.
    pub data_dir: PathBuf,
    /// The program that each role is a process of.
    pub program: PathBuf,
    /// The escalation policy, YAML.
    pub policy: String,
    /// A table for each role, as in the file of `takedown up`.
    pub settings: toml::Table,
    /// What dispatch may reach.
    pub outside: Outside,
    /// The table `bus` of every core role's file; an empty one is the Local bus.
    pub bus: toml::Table,
    /// Roles that a second process is started of. Nobody calls it; it does the same work.
    pub second: Vec<Role>,
    /// Variables that one process has beside this one's.
    pub environment: Vec<(Instance, &'static str, String)>,
}

impl Plan {
    /// Every process, those that others call first.
    fn instances(&self) -> impl Iterator<Item = Instance> {
        let second = self.second.iter().copied().map(Instance::second);
        Role::ALL.into_iter().map(Instance::from).chain(second)
    }
}

/// The running system. Dropping it kills the roles; [`Spread::stop`] ends them in order.
pub struct Spread {
    plan: Plan,
    addresses: Addresses,
    roles: BTreeMap<Instance, Process>,
    /// To those that the client does not call.
    second: BTreeMap<Instance, Channel>,
    client: Client,
    keyring: Arc<Keyring>,
    database_url: SecretString,
    new_password: Option<SecretString>,
    _ports: Ports,
    /// Freed last: the roles need it until they have ended.
    database: Embedded,
}

impl Spread {
    /// Starts everything and waits until every role is ready.
    pub async fn start(plan: Plan, say: &(dyn Fn(&str) + Send + Sync)) -> Result<Self> {
        // Somebody may have chosen one already; then it stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bus: BusConfig = plan.bus.clone().try_into().context("the table `bus`")?;
        let (database, url) = Embedded::start(&plan.data_dir, say).await?;
        let keyring = Arc::new(system::open_keyring(&plan.data_dir, &url).await?);
        let authority = Authority::new()?;
        let ports = Ports::hold(plan.instances())?;
        let addresses = ports.addresses();

        system::migrate(&url, bus.kind)
            .await
            .context("migrating the database")?;
        system::make_topics(&bus).await?;
        let written = files::write(&plan, &ports, &authority, &url)?;
        system::set_passwords(&url, &written.passwords).await?;
        let pools = Pools::open(&url).await?;
        let (new_password, session) = system::local_operator(&pools, &Clock::Database, say).await?;
        pools.close().await;

        let profile = Profile {
            addresses: addresses.clone(),
            operator: Operator {
                name: LOCAL_OPERATOR.to_owned(),
                session: session.clone(),
            },
            database_url: Some(url.clone().into()),
            checkpoint_keys: system::checkpoint_keys(&keyring),
            ledger_origin: written.ledger_origin,
            tls: Some(written.operator.clone()),
            bus,
        };
        profile.write(&plan.data_dir)?;
        let transport = transport(Some(&written.operator))?;
        let client = Client::over(&transport, &addresses, session)?;
        let second = plan.instances().filter(|one| !one.is_first());
        let second = second.map(|one| {
            let address = format!("https://{}", ports.of(one));
            Ok((one, transport.channel(one.role().name(), &address)?))
        });
        let second = second.collect::<Result<_>>()?;
        let roles = written.configs.into_iter();
        let roles = roles
            .map(|(one, config)| (one, Process::new(&plan, one, config)))
            .collect();
        let spread = Self {
            plan,
            addresses,
            roles,
            second,
            client,
            keyring,
            database_url: url.into(),
            new_password,
            _ports: ports,
            database,
        };
        for one in spread.instances() {
            spread.launch(one).await?;
        }
        for one in spread.instances() {
            if let Err(late) = spread.ready(one, READY_WITHIN).await {
                spread.stop().await?;
                return Err(late);
            }
        }
        Ok(spread)
    }

    /// Every process, those that others call first.
    pub fn instances(&self) -> Vec<Instance> {
        self.plan.instances().collect()
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The services as the local operator, who has every role.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Of the local operator's account: shown once, kept nowhere.
    pub fn new_password(&self) -> Option<&SecretString> {
        self.new_password.as_ref()
    }

    /// Of the administrator, with the password in it.
    pub fn database_url(&self) -> &SecretString {
        &self.database_url
    }

    pub fn database(&self) -> &Embedded {
        &self.database
    }

    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    pub fn data_dir(&self) -> &Path {
        &self.plan.data_dir
    }

    /// The configuration file that a role reads at its next start.
    pub fn config(&self, role: impl Into<Instance>) -> &Path {
        self.process(role).config()
    }

    /// What a role wrote to its log, over all its starts.
    pub fn log(&self, role: impl Into<Instance>) -> String {
        self.process(role).log()
    }

    /// None when it does not run.
    pub async fn pid(&self, role: impl Into<Instance>) -> Option<u32> {
        self.process(role).pid().await
    }

    /// Starts a role that does not run, and does not wait for it.
    pub async fn launch(&self, role: impl Into<Instance>) -> Result<()> {
        self.process(role).launch().await
    }

    /// `kill -9`, and waits until the process is gone.
    pub async fn kill(&self, role: impl Into<Instance>) -> Result<()> {
        self.process(role).kill().await
    }

    /// Sends a signal: to freeze a role and to let it go on.
    pub async fn signal(&self, role: impl Into<Instance>, signal: Signal) -> Result<()> {
        self.process(role).signal(signal).await
    }

    /// Asks a role to end and waits for it.
    pub async fn terminate(&self, role: impl Into<Instance>) -> Result<ExitStatus> {
        self.process(role).terminate(ENDS_WITHIN).await
    }

    /// `kill -9`, a new start, and the time until the role is ready again.
    pub async fn kill_and_restart(&self, role: impl Into<Instance>) -> Result<Duration> {
        let role = role.into();
        self.kill(role).await?;
        let began = tokio::time::Instant::now();
        self.launch(role).await?;
        self.ready(role, READY_WITHIN).await?;
        Ok(began.elapsed())
    }

    /// Returns when a role has ended that nobody ended: never, as long as all is well.
    pub async fn a_role_ends(&self) -> Instance {
        loop {
            for (role, process) in &self.roles {
                if matches!(process.ended().await, Ok(Some(_))) {
                    return *role;
                }
            }
            tokio::time::sleep(LOOK * 10).await;
        }
    }

    /// Ends every role that runs, then the database. Fails when a role did not end well.
    pub async fn stop(self) -> Result<()> {
        let ends = self.roles.iter().map(|(role, process)| async move {
            match process.pid().await {
                Some(_) => process
                    .terminate(ENDS_WITHIN)
                    .await
                    .map(|s| (*role, Some(s))),
                None => Ok((*role, None)),
            }
        });
        let ended = futures::future::join_all(ends).await;
        self.database.stop().await?;
        for outcome in ended {
            let (role, status) = outcome?;
            if let Some(status) = status.filter(|status| !status.success()) {
                bail!("{role} ended with {status}; see its log");
            }
        }
        Ok(())
    }

    fn process(&self, role: impl Into<Instance>) -> &Process {
        // Made at the start, one for each.
        &self.roles[&role.into()]
    }
}

/// The program beside this one: this one itself, or the one that was built with the tests.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    if own.file_stem().is_some_and(|name| name == "takedown") {
        return Ok(own);
    }
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("takedown"))
        .find(|program| program.is_file())
        .context(
            "the program `takedown` is not built; run `cargo build --workspace --bin takedown`",
        )
}

impl std::fmt::Debug for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spread")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
