//! The commands: what each may be given, and who does it.
//!
//! Exit codes: 0 done, 1 failed or a check did not hold, 2 the command line is not right. A command asks the services
//! for what it shows and decides nothing that a service decides.

mod backup;
mod case;
mod doctor;
mod import;
mod init;
mod ledger;
mod migrate;
mod notice;
mod parked;
mod policy;
mod provider;
mod report;
mod role;
mod staff;
mod up;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use platform::config::variable;
use platform::shutdown;
use platform::telemetry::{self, Style};
use secrecy::SecretString;
use tracing::level_filters::LevelFilter;

use crate::client::{Client, Profile};
use crate::demo;
use crate::output::Format;
use crate::role::Role;

/// Takedown notices for child-protection hotlines: every role, and the operators' commands.
///
/// Exit codes: 0 done, 1 failed or a check did not hold, 2 the command line is not right.
/// Logs go to stderr; TAKEDOWN_LOG sets their level (error, warn, info, debug).
#[derive(Debug, Parser)]
#[command(name = "takedown", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs every role in this process, on a database that it finds or keeps itself.
    Up(up::Args),
    /// Plays a street of synthetic hosts against the whole system.
    Demo(demo::Args),
    /// Runs intake: accepts reports. See deploy/config/intake.toml.
    Intake(role::Args),
    /// Runs verification: the queue, decisions and staff. See deploy/config/verification.toml.
    Verification(role::Args),
    /// Runs dispatch: notices, answers and clocks. See deploy/config/dispatch.toml.
    Dispatch(role::Args),
    /// Runs the gateway: the edge to the outside. See deploy/config/gateway.toml.
    Gateway(role::Args),
    /// Runs the console: the edge for staff. See deploy/config/console.toml.
    Console(role::Args),
    /// Brings the database up to date and ends.
    Migrate(migrate::Args),
    /// Makes keyring, first account and the operators' credential for separate roles, and ends.
    Init(init::Args),
    /// Checks everything that the roles need, and says what to do.
    Doctor(doctor::Args),
    /// Writes database and keyring into a new folder, as of one moment, while the system runs.
    Backup(backup::Backup),
    /// Fills an empty database and data folder from a backup.
    Restore(backup::Restore),
    /// Reports: submit, import, follow.
    #[command(subcommand)]
    Report(report::Command),
    /// Cases: show, withdraw a verdict, hold, release, inform a provider.
    #[command(subcommand)]
    Case(case::Command),
    /// Notices to providers.
    #[command(subcommand)]
    Notice(notice::Command),
    /// The provider directory, providers' keys, and the reference client.
    #[command(subcommand)]
    Provider(provider::Command),
    /// Events that could not be applied.
    #[command(subcommand)]
    Parked(parked::Command),
    /// Runs the ledger, which hears every event (see deploy/config/ledger.toml), or looks into its tamper-evident log.
    Ledger(LedgerArgs),
    /// Escalation policies.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Staff accounts.
    #[command(subcommand)]
    Staff(staff::Command),
}

/// A role of its own, or a question to the one that runs.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
struct LedgerArgs {
    #[command(subcommand)]
    command: Option<ledger::Command>,
    #[command(flatten)]
    role: role::Args,
}

/// Runs one command to its end.
pub async fn run(cli: Cli) -> ExitCode {
    telemetry::init(Style::Auto, cli.command.log_level(), &CRATES);
    // Only this process chooses one; whoever came first has chosen the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let format = cli.command.format();
    match cli.command.run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            format.fail(&error);
            ExitCode::FAILURE
        }
    }
}

/// Those whose lines are shown at the level asked for.
const CRATES: [&str; 8] = [
    "console",
    "dispatch",
    "domain",
    "gateway",
    "intake",
    "ledger",
    "takedown",
    "verification",
];

