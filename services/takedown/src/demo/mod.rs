//! `takedown demo`: the whole system against a street of synthetic hosts, from the first report to the last answer.
//!
//! It speaks to the system as its users do: staff by gRPC, hosts by REST, webhook and mail. It must not read a
//! service's tables, nor tell a service what the street knows.

pub mod analysts;
mod feed;
mod figures;
mod follow;
pub mod knowledge;
pub mod setup;
pub mod stage;
mod table;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use dispatch::policy::Policy;
use platform::shutdown;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::output::{print, tell};
use crate::street::expect::{Expected, expect};
use crate::street::files::Street;
use crate::street::generator::generate;
use crate::street::residents::{Premises, Residents};
use crate::system::{DEMO_POLICY, policy};
use figures::Figures;
use knowledge::Knowledge;
use stage::Stage;

pub use stage::Carrier;

/// Reports where neither a number nor a folder is given.
const REPORTS: usize = 2000;

/// Plays a street of synthetic hosts against the whole system.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Reports to play. [default: 2000, or all of the street's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    reports: Option<u32>,
    /// The same seed gives the same street.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A folder with providers.json, reports.csv and truth.csv, instead of a generated street.
    #[arg(long, value_name = "DIR")]
    street: Option<PathBuf>,
    /// End when everything has come to its end, instead of staying up for a look around.
    #[arg(long)]
    exit: bool,
    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A process for each role, with TLS between them and a database of their own, instead of all in this one.
    #[arg(long)]
    spread: bool,
    /// What carries the events. Kafka: a process for each role, and one broker beside them.
    #[arg(long, value_enum, value_name = "BUS", default_value_t = Carrier::Local)]
    bus: Carrier,
    /// Keep the system's data in this folder, which must be new or empty. [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Plays the street to its end, on this database or one of its own. True when nothing was lost, nothing was sent twice
/// and all ended as it should.
pub async fn run(args: Args, database_url: Option<SecretString>) -> Result<bool> {
    let shutdown = shutdown::on_signals()?;
    let street = street(&args)?;
    // Before a long run, not after it.
    if let Some(path) = &args.json {
        std::fs::write(path, "").with_context(|| format!("writing {}", path.display()))?;
    }
    let expected = expect(&street, last_rung(&*policy(DEMO_POLICY)?)?);
    let kept = Folder::of(args.data_dir.as_deref())?;

    let premises = Premises::build(&street).await?;
    let spread = args.spread || args.bus == Carrier::Kafka;
    let system = Stage::start(kept.path(), &premises, spread, args.bus, database_url).await?;
    tell(&format!("console: {}", system.addresses().console));

    let stop = CancellationToken::new();
    let played = tokio::select! {
        played = play(&system, &street, premises, &expected, &args, &stop) => played,
        () = system.ends() => Err(anyhow::anyhow!("a role of the system has ended; see the log")),
        () = shutdown.cancelled() => Err(anyhow::anyhow!("stopped before the end")),
    };
    let (residents, good) = match played {
        Ok(played) => played,
        Err(error) => {
            stop.cancel();
            end(system, kept).await?;
            return Err(error);
        }
    };
    if !args.exit {
        tell("everything stays up for a look around; Ctrl-C ends it");
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = system.ends() => {}
        }
    }
    residents.close().await;
    end(system, kept).await?;
    Ok(good)
}

/// Ends the system. What was temporary is gone then, also the database's files where they lie outside the folder.
async fn end(system: Stage, folder: Folder) -> Result<()> {
    let home = system.embedded().map(|embedded| embedded.home().to_owned());
    system.stop().await?;
    let Folder::Temporary(folder) = folder else {
        return Ok(());
    };
    if let Some(home) = home.filter(|home| !home.starts_with(folder.path())) {
        std::fs::remove_dir_all(&home).with_context(|| format!("removing {}", home.display()))?;
    }
    Ok(folder.close()?)
}

/// From the first account to the table.
async fn play(
    system: &Stage,
    street: &Street,
    premises: Premises,
    expected: &Expected,
    args: &Args,
    stop: &CancellationToken,
) -> Result<(Arc<Residents>, bool)> {
    let cast = setup::people(system.client()).await?;
    let keys = setup::providers(&cast, street).await?;
    setup::known_material(&cast, street).await?;
    let gateway = &system.addresses().gateway;
    let residents = premises
        .open(street, gateway, &keys, stop.child_token())
        .await?;

    let knowledge = Arc::new(Knowledge::of(street));
    let at_work = stop.child_token();
    let staff = TaskTracker::new();
    for (number, analyst) in cast.analysts.iter().enumerate() {
        let (analyst, knowledge) = (analyst.clone(), Arc::clone(&knowledge));
        let desk = analysts::run(number, analyst, knowledge, at_work.clone());
        staff.spawn(desk);
    }
    staff.spawn(analysts::inform(cast.operator.clone(), at_work.clone()));
    let progress = follow::Progress::begin(expected);
    residents.begin();
    let fed = async {
        feed::run(&cast.operator, street, &knowledge, &progress).await?;
        progress.fed();
        anyhow::Ok(())
    };
    let result = tokio::try_join!(fed, follow::to_the_end(&cast.operator, &progress));
    at_work.cancel();
    staff.close();
    staff.wait().await;
    result?;

    let figures = Figures::read(&cast.operator, &knowledge, residents.log()).await?;
    let differences = figures.differences(expected);
    print(&table::of(&figures, expected, &differences));
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", figures.json());
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok((residents, differences.is_empty()))
}

fn street(args: &Args) -> Result<Street> {
    let wanted = args.reports.map(|reports| reports as usize);
    let Some(folder) = &args.street else {
        return generate(wanted.unwrap_or(REPORTS), args.seed);
    };
    let mut street = Street::read(folder)?;
    if let Some(wanted) = wanted {
        street.entries.truncate(wanted);
    }
    ensure!(
        !street.entries.is_empty(),
        "{} has no reports",
        folder.display()
    );
    Ok(street)
}

fn last_rung(policy: &Policy) -> Result<domain::word::Rung> {
    let ladder = policy
        .regimes
        .iter()
        .find(|regime| regime.default)
        .map(|regime| &regime.ladder);
    let last = ladder.and_then(|ladder| ladder.last());
    Ok(last.context("the demo's policy has no ladder")?.rung)
}

/// The system's data folder: one that is kept, or one that is gone afterwards.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn of(kept: Option<&Path>) -> Result<Self> {
        if let Some(path) = kept {
            return Ok(Self::Kept(path.to_owned()));
        }
        // The database's user has to pass through.
        let folder = tempfile::Builder::new()
            .prefix("takedown-demo-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()?;
        Ok(Self::Temporary(folder))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
