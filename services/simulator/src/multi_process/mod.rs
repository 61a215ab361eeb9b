//! The whole system on this machine with one process per role, for the demo, tests and crash runs.
//!
//! [`MultiProcessSystem::start`] does what a cluster operator does: it starts a Postgres, migrates it, sets passwords,
//! issues a certificate and writes a configuration file for each role, and starts `takedown <role> --config FILE`. Every
//! address is reserved first, so that a role restarts at the same address. It controls roles by files, signals and calls
//! only, and must not depend on what a role does.

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

use certificates::RunCa;
use ports::Ports;
use process::Process;
use roles::client::{Addresses, Client, Operator, Profile, transport};
use roles::role::Role;
use roles::role::config::EgressConfig;
use roles::system::{self, LOCAL_OPERATOR, Pools};

pub use instance::Instance;
pub use process::Signal;

const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// A role ends within 25 seconds after SIGTERM.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Configuration of the system to start.
pub struct SystemPlan {
    /// New or empty folder for database, keyring, certificates, configuration and logs.
    pub data_dir: PathBuf,
    /// The `takedown` program.
    pub program: PathBuf,
    /// The escalation policy, YAML.
    pub policy: String,
    /// A table per role, as in the configuration file of `takedown up`.
    pub settings: toml::Table,
    /// What dispatch may reach.
    pub egress: EgressConfig,
    /// The table `bus` of every core role; empty for the Local bus.
    pub bus: toml::Table,
    /// Roles with a second process. It does the same work; no other role calls it.
    pub doubled_roles: Vec<Role>,
    /// Environment variables of single processes, in addition to those of this process.
    pub environment: Vec<(Instance, &'static str, String)>,
}

impl SystemPlan {
    /// Every process; roles that others call come first.
    fn instances(&self) -> impl Iterator<Item = Instance> {
        let second = self.doubled_roles.iter().copied().map(Instance::second);
        Role::ALL.into_iter().map(Instance::from).chain(second)
    }
}

/// The running system. Dropping it kills the roles; [`MultiProcessSystem::stop`] terminates them.
pub struct MultiProcessSystem {
    plan: SystemPlan,
    addresses: Addresses,
    processes: BTreeMap<Instance, Process>,
    /// Channels to second processes, which the client does not call.
    extra_channels: BTreeMap<Instance, Channel>,
    client: Client,
    keyring: Arc<Keyring>,
    database_url: SecretString,
    new_password: Option<SecretString>,
    _ports: Ports,
    /// Dropped last, because the roles use it until they have ended.
    database: Embedded,
}

impl MultiProcessSystem {
    /// Starts every process and waits until every role is ready.
    pub async fn start(
        plan: SystemPlan,
        log_progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self> {
        // Fails if a provider is installed already, which is equally good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bus: BusConfig = plan.bus.clone().try_into().context("the table `bus`")?;
        let (database, url) = Embedded::start(&plan.data_dir, log_progress).await?;
        let keyring = Arc::new(system::open_keyring(&plan.data_dir, &url).await?);
        let ca = RunCa::new()?;
        let ports = Ports::reserve(plan.instances())?;
        let addresses = ports.addresses();

        system::migrate(&url, bus.kind)
            .await
            .context("migrating the database")?;
        system::create_topics(&bus).await?;
        let written = files::write(&plan, &ports, &ca, &url)?;
        system::set_passwords(&url, &written.passwords).await?;
        let pools = Pools::open(&url).await?;
        let (new_password, session) =
            system::local_operator(&pools, &Clock::Database, log_progress).await?;
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
        let second = plan.instances().filter(|instance| !instance.is_first());
        let extra_channels = second.map(|instance| {
            let address = format!("https://{}", ports.address(instance));
            Ok((
                instance,
                transport.channel(instance.role().name(), &address)?,
            ))
        });
        let extra_channels = extra_channels.collect::<Result<_>>()?;
        let processes = written.configs.into_iter();
        let processes = processes
            .map(|(instance, config)| (instance, Process::new(&plan, instance, config)))
            .collect();
        let system = Self {
            plan,
            addresses,
            processes,
            extra_channels,
            client,
            keyring,
            database_url: url.into(),
            new_password,
            _ports: ports,
            database,
        };
        for instance in system.instances() {
            system.launch(instance).await?;
        }
        for instance in system.instances() {
            if let Err(error) = system.wait_until_ready(instance, READY_TIMEOUT).await {
                system.stop().await?;
                return Err(error);
            }
        }
        Ok(system)
    }

    /// Every process; roles that others call come first.
    pub fn instances(&self) -> Vec<Instance> {
        self.plan.instances().collect()
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Client of the local operator, who has every staff role.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Initial password of the local operator; it is stored nowhere else.
    pub fn new_password(&self) -> Option<&SecretString> {
        self.new_password.as_ref()
    }

    /// The database administrator's URL, including the password.
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

    /// The configuration file of a role.
    pub fn config(&self, role: impl Into<Instance>) -> &Path {
        self.process(role).config()
    }

    /// The log of a role, over all its starts.
    pub fn log(&self, role: impl Into<Instance>) -> String {
        self.process(role).log()
    }

    /// `None` if the role is not running.
    pub async fn pid(&self, role: impl Into<Instance>) -> Option<u32> {
        self.process(role).pid().await
    }

    /// Starts a role that is not running, without waiting for its readiness.
    pub async fn launch(&self, role: impl Into<Instance>) -> Result<()> {
        self.process(role).launch().await
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub async fn kill(&self, role: impl Into<Instance>) -> Result<()> {
        self.process(role).kill().await
    }

    /// Sends a signal, for example to freeze a role and to continue it.
    pub async fn signal(&self, role: impl Into<Instance>, signal: Signal) -> Result<()> {
        self.process(role).signal(signal).await
    }

    /// Sends SIGTERM and waits until the process has ended.
    pub async fn terminate(&self, role: impl Into<Instance>) -> Result<ExitStatus> {
        self.process(role).terminate(TERMINATE_TIMEOUT).await
    }

    /// Kills and restarts a role; returns the time from its start to its readiness.
    pub async fn kill_and_restart(&self, role: impl Into<Instance>) -> Result<Duration> {
        let role = role.into();
        self.kill(role).await?;
        let started = tokio::time::Instant::now();
        self.launch(role).await?;
        self.wait_until_ready(role, READY_TIMEOUT).await?;
        Ok(started.elapsed())
    }

    /// Returns when a role has ended by itself, which happens only after a failure.
    pub async fn wait_for_exit(&self) -> Instance {
        loop {
            for (role, process) in &self.processes {
                if matches!(process.exit_status().await, Ok(Some(_))) {
                    return *role;
                }
            }
            tokio::time::sleep(POLL_INTERVAL * 10).await;
        }
    }

    /// Terminates every running role, then stops the database.
    ///
    /// # Errors
    /// A role ended with an error status or not in time.
    pub async fn stop(self) -> Result<()> {
        let ends = self.processes.iter().map(|(role, process)| async move {
            match process.pid().await {
                Some(_) => process
                    .terminate(TERMINATE_TIMEOUT)
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
        // `start` creates a process for every instance.
        &self.processes[&role.into()]
    }
}

/// The path of the `takedown` program: this program, or the one that was built with the tests.
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

impl std::fmt::Debug for MultiProcessSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MultiProcessSystem")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
