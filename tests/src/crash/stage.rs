//! The system that is to be killed: a process for each role and a second dispatcher, whose clock is five minutes ahead.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use platform::broker::Broker;
use platform::plant::{self, Plant};
use takedown::demo::{Carrier, stage};
use takedown::role::Role;
use takedown::spread::{self, Instance, Plan, Spread};
use takedown::street::residents::Premises;
use tokio::sync::Mutex;
use toml::Table;

/// The dispatcher beside the first: nobody calls it, so that it can be frozen while answers still come in.
pub const SECOND: Instance = Instance::second(Role::Dispatch);
/// By how much the second dispatcher's clock is ahead.
const AHEAD_SECONDS: u32 = 300;
pub const POLICY: &str = include_str!("policy.yaml");

/// Everything that runs.
pub struct Stage {
    pub spread: Spread,
    /// Only where the bus is Kafka.
    pub broker: Mutex<Option<Broker>>,
}

impl Stage {
    pub async fn start(
        data_dir: &Path,
        premises: &Premises,
        bus: Carrier,
        planted: Option<Plant>,
    ) -> Result<Arc<Self>> {
        let say = |line: &str| eprintln!("{line}");
        std::fs::create_dir_all(data_dir)?;
        let (broker, table) = match bus {
            Carrier::Local => (None, Table::new()),
            Carrier::Kafka => {
                let broker = Broker::start(&data_dir.join("kafka"), &say).await?;
                let table = on_kafka(&broker)?;
                (Some(broker), table)
            }
        };
        let plan = Plan {
            data_dir: data_dir.to_owned(),
            program: spread::program()?,
            policy: POLICY.to_owned(),
            settings: stage::settings(premises)?,
            outside: stage::outside(data_dir, premises)?,
            bus: table,
            second: vec![Role::Dispatch],
            environment: environment(planted),
        };
        Ok(Arc::new(Self {
            spread: Spread::start(plan, &say).await?,
            broker: Mutex::new(broker),
        }))
    }

    /// Ends everything. Only files in the run's own folder are left then.
    pub async fn stop(self: Arc<Self>) -> Result<()> {
        let Some(stage) = Arc::into_inner(self) else {
            anyhow::bail!("the system is still in use");
        };
        let home = stage.spread.database().home().to_owned();
        let data = stage.spread.data_dir().to_owned();
        let stopped = stage.spread.stop().await;
        if let Some(mut broker) = stage.broker.into_inner() {
            broker.kill().await;
        }
        if !home.starts_with(&data) {
            std::fs::remove_dir_all(&home)?;
        }
        stopped
    }
}

/// What each process is told beside its file.
fn environment(planted: Option<Plant>) -> Vec<(Instance, &'static str, String)> {
    let every = Role::ALL.into_iter().map(Instance::from).chain([SECOND]);
    let mut told = vec![(SECOND, plant::SKEW, AHEAD_SECONDS.to_string())];
    if let Some(planted) = planted {
        let word = planted.as_str();
        told.extend(every.map(|one| (one, plant::PLANT, word.to_owned())));
    }
    told
}

/// As for a demo, and what is lost is to be found within the run.
fn on_kafka(broker: &Broker) -> Result<Table> {
    let mut bus = stage::on_kafka(broker)?;
    bus.insert("session_timeout_millis".into(), 6000.into());
    bus.insert("compare_millis".into(), 4000.into());
    Ok(bus)
}
