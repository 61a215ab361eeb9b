//! Load measurement: durably accepted reports per second compared with pgbench's commits, whole-path cases per second,
//! and the CPU time and memory of each part.
//!
//! The system runs in its own process, the hosts and reporters in this one, and the database is separate, so that each
//! part can be measured. The figures are of one machine in one run; only their ratios are comparable.

mod accept;
mod pgbench;
mod report;
mod resource_usage;
pub mod system;
mod whole_path;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use secrecy::ExposeSecret as _;
use takedown::demo::BusKind;
use tempfile::TempDir;
use testkit::Broker;

use pgbench::Pgbench;
use report::LoadFigures;
use resource_usage::MeasuredProcesses;

/// Measure accepted reports, whole-path cases, CPU time and memory, with pgbench's single-row commits on the same database
/// as the baseline.
#[derive(Parser)]
#[command(name = "load")]
pub struct LoadArgs {
    /// Number of whole-path cases; memory is measured after the first fifth and at the end
    #[arg(long, default_value_t = 10_000)]
    pub cases: usize,
    /// Seconds for which each of the three rates is measured
    #[arg(long, default_value_t = 8)]
    pub seconds: u64,
    /// With `kafka`, a second run over a broker that this program starts
    #[arg(long, value_enum, default_value_t = BusKind::Local)]
    pub bus: BusKind,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Run as the measured system, configured by this file
    #[arg(long, hide = true, value_name = "FILE")]
    pub system: Option<PathBuf>,
}

/// Measures the selected buses and prints the figures.
pub async fn run(args: LoadArgs) -> Result<()> {
    let pgbench = Pgbench::find().await?;
    let mut runs = vec![("local bus", measure(&args, &pgbench, None).await?)];
    if args.bus == BusKind::Kafka {
        let folder = folder()?;
        let mut broker = Broker::start(folder.path(), &|line| eprintln!("{line}")).await?;
        runs.push(("kafka", measure(&args, &pgbench, Some(&broker)).await?));
        broker.kill().await;
    }
    println!("{}", report::table(&runs));
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", report::json(&runs)))?;
    }
    Ok(())
}

/// Measures one system, with its events over this broker or over the database.
async fn measure(
    args: &LoadArgs,
    pgbench: &Pgbench,
    broker: Option<&Broker>,
) -> Result<LoadFigures> {
    let folder = folder()?;
    let duration = Duration::from_secs(args.seconds);
    let (scenario, hashes) = whole_path::scenario(args.cases)?;
    let listeners = simulator::hosts::Listeners::bind(&scenario).await?;
    let kafka = broker.map(Broker::bootstrap);
    let running = system::start(folder.path(), &listeners, kafka).await?;
    let processes = MeasuredProcesses {
        system: running.pid(),
        database: running.database_pid()?,
        broker: broker.and_then(Broker::pid),
    };

    eprintln!("whole path: {} cases", args.cases);
    let whole_path = whole_path::measure(&running, scenario, hashes, listeners, &processes).await?;
    eprintln!(
        "accepting, {} s in bulk and {} s in single calls",
        args.seconds, args.seconds
    );
    let bulk = accept::bulk(&running.client, duration).await?;
    let single = accept::single(&running, duration).await?;
    accept::wait_for_ledger(&running.client).await?;
    eprintln!("pgbench, {} s", args.seconds);
    let commits = pgbench
        .commits(running.database_url.expose_secret(), args.seconds)
        .await?;
    running.stop().await?;
    Ok(LoadFigures {
        bulk,
        single,
        commits,
        whole_path,
    })
}

/// 0711: the operating system user that runs Postgres must be able to enter the folder.
fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("takedown-load-")
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir()?)
}
