//! The system that the street plays against: all roles in this process, or a process for each. Both are told the same,
//! in the same words, and are spoken to alike; nothing else of the demo knows which it is.

use std::path::Path;

use anyhow::{Context as _, Result};
use platform::broker::Broker;
use platform::embedded::Embedded;
use secrecy::SecretString;
use toml::Table;

use crate::client::{Addresses, Client};
use crate::output::tell;
use crate::role::config::Outside;
use crate::spread::{self, Plan, Spread};
use crate::street::residents::Premises;
use crate::system::{DEMO_POLICY, Options, System, policy};

pub(super) enum Stage {
    One(Box<System>),
    Spread(Box<Spread>, Option<Box<Broker>>),
}

/// What carries the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Carrier {
    /// Consumers read the producers' logs in the database.
    Local,
    /// One broker, started for this run.
    Kafka,
}

impl Stage {
    /// A process for each role has a Postgres of its own, whatever the address: passwords are of a whole server.
    pub(super) async fn start(
        data_dir: &Path,
        premises: &Premises,
        spread: bool,
        carrier: Carrier,
        database_url: Option<SecretString>,
    ) -> Result<Self> {
        let settings = settings(premises)?;
        let outside = outside(data_dir, premises)?;
        let say = |line: &str| tell(line);
        if spread {
            let (broker, bus) = match carrier {
                Carrier::Local => (None, Table::new()),
                Carrier::Kafka => {
                    let broker = Broker::start(&data_dir.join("kafka"), &say).await?;
                    let bus = on_kafka(&broker)?;
                    (Some(broker), bus)
                }
            };
            let plan = Plan {
                data_dir: data_dir.to_owned(),
                program: spread::program()?,
                policy: DEMO_POLICY.to_owned(),
                settings,
                outside,
                bus,
                second: Vec::new(),
                environment: Vec::new(),
            };
            let spread = Spread::start(plan, &say).await?;
            return Ok(Self::Spread(Box::new(spread), broker.map(Box::new)));
        }
        let mut options = Options::new(data_dir);
        options.database_url = database_url;
        options.policy = policy(DEMO_POLICY)?;
        options.settings = settings.try_into().context("the demo's settings")?;
        options.connector = outside.policy(&options.settings.dispatch)?;
        Ok(Self::One(Box::new(System::start(options, &say).await?)))
    }

    pub(super) fn addresses(&self) -> &Addresses {
        match self {
            Self::One(system) => system.addresses(),
            Self::Spread(spread, _) => spread.addresses(),
        }
    }

    pub(super) fn client(&self) -> &Client {
        match self {
            Self::One(system) => system.client(),
            Self::Spread(spread, _) => spread.client(),
        }
    }

    /// The private Postgres, where there is one.
    pub(super) fn embedded(&self) -> Option<&Embedded> {
        match self {
            Self::One(system) => system.embedded(),
            Self::Spread(spread, _) => Some(spread.database()),
        }
    }

    /// Returns when a role has ended that should not have.
    pub(super) async fn ends(&self) {
        match self {
            Self::One(system) => system.token().cancelled_owned().await,
            Self::Spread(spread, _) => {
                let role = spread.a_role_ends().await;
                let log = spread.log(role);
                let last = log.lines().last().unwrap_or_default();
                tell(&format!("{role} has ended: {last}"));
            }
        }
    }

    pub(super) async fn stop(self) -> Result<()> {
        match self {
            Self::One(system) => system.stop().await,
            Self::Spread(spread, broker) => {
                spread.stop().await?;
                match broker {
                    Some(broker) => Ok(broker.stop().await?),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The table `bus` of each role.
pub fn on_kafka(broker: &Broker) -> Result<Table> {
    let text = format!(
        "kind = \"kafka\"
        bootstrap = \"{}\"
        instance = \"1\"",
        broker.bootstrap()
    );
    Ok(text.parse()?)
}

/// Everything as a hotline would set it, but for the street's place and the patience between attempts.
pub fn settings(premises: &Premises) -> Result<Table> {
    let mail = premises.mail_relay()?;
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

/// The street stands in for the world.
pub fn outside(data_dir: &Path, premises: &Premises) -> Result<Outside> {
    std::fs::create_dir_all(data_dir)?;
    let ca = data_dir.join("street.crt");
    std::fs::write(&ca, premises.authority())?;
    Ok(Outside {
        production: false,
        map: premises.connector_map().to_vec(),
        ca: Some(ca),
        ..Outside::default()
    })
}
