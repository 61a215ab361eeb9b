//! The command line.
//!
//! Exit codes: 0 success, 1 failure or a failed check, 2 invalid command line.

mod backup;
mod case;
mod doctor;
mod import;
mod init;
mod labels;
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

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use platform::config::env_var;
use platform::shutdown;
use platform::telemetry::{self, LogFormat};
use roles::client::{Client, Profile};
use roles::role::Role;
use secrecy::SecretString;
use tracing::level_filters::LevelFilter;

#[cfg(feature = "demo")]
use crate::demo;
use crate::output::Format;

/// Takedown notices for child-protection hotlines: all roles, and the operators' commands.
///
/// Exit codes: 0 success, 1 failure or a failed check, 2 invalid command line.
/// Logs go to stderr; TAKEDOWN_LOG sets their level (error, warn, info, debug).
#[derive(Debug, Parser)]
#[command(name = "takedown", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs every role in this process, on a private or an external database.
    Up(up::UpArgs),
    /// Runs the whole system with simulated hosts and synthetic reports.
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Runs intake: accepts reports. See deploy/config/intake.toml.
    Intake(role::RoleArgs),
    /// Runs verification: the queue, decisions and staff. See deploy/config/verification.toml.
    Verification(role::RoleArgs),
    /// Runs dispatch: notices, answers and deadlines. See deploy/config/dispatch.toml.
    Dispatch(role::RoleArgs),
    /// Runs the gateway: HTTP for providers, partners and the public. See deploy/config/gateway.toml.
    Gateway(role::RoleArgs),
    /// Runs the console: web pages for staff. See deploy/config/console.toml.
    Console(role::RoleArgs),
    /// Migrates the database and exits.
    Migrate(migrate::MigrateArgs),
    /// Creates the keyring, the first account and the operators' credential for separate roles, and exits.
    Init(init::InitArgs),
    /// Checks everything that the roles need, and names a remedy for each problem.
    Doctor(doctor::DoctorArgs),
    /// Writes the database and the keyring, as of one moment, into a new folder, while the system runs.
    Backup(backup::BackupArgs),
    /// Restores a backup into an empty database and data folder.
    Restore(backup::RestoreArgs),
    /// Submits reports, imports them from a file, shows their outcome.
    #[command(subcommand)]
    Report(report::Command),
    /// Shows a case, withdraws its verdict, places or lifts a police hold, answers a provider's question.
    #[command(subcommand)]
    Case(case::Command),
    /// Lists notices to providers.
    #[command(subcommand)]
    Notice(notice::Command),
    /// Maintains the provider directory and providers' keys, and runs the reference client.
    #[command(subcommand)]
    Provider(provider::Command),
    /// Lists, replays and drops events that could not be applied.
    #[command(subcommand)]
    Parked(parked::Command),
    /// Runs the ledger, which records every event (see deploy/config/ledger.toml), or verifies its
    /// tamper-evident log.
    Ledger(LedgerArgs),
    /// Checks escalation policies.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Maintains staff accounts.
    #[command(subcommand)]
    Staff(staff::Command),
}

/// Without a subcommand, runs the role.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
struct LedgerArgs {
    #[command(subcommand)]
    command: Option<ledger::Command>,
    #[command(flatten)]
    role: role::RoleArgs,
}

/// Runs one command.
pub async fn run(cli: Cli) -> ExitCode {
    telemetry::init(LogFormat::Auto, cli.command.log_level(), &CRATES);
    // Fails if a provider is installed already; it is then the same one.
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

/// Crates whose log lines are shown at the configured level.
const CRATES: [&str; 11] = [
    "console",
    "dispatch",
    "domain",
    "gateway",
    "host_client",
    "intake",
    "ledger",
    "roles",
    "simulator",
    "takedown",
    "verification",
];

impl Command {
    /// Returns `false` if a check failed.
    async fn run(self) -> Result<bool> {
        match self {
            Self::Up(args) => up::run(args).await.map(|()| true),
            #[cfg(feature = "demo")]
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
            Self::Up(args) => args.common.format,
            Self::Migrate(args) => args.common.format,
            Self::Init(args) => args.common.format,
            Self::Doctor(args) => args.common.format,
            Self::Backup(args) => args.common.format,
            Self::Restore(args) => args.common.format,
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
            #[cfg(feature = "demo")]
            Self::Demo(_) => Format::default(),
            Self::Intake(_)
            | Self::Verification(_)
            | Self::Dispatch(_)
            | Self::Gateway(_)
            | Self::Console(_) => Format::default(),
            Self::Policy(command) => command.format(),
            Self::Staff(command) => command.format(),
        }
    }

    /// Long-running commands log at the configured level, others only warnings unless TAKEDOWN_LOG is set.
    fn log_level(&self) -> LevelFilter {
        match self {
            Self::Provider(command) if command.is_long_running() => {
                telemetry::level_from_environment()
            }
            Self::Up(_)
            | Self::Intake(_)
            | Self::Verification(_)
            | Self::Dispatch(_)
            | Self::Ledger(LedgerArgs { command: None, .. })
            | Self::Gateway(_)
            | Self::Console(_) => telemetry::level_from_environment(),
            _ if env_var("TAKEDOWN_LOG").is_some() => telemetry::level_from_environment(),
            _ => LevelFilter::WARN,
        }
    }
}

/// Options of most commands: the system to use, and the output format.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    #[command(flatten)]
    pub data: DataDir,
    #[command(flatten)]
    pub format: Format,
}

impl CommonArgs {
    /// A client of the data folder's running system, as its local operator.
    pub fn client(&self) -> Result<Client> {
        let profile = Profile::read(&self.data.path()?)?;
        Client::from_profile(&profile)
    }

    /// The database address: `DATABASE_URL`, or the data folder's private database.
    pub fn database_url(&self) -> Result<SecretString> {
        if let Some(url) = database_url() {
            return Ok(url);
        }
        Profile::read(&self.data.path()?)?
            .database_url
            .context("this system uses an external database; set DATABASE_URL to its address")
    }
}

/// The value of `DATABASE_URL`, if it is set.
pub fn database_url() -> Option<SecretString> {
    env_var("DATABASE_URL").map(SecretString::from)
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
        env_var("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .or_else(|| env_var("HOME").map(|home| PathBuf::from(home).join(".local/share")))
            .map(|dir| dir.join("takedown"))
            .context("HOME is not set; name a data folder with --data-dir")
    }
}

/// Runs a future; a signal aborts it.
async fn abort_on_signal<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let signal = shutdown::on_signals()?;
    tokio::select! {
        result = work => result,
        () = signal.cancelled() => anyhow::bail!("stopped by a signal; run the same command again to continue"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
