//! The system under the demo: all roles in this process, or one process per role. Both have the same settings and the
//! same interface; the rest of the demo does not know which one runs.

use std::path::Path;

use anyhow::{Context as _, Result};
use platform::embedded::Embedded;
use roles::client::{Addresses, Client};
use roles::role::config::EgressConfig;
use roles::system::{DEMO_POLICY, Options, System, policy};
use secrecy::SecretString;
use simulator::hosts::Listeners;
use simulator::multi_process::{self, MultiProcessSystem, SystemPlan};
use testkit::Broker;
use toml::Table;

use crate::output::note;

pub(super) enum DemoSystem {
    InProcess(Box<System>),
    MultiProcess(Box<MultiProcessSystem>, Option<Box<Broker>>),
}

/// How events reach their consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BusKind {
    /// Consumers read the producers' logs in the database.
    Local,
    /// One broker, started for this run.
    Kafka,
}

impl DemoSystem {
    /// With one process per role the system starts its own Postgres and ignores `database_url`, because it sets the
    /// passwords of roles, which belong to the whole server.
    pub(super) async fn start(
        data_dir: &Path,
        listeners: &Listeners,
        multi_process: bool,
        bus_kind: BusKind,
        database_url: Option<SecretString>,
    ) -> Result<Self> {
        let settings = settings(listeners)?;
        let egress = egress(data_dir, listeners)?;
        let log_progress = |line: &str| note(line);
        if multi_process {
            let (broker, bus) = match bus_kind {
                BusKind::Local => (None, Table::new()),
                BusKind::Kafka => {
                    let broker = Broker::start(&data_dir.join("kafka"), &log_progress).await?;
                    let bus = kafka_settings(&broker)?;
                    (Some(broker), bus)
                }
            };
            let plan = SystemPlan {
                data_dir: data_dir.to_owned(),
                program: multi_process::program()?,
                policy: DEMO_POLICY.to_owned(),
                settings,
                egress,
                bus,
                doubled_roles: Vec::new(),
                environment: Vec::new(),
            };
            let system = MultiProcessSystem::start(plan, &log_progress).await?;
            return Ok(Self::MultiProcess(Box::new(system), broker.map(Box::new)));
        }
        let mut options = Options::new(data_dir);
        options.database_url = database_url;
        options.policy = policy(DEMO_POLICY)?;
        options.settings = settings.try_into().context("the demo's settings")?;
        options.connector = egress.policy(&options.settings.dispatch)?;
        Ok(Self::InProcess(Box::new(
            System::start(options, &log_progress).await?,
        )))
    }

    pub(super) fn addresses(&self) -> &Addresses {
        match self {
            Self::InProcess(system) => system.addresses(),
            Self::MultiProcess(system, _) => system.addresses(),
        }
    }

    pub(super) fn client(&self) -> &Client {
        match self {
            Self::InProcess(system) => system.client(),
            Self::MultiProcess(system, _) => system.client(),
        }
    }

    /// The private Postgres, if the system started one.
    pub(super) fn embedded(&self) -> Option<&Embedded> {
        match self {
            Self::InProcess(system) => system.embedded(),
            Self::MultiProcess(system, _) => Some(system.database()),
        }
    }

    /// Returns when a role has ended unexpectedly.
    pub(super) async fn wait_for_failure(&self) {
        match self {
            Self::InProcess(system) => system.token().cancelled_owned().await,
            Self::MultiProcess(system, _) => {
                let role = system.wait_for_exit().await;
                let log = system.log(role);
                let last = log.lines().last().unwrap_or_default();
                note(&format!("{role} has ended: {last}"));
            }
        }
    }

    pub(super) async fn stop(self) -> Result<()> {
        match self {
            Self::InProcess(system) => system.stop().await,
            Self::MultiProcess(system, broker) => {
                system.stop().await?;
                match broker {
                    Some(broker) => Ok(broker.stop().await?),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The table `bus` of a role's configuration.
pub fn kafka_settings(broker: &Broker) -> Result<Table> {
    let text = format!(
        "kind = \"kafka\"
        bootstrap = \"{}\"
        instance = \"1\"",
        broker.bootstrap()
    );
    Ok(text.parse()?)
}

/// The production defaults, except for the simulator's addresses and shorter pauses between attempts.
pub fn settings(listeners: &Listeners) -> Result<Table> {
    let mail = listeners.mail_relay()?;
    let text = format!(
        "[dispatch]
        resolve_names = false
        [dispatch.mail]
        host = \"{}\"
        port = {}
        return_domain = \"returns.hotline.example\"
        [dispatch.delivery.retry]
        first_seconds = 0.2
        longest_seconds = 2.0",
        mail.ip(),
        mail.port()
    );
    Ok(text.parse()?)
}

/// Routes every outgoing connection of dispatch to the simulator.
pub fn egress(data_dir: &Path, listeners: &Listeners) -> Result<EgressConfig> {
    std::fs::create_dir_all(data_dir)?;
    let ca = data_dir.join("simulator-ca.crt");
    std::fs::write(&ca, listeners.ca_pem())?;
    Ok(EgressConfig {
        production: false,
        map: listeners.connector_map().to_vec(),
        ca: Some(ca),
        ..EgressConfig::default()
    })
}
