//! `provider`: the provider directory, providers' keys, and the reference client.

mod import;
mod key;
mod reference_client;
#[cfg(feature = "demo")]
mod serve;
mod show;
mod trial;

use std::path::PathBuf;

use anyhow::Result;
use host_client::answer::AnswerOptions;
use host_client::watch::WatchOptions;
#[cfg(feature = "demo")]
use simulator::serve::ServeOptions;

use super::CommonArgs;
use crate::output::Format;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Writes providers into the directory; each replaces the entry with its id.
    Import {
        #[command(flatten)]
        common: CommonArgs,
        /// A JSON list of providers: id, role, channel, and optionally country, asn, cidrs, domains,
        /// abuse_contact, webhook_url, upstream, registrar, origin.
        file: PathBuf,
    },
    /// Lists the directory.
    List {
        #[command(flatten)]
        common: CommonArgs,
    },
    /// Shows one provider: its notices by state, its clocks, its contact's health.
    Show {
        #[command(flatten)]
        common: CommonArgs,
        id: String,
    },
    /// Maintains the keys of a provider.
    #[command(subcommand)]
    Key(key::Command),
    /// Creates a trial host with notices to answer and a key, to try a client against a system on this
    /// machine.
    Trial {
        #[command(flatten)]
        common: CommonArgs,
        /// The host's id; its pages are at ID.example.
        id: String,
        /// Number of notices.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=100))]
        notices: u8,
    },
    /// Runs the reference client: receives a provider's notices, verifies them and prints them. Answers none.
    Watch {
        #[command(flatten)]
        options: WatchOptions,
        #[command(flatten)]
        format: Format,
    },
    /// Answers one notice, as the provider.
    Answer {
        #[command(flatten)]
        options: AnswerOptions,
        #[command(flatten)]
        format: Format,
    },
    /// Runs a simulated host: receives a provider's notices, verifies them and answers by its behaviour.
    #[cfg(feature = "demo")]
    Serve {
        #[command(flatten)]
        options: Box<ServeOptions>,
        #[command(flatten)]
        format: Format,
    },
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Import { common, .. }
            | Self::List { common }
            | Self::Show { common, .. }
            | Self::Trial { common, .. } => common.format,
            Self::Key(command) => command.format(),
            Self::Watch { format, .. } | Self::Answer { format, .. } => *format,
            #[cfg(feature = "demo")]
            Self::Serve { format, .. } => *format,
        }
    }

    /// Whether it runs until a signal.
    pub(super) fn is_long_running(&self) -> bool {
        match self {
            Self::Watch { .. } => true,
            #[cfg(feature = "demo")]
            Self::Serve { .. } => true,
            _ => false,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Import { common, file } => import::run(&common, &file).await,
        Command::List { common } => show::list(&common).await,
        Command::Show { common, id } => show::show(&common, id).await,
        Command::Key(command) => key::run(command).await,
        Command::Trial {
            common,
            id,
            notices,
        } => trial::run(&common, id, notices).await,
        Command::Watch { options, format } => reference_client::watch(options, format).await,
        Command::Answer { options, format } => reference_client::answer(options, format).await,
        #[cfg(feature = "demo")]
        Command::Serve { options, format } => serve::run(*options, format).await,
    }
}
