//! Crash test: kills roles, the database and the broker under load, freezes dispatchers past a lease, and kills every
//! role at once. After the recovery it checks from outside whether the system kept its promises.
//!
//! Each fail point is a plausible programming error that the same run must detect; otherwise the run proves nothing. The
//! checks must not read a service's tables, and no promise depends on a duration.

mod approval_proof;
mod chaos;
mod faults;
mod observed;
mod promises;
pub mod report;
mod reporters;
mod scenario;
mod system;
mod table_lock;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use platform::sealed::SigningContext;
use platform::shutdown;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roles::client::Client;
use simulator::hosts::{Listeners, SimulatedHosts};
use simulator::network_fault::NetworkProfile;
use simulator::run::case_truths::CaseTruths;
use simulator::run::{analysts, setup};
use simulator::scenario::Scenario;
use takedown::demo::BusKind;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use chaos::{Chaos, Tally};
use observed::{ActivitySnapshot, ObservedState};
use promises::{PromiseReport, RunEvidence};
use report::{CrashOutcome, CrashReport, FinishedRun};
use reporters::Reporters;
use system::CrashSystem;

/// Kill roles, database and broker under load, then check every promise from outside. Exit code 1: a promise was broken;
/// the output names it. Exit code 3: too few events occurred to prove anything.
#[derive(Parser)]
#[command(name = "crash")]
pub struct CrashArgs {
    /// Number of kills; freezes and blocked transactions are additional
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(4..=10_000))]
    pub kills: u32,
    /// Seed of the scenario and of the faults
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[arg(long, value_enum, default_value_t = BusKind::Local)]
    pub bus: BusKind,
    /// Activate a fail point in every role, which the run must detect
    #[arg(long = "fault", value_name = "NAME", value_parser = PossibleValuesParser::new(FAIL_POINTS))]
    pub fail_point: Option<String>,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The fail points, each at the place of the bug (`fail_point!`): a worker writes without its lease; the cursor is committed
/// before the effect; the relay takes the highest sequence for the end of the log; times are compared with the process's
/// clock; an expired lease is never taken over.
pub const FAIL_POINTS: [&str; 5] = [
    "no-fence",
    "cursor-first",
    "naive-cursor",
    "app-clock",
    "forget-lease",
];

/// The scenario has `MIN_REPORTS` reports and `REPORTS_PER_KILL` more for each kill.
const REPORTS_PER_KILL: usize = 40;
const MIN_REPORTS: usize = 600;
/// Without activity for this long, the system has finished or stalled. Longer than the ladder.
const STALL_TIMEOUT: Duration = Duration::from_secs(40);
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Runs one crash test to its end.
pub async fn run(args: CrashArgs) -> Result<CrashOutcome> {
    let shutdown = shutdown::on_signals()?;
    let kills = args.kills as usize;
    // Fails before the long run, not after it.
    if let Some(path) = &args.json {
        std::fs::write(path, "").with_context(|| format!("writing {}", path.display()))?;
    }
    let reports = kills * REPORTS_PER_KILL + MIN_REPORTS;
    let scenario = Arc::new(scenario::crash_scenario(reports, args.seed));
    // 0711: the operating system user that runs Postgres must be able to enter the folder.
    let folder = tempfile::Builder::new()
        .prefix("takedown-crash-")
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir()?;
    let listeners = Listeners::bind(&scenario)
        .await?
        .with_network(NetworkProfile::Slow);
    let data = folder.path().join("system");
    let system =
        CrashSystem::start(&data, &listeners, args.bus, args.fail_point.as_deref()).await?;
    let result = tokio::select! {
        result = run_scenario(&args, &system, scenario, listeners) => result,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("stopped before the end")),
    };
    let stopped = system.stop().await;
    let report = result?;
    println!("{}", report.text());
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", report.json()))?;
    }
    if report.outcome() != CrashOutcome::Broken {
        stopped?;
    }
    Ok(report.outcome())
}

