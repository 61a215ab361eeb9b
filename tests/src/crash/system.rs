//! The system under test: one process per role, and a second dispatcher whose clock is five minutes ahead.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use roles::role::Role;
use simulator::hosts::Listeners;
use simulator::multi_process::{self, Instance, MultiProcessSystem, SystemPlan};
use takedown::demo::{BusKind, system};
use testkit::Broker;
use tokio::sync::Mutex;
use toml::Table;

/// A second dispatcher. No role calls it, so that answers are still accepted while it is frozen.
pub const SECOND_DISPATCHER: Instance = Instance::second(Role::Dispatch);
/// Clock skew of the second dispatcher.
const CLOCK_SKEW_SECONDS: u32 = 300;
pub const POLICY: &str = include_str!("policy.yaml");

pub struct CrashSystem {
    pub processes: MultiProcessSystem,
    /// `None` on the Local bus.
    pub broker: Mutex<Option<Broker>>,
}

impl CrashSystem {
    pub async fn start(
        data_dir: &Path,
        listeners: &Listeners,
        bus: BusKind,
        fail_point: Option<&str>,
    ) -> Result<Arc<Self>> {
        let log_progress = |line: &str| eprintln!("{line}");
        std::fs::create_dir_all(data_dir)?;
        let (broker, table) = match bus {
            BusKind::Local => (None, Table::new()),
            BusKind::Kafka => {
                let broker = Broker::start(&data_dir.join("kafka"), &log_progress).await?;
                let table = kafka_settings(&broker)?;
                (Some(broker), table)
            }
        };
        let plan = SystemPlan {
            data_dir: data_dir.to_owned(),
            program: multi_process::program()?,
            policy: POLICY.to_owned(),
            settings: system::settings(listeners)?,
            egress: system::egress(data_dir, listeners)?,
            bus: table,
            doubled_roles: vec![Role::Dispatch],
            environment: environment(fail_point),
        };
        Ok(Arc::new(Self {
            processes: MultiProcessSystem::start(plan, &log_progress).await?,
            broker: Mutex::new(broker),
        }))
    }

    /// Stops every process and deletes every file outside of the run's data folder.
    pub async fn stop(self: Arc<Self>) -> Result<()> {
        let Some(system) = Arc::into_inner(self) else {
            anyhow::bail!("the system is still in use");
        };
        let home = system.processes.database().home().to_owned();
        let data = system.processes.data_dir().to_owned();
        let stopped = system.processes.stop().await;
        if let Some(mut broker) = system.broker.into_inner() {
            broker.kill().await;
        }
        if !home.starts_with(&data) {
            std::fs::remove_dir_all(&home)?;
        }
        stopped
    }
}

/// The variable of the `fail` crate for each process: its fail points, separated by semicolons.
fn environment(fail_point: Option<&str>) -> Vec<(Instance, &'static str, String)> {
    let first = Role::ALL.into_iter().map(Instance::from);
    first
        .chain([SECOND_DISPATCHER])
        .map(|instance| {
            let skew = (instance == SECOND_DISPATCHER)
                .then(|| format!("clock-skew=return({CLOCK_SKEW_SECONDS})"));
            let bug = fail_point.map(|name| format!("{name}=return"));
            let active: Vec<String> = skew.into_iter().chain(bug).collect();
            (instance, "FAILPOINTS", active.join(";"))
        })
        .collect()
}

/// As in a demo, with shorter times so that the run sees a lost connection or a lost event recovered.
fn kafka_settings(broker: &Broker) -> Result<Table> {
    let mut bus = system::kafka_settings(broker)?;
    bus.insert("session_timeout_millis".into(), 6000.into());
    bus.insert("compare_millis".into(), 4000.into());
    Ok(bus)
}
