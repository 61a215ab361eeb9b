//! `takedown demo`: runs the whole system against simulated hosts, from the first report to the last answer.
//!
//! It uses the system as its users do: staff by gRPC, hosts by REST, webhook and mail. It must not read a service's
//! tables, nor give a service the scenario's correct outcomes.

pub mod system;
mod table;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use dispatch::policy::Policy;
use platform::shutdown;
use roles::system::{DEMO_POLICY, policy};
use secrecy::SecretString;
use simulator::expected_figures::ExpectedFigures;
use simulator::generator::generate;
use simulator::hosts::{Listeners, SimulatedHosts};
use simulator::run::case_truths::CaseTruths;
use simulator::run::figures::DemoFigures;
use simulator::run::progress::{self, DemoProgress};
use simulator::run::{analysts, report_feed, setup};
use simulator::scenario::Scenario;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::output::{note, print};
use system::DemoSystem;

pub use system::BusKind;

const DEFAULT_REPORTS: usize = 2000;

/// Run the whole system against simulated hosts.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// Number of reports [default: 2000, or all reports of the scenario]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    reports: Option<u32>,
    /// Seed of the generated scenario
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Read the scenario from a folder with providers.json, reports.csv and truth.csv instead of generating one
    #[arg(long, value_name = "DIR")]
    scenario: Option<PathBuf>,
    /// Exit when every case has ended, instead of keeping the system running for inspection
    #[arg(long)]
    exit: bool,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run one process per role, with TLS between them and a private database, instead of all roles in this process
    #[arg(long, alias = "spread")]
    multi_process: bool,
    /// How events reach their consumers; `kafka` implies --multi-process and starts one broker
    #[arg(long, value_enum, value_name = "BUS", default_value_t = BusKind::Local)]
    bus: BusKind,
    /// Keep the system's data in this folder, which must be new or empty [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Runs the scenario to its end, on this database or on a private one. Returns true if no report was lost, no notice was
/// duplicated and every figure is as expected.
pub async fn run(args: DemoArgs, database_url: Option<SecretString>) -> Result<bool> {
    let shutdown = shutdown::on_signals()?;
    let scenario = scenario(&args)?;
    // Fails before the long run, not after it.
    if let Some(path) = &args.json {
        std::fs::write(path, "").with_context(|| format!("writing {}", path.display()))?;
    }
    let last_rung = last_rung(&*policy(DEMO_POLICY)?)?;
    let expected = ExpectedFigures::from_scenario(&scenario, last_rung);
    let folder = DataFolder::new(args.data_dir.as_deref())?;

    let listeners = Listeners::bind(&scenario).await?;
    let multi_process = args.multi_process || args.bus == BusKind::Kafka;
    let system = DemoSystem::start(
        folder.path(),
        &listeners,
        multi_process,
        args.bus,
        database_url,
    )
    .await?;
    note(&format!("console: {}", system.addresses().console));

    let stop = CancellationToken::new();
    let outcome = tokio::select! {
        outcome = run_scenario(&system, &scenario, listeners, &expected, &args, &stop) => outcome,
        () = system.wait_for_failure() => {
            Err(anyhow::anyhow!("a role of the system has ended; see the log"))
        }
        () = shutdown.cancelled() => Err(anyhow::anyhow!("stopped before the end")),
    };
    let (hosts, as_expected) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            stop.cancel();
            shut_down(system, folder).await?;
            return Err(error);
        }
    };
    if !args.exit {
        note("the system keeps running for inspection; press Ctrl-C to stop it");
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = system.wait_for_failure() => {}
        }
    }
    hosts.stop().await;
    shut_down(system, folder).await?;
    Ok(as_expected)
}

/// Stops the system and deletes a temporary data folder, including database files that are outside of it.
async fn shut_down(system: DemoSystem, folder: DataFolder) -> Result<()> {
    let home = system.embedded().map(|embedded| embedded.home().to_owned());
    system.stop().await?;
    let DataFolder::Temporary(folder) = folder else {
        return Ok(());
    };
    if let Some(home) = home.filter(|home| !home.starts_with(folder.path())) {
        std::fs::remove_dir_all(&home).with_context(|| format!("removing {}", home.display()))?;
    }
    Ok(folder.close()?)
}

/// Sets up the system, runs every report to its end and prints the result table.
async fn run_scenario(
    system: &DemoSystem,
    scenario: &Scenario,
    listeners: Listeners,
    expected: &ExpectedFigures,
    args: &DemoArgs,
    stop: &CancellationToken,
) -> Result<(Arc<SimulatedHosts>, bool)> {
    let staff = setup::create_staff_accounts(system.client()).await?;
    let keys = setup::register_providers(&staff, scenario).await?;
    setup::approve_hashes_and_rules(&staff, scenario).await?;
    let gateway = &system.addresses().gateway;
    let hosts = listeners
        .start(scenario, gateway, &keys, stop.child_token())
        .await?;

    let truths = Arc::new(CaseTruths::from_scenario(scenario));
    let stop_staff = stop.child_token();
    let tasks = TaskTracker::new();
    for (number, analyst) in staff.analysts.iter().enumerate() {
        let (analyst, truths) = (analyst.clone(), Arc::clone(&truths));
        tasks.spawn(analysts::run(number, analyst, truths, stop_staff.clone()));
    }
    let operator = &staff.operator;
    tasks.spawn(analysts::answer_provider_questions(
        operator.clone(),
        stop_staff.clone(),
    ));
    let progress = DemoProgress::new(expected);
    hosts.start_outages();
    let send_reports = async {
        report_feed::run(operator, scenario, &truths, &progress).await?;
        progress.set_all_reported();
        anyhow::Ok(())
    };
    let result = tokio::try_join!(
        send_reports,
        progress::wait_until_settled(operator, &progress)
    );
    stop_staff.cancel();
    tasks.close();
    tasks.wait().await;
    result?;

    let figures = DemoFigures::read(operator, &truths, hosts.log()).await?;
    let differences = figures.differences(expected);
    print(&table::render(&figures, expected, &differences));
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", figures.json());
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok((hosts, differences.is_empty()))
}

fn scenario(args: &DemoArgs) -> Result<Scenario> {
    let limit = args.reports.map(|reports| reports as usize);
    let Some(folder) = &args.scenario else {
        return generate(limit.unwrap_or(DEFAULT_REPORTS), args.seed);
    };
    let mut scenario = Scenario::read(folder)?;
    if let Some(limit) = limit {
        scenario.reports.truncate(limit);
    }
    ensure!(
        !scenario.reports.is_empty(),
        "{} has no reports",
        folder.display()
    );
    Ok(scenario)
}

fn last_rung(policy: &Policy) -> Result<domain::enums::Rung> {
    let ladder = policy
        .regimes
        .iter()
        .find(|regime| regime.default)
        .map(|regime| &regime.ladder);
    let last = ladder.and_then(|ladder| ladder.rules().last());
    Ok(last.context("the demo's policy has no ladder")?.rung)
}

/// The system's data folder: one that the user chose, or a temporary one that is deleted at the end.
enum DataFolder {
    Chosen(PathBuf),
    Temporary(tempfile::TempDir),
}

impl DataFolder {
    fn new(chosen: Option<&Path>) -> Result<Self> {
        if let Some(path) = chosen {
            return Ok(Self::Chosen(path.to_owned()));
        }
        // 0711: the operating system user that runs Postgres must be able to enter the folder.
        let folder = tempfile::Builder::new()
            .prefix("takedown-demo-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()?;
        Ok(Self::Temporary(folder))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Chosen(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