impl Command {
    /// True when everything that was checked holds.
    async fn run(self) -> Result<bool> {
        match self {
            Self::Up(args) => up::run(args).await.map(|()| true),
            Self::Demo(args) => demo::run(args, database_url()).await,
            Self::Migrate(args) => migrate::run(args).await.map(|()| true),
            Self::Init(args) => init::run(args).await.map(|()| true),
            Self::Doctor(args) => doctor::run(args).await,
            Self::Backup(args) => backup::take(args).await.map(|()| true),
            Self::Restore(args) => backup::restore(args).await.map(|()| true),
            Self::Report(command) => report::run(command).await,
            Self::Case(command) => case::run(command).await.map(|()| true),
            Self::Notice(command) => notice::run(command).await.map(|()| true),
            Self::Provider(command) => provider::run(command).await.map(|()| true),
            Self::Parked(command) => parked::run(command).await.map(|()| true),
            Self::Intake(args) => role::run(Role::Intake, args).await.map(|()| true),
            Self::Verification(args) => role::run(Role::Verification, args).await.map(|()| true),
            Self::Dispatch(args) => role::run(Role::Dispatch, args).await.map(|()| true),
            Self::Ledger(args) => match args.command {
                Some(command) => ledger::run(command).await,
                None => role::run(Role::Ledger, args.role).await.map(|()| true),
            },
            Self::Gateway(args) => role::run(Role::Gateway, args).await.map(|()| true),
            Self::Console(args) => role::run(Role::Console, args).await.map(|()| true),
            Self::Policy(command) => policy::run(command),
            Self::Staff(command) => staff::run(command).await.map(|()| true),
        }
    }

    fn format(&self) -> Format {
        match self {
            Self::Up(args) => args.at.format,
            Self::Migrate(args) => args.at.format,
            Self::Init(args) => args.at.format,
            Self::Doctor(args) => args.at.format,
            Self::Backup(args) => args.at.format,
            Self::Restore(args) => args.at.format,
            Self::Report(command) => command.format(),
            Self::Case(command) => command.format(),
            Self::Notice(command) => command.format(),
            Self::Provider(command) => command.format(),
            Self::Parked(command) => command.format(),
            Self::Ledger(args) => args
                .command
                .as_ref()
                .map(ledger::Command::format)
                .unwrap_or_default(),
            Self::Demo(_)
            | Self::Intake(_)
            | Self::Verification(_)
            | Self::Dispatch(_)
            | Self::Gateway(_)
            | Self::Console(_) => Format::default(),
            Self::Policy(command) => command.format(),
            Self::Staff(command) => command.format(),
        }
    }

    /// What runs for long tells what it does; what answers a question answers it.
    fn log_level(&self) -> LevelFilter {
        match self {
            Self::Up(_)
            | Self::Provider(provider::Command::Serve(_))
            | Self::Intake(_)
            | Self::Verification(_)
            | Self::Dispatch(_)
            | Self::Ledger(LedgerArgs { command: None, .. })
            | Self::Gateway(_)
            | Self::Console(_) => telemetry::level_from_environment(),
            _ if variable("TAKEDOWN_LOG").is_some() => telemetry::level_from_environment(),
            _ => LevelFilter::WARN,
        }
    }
}

/// Which system, and how its answers are shown.
#[derive(Debug, Clone, Args)]
pub struct At {
    #[command(flatten)]
    pub data: DataDir,
    #[command(flatten)]
    pub format: Format,
}

impl At {
    /// The running system of the data folder, as its local operator.
    pub fn client(&self) -> Result<Client> {
        let profile = Profile::read(&self.data.path()?)?;
        Client::of(&profile)
    }

    /// The database: `DATABASE_URL`, else the one that the running system keeps in its folder.
    pub fn database_url(&self) -> Result<SecretString> {
        if let Some(url) = database_url() {
            return Ok(url);
        }
        Profile::read(&self.data.path()?)?
            .database_url
            .context("this system's database was given by its address; set DATABASE_URL to it")
    }
}

/// `DATABASE_URL`, where it is set.
pub fn database_url() -> Option<SecretString> {
    variable("DATABASE_URL").map(SecretString::from)
}

#[derive(Debug, Clone, Args)]
pub struct DataDir {
    /// Folder of the keyring, client.toml and the private database.
    /// [default: $XDG_DATA_HOME/takedown, or ~/.local/share/takedown]
    #[arg(long = "data-dir", value_name = "DIR", env = "TAKEDOWN_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDir {
    pub fn path(&self) -> Result<PathBuf> {
        if let Some(dir) = &self.data_dir {
            return Ok(std::path::absolute(dir)?);
        }
        variable("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/share")))
            .map(|dir| dir.join("takedown"))
            .context("there is no home folder; name a data folder by --data-dir")
    }
}

/// Runs a future until it ends or a signal comes, which ends it at once.
async fn unless_signalled<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let signal = shutdown::on_signals()?;
    tokio::select! {
        done = work => done,
        () = signal.cancelled() => anyhow::bail!("stopped by a signal; run the same command again to go on"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
