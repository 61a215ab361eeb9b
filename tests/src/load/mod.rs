//! Figures: durable accepts beside pgbench's commits, whole cases a second, CPU and memory of each part.
//!
//! The system runs in a process of its own, the hosts and the reporters in this one, the database beside both; so each
//! part's CPU and memory can be told. Ratios count: these figures are of one machine, in one run.

mod accept;
mod pgbench;
mod process;
mod report;
pub mod system;
mod whole;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use platform::broker::Broker;
use secrecy::ExposeSecret as _;
use takedown::demo::Carrier;
use tempfile::TempDir;

use pgbench::Pgbench;
use process::Parts;
use report::Figures;

/// Prints accepts, whole-path cases, CPU seconds and memory, beside pgbench's single-row commits on the same database.
#[derive(Parser)]
#[command(name = "load")]
pub struct Args {
    /// Cases that go the whole way; memory is looked at after the first fifth and at the end.
    #[arg(long, default_value_t = 10_000)]
    pub cases: usize,
    /// How long each of the three rates is measured.
    #[arg(long, default_value_t = 8)]
    pub seconds: u64,
    /// Kafka: a second run with the events over a broker that this starts, beside the one over the database.
    #[arg(long, value_enum, default_value_t = Carrier::Local)]
    pub bus: Carrier,
    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Be the system that is measured, as this file says.
    #[arg(long, hide = true, value_name = "FILE")]
    pub system: Option<PathBuf>,
}

/// Measures and prints.
pub async fn run(args: Args) -> Result<()> {
    let pgbench = Pgbench::find().await?;
    let mut runs = vec![("local bus", measure(&args, &pgbench, None).await?)];
    if args.bus == Carrier::Kafka {
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

/// One system from its start to its end, its events over this broker or over the database.
async fn measure(args: &Args, pgbench: &Pgbench, broker: Option<&Broker>) -> Result<Figures> {
    let folder = folder()?;
    let pause = Duration::from_secs(args.seconds);
    let (street, hashes) = whole::street(args.cases)?;
    let premises = takedown::street::residents::Premises::build(&street).await?;
    let kafka = broker.map(Broker::bootstrap);
    let running = system::start(folder.path(), &premises, kafka).await?;
    let parts = Parts {
        system: running.pid(),
        database: running.database_pid()?,
        broker: broker.and_then(Broker::pid),
    };

    eprintln!("whole path: {} cases", args.cases);
    let whole = whole::measure(&running, street, hashes, premises, &parts).await?;
    eprintln!(
        "accepting, {} s in bulk and {} s in single calls",
        args.seconds, args.seconds
    );
    let bulk = accept::bulk(&running.client, pause).await?;
    let single = accept::single(&running, pause).await?;
    accept::heard(&running.client).await?;
    eprintln!("pgbench, {} s", args.seconds);
    let commits = pgbench
        .commits(running.database_url.expose_secret(), args.seconds)
        .await?;
    running.stop().await?;
    Ok(Figures {
        bulk,
        single,
        commits,
        whole,
    })
}

/// The database's user has to pass through.
fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("takedown-load-")
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir()?)
}