async fn run_scenario(
    args: &CrashArgs,
    system: &Arc<CrashSystem>,
    scenario: Arc<Scenario>,
    listeners: Listeners,
) -> Result<CrashReport> {
    let stop = CancellationToken::new();
    let staff_clients = setup::create_staff_accounts(system.processes.client()).await?;
    let keys = setup::register_providers(&staff_clients, &scenario).await?;
    setup::approve_hashes_and_rules(&staff_clients, &scenario).await?;
    let gateway = &system.processes.addresses().gateway;
    let hosts = listeners
        .start(&scenario, gateway, &keys, stop.child_token())
        .await?;
    hosts.start_outages();
    let truths = Arc::new(CaseTruths::from_scenario(&scenario));
    let staff_tasks = TaskTracker::new();
    for (number, analyst) in staff_clients.analysts.iter().enumerate() {
        let (analyst, truths) = (analyst.clone(), Arc::clone(&truths));
        staff_tasks.spawn(analysts::run(number, analyst, truths, stop.child_token()));
    }
    let reporters = Reporters::new(
        staff_clients.operator.clone(),
        Arc::clone(&scenario),
        truths,
    );

    let mut rng = StdRng::seed_from_u64(args.seed);
    let faults = faults::schedule(args.kills as usize, args.bus, &mut rng);
    let stop_reporting = CancellationToken::new();
    let reporting = tokio::spawn(Arc::clone(&reporters).run(stop_reporting.clone()));
    let mut chaos = Chaos {
        system: Arc::clone(system),
        hosts: Arc::clone(&hosts),
        reporters: Arc::clone(&reporters),
        rng,
        tally: Tally::default(),
        started: Instant::now(),
    };
    let stopped = chaos.run(&faults).await.err();
    stop_reporting.cancel();
    let stopped = stopped.map(|error| format!("{error:#}"));
    if stopped.is_none() {
        reporting.await??;
    } else {
        reporting.abort();
    }
    let tally = chaos.tally;
    let settled = settle(system, &staff_clients.operator, &reporters, &hosts).await;
    let (observed, promises) = match (settled, &stopped) {
        // A system that did not recover cannot be queried.
        (Err(_), Some(_)) => (ObservedState::default(), PromiseReport::default()),
        (settled, _) => settled?,
    };
    stop.cancel();
    staff_tasks.close();
    staff_tasks.wait().await;
    hosts.stop().await;
    Ok(CrashReport::new(FinishedRun {
        kills: args.kills as usize,
        victims: victims(system, args.bus),
        scenario: &scenario,
        receipts: &reporters.receipts(),
        retries: reporters.retries(),
        hosts: hosts.log(),
        observed: &observed,
        tally,
        promises,
        stopped,
    }))
}

/// Waits until the system is idle, then checks the promises. While one is unfulfilled, waits on until the system has been
/// without activity for [`STALL_TIMEOUT`].
async fn settle(
    system: &CrashSystem,
    client: &Client,
    reporters: &Reporters,
    hosts: &SimulatedHosts,
) -> Result<(ObservedState, PromiseReport)> {
    let keys = system.processes.keyring().verifier(SigningContext::Proof);
    let policy = roles::system::policy(system::POLICY)?;
    let ladder: Vec<_> = policy.regimes[0]
        .ladder
        .rules()
        .iter()
        .map(|rule| (rule.rung, rule.after))
        .collect();
    let mut last = None;
    let mut last_change = Instant::now();
    eprintln!("every role is up; waiting until the system is idle");
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let now = match ActivitySnapshot::read(client).await {
            Ok(now) => now,
            // A role that restarted last may not accept calls yet.
            Err(_) if last_change.elapsed() < STALL_TIMEOUT => continue,
            Err(error) => return Err(error),
        };
        let is_unchanged = last.replace(now.clone()).is_some_and(|last| last == now);
        if !is_unchanged {
            last_change = Instant::now();
        }
        let is_stalled = last_change.elapsed() > STALL_TIMEOUT;
        let is_idle = is_unchanged && now.is_idle();
        if !is_idle && !is_stalled {
            continue;
        }
        let observed = ObservedState::read(client).await?;
        let promises = PromiseReport::new(&RunEvidence {
            receipts: &reporters.receipts(),
            hosts: hosts.log(),
            observed: &observed,
            keys: &keys,
            ladder: &ladder,
        });
        if promises.all_kept() || is_stalled {
            if is_stalled {
                eprintln!("no activity for {} s: {now:?}", STALL_TIMEOUT.as_secs());
            }
            return Ok((observed, promises));
        }
    }
}

/// Names of the processes that are killed.
fn victims(system: &CrashSystem, bus: BusKind) -> Vec<String> {
    let instances = system.processes.instances().into_iter();
    let mut victims: Vec<String> = instances.map(|instance| instance.to_string()).collect();
    victims.push("postgres".to_owned());
    if bus == BusKind::Kafka {
        victims.push("broker".to_owned());
    }
    victims
}
