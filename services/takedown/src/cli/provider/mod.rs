//! `provider`: the directory of who hosts what, providers' keys, and the reference client.

mod key;
mod put;
mod show;
mod trial;

use std::path::PathBuf;

use anyhow::Result;
use platform::shutdown;
use serde_json::json;

use super::At;
use crate::output::Format;
use crate::street;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Writes providers into the directory, each in place of what stood under its id.
    Put {
        #[command(flatten)]
        at: At,
        /// A JSON list of providers: id, role, channel, and where they are known country, asn, cidrs, domains,
        /// abuse_contact, webhook_url, upstream, registrar, origin.
        file: PathBuf,
    },
    /// Everybody in the directory.
    List {
        #[command(flatten)]
        at: At,
    },
    /// One provider: its notices by state, its clocks, how well its contact works.
    Show {
        #[command(flatten)]
        at: At,
        id: String,
    },
    /// Keys of a provider's own access.
    #[command(subcommand)]
    Key(key::Command),
    /// Makes up a host with notices to answer, and a key for it: for trying a client against a system on this machine.
    Trial {
        #[command(flatten)]
        at: At,
        /// Of the host; its pages are at ID.example.
        id: String,
        /// So many notices.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=100))]
        notices: u8,
    },
    /// The reference client: receives notices as a provider does, verifies them and answers.
    Serve(Box<street::serve::Options>),
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Put { at, .. }
            | Self::List { at }
            | Self::Show { at, .. }
            | Self::Trial { at, .. } => at.format,
            Self::Key(command) => command.format(),
            Self::Serve(options) => options.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Put { at, file } => put::put(&at, &file).await,
        Command::List { at } => show::list(&at).await,
        Command::Show { at, id } => show::show(&at, id).await,
        Command::Key(command) => key::run(command).await,
        Command::Trial { at, id, notices } => trial::run(&at, id, notices).await,
        Command::Serve(options) => {
            let format = options.format;
            let shutdown = shutdown::on_signals()?;
            street::serve::serve(*options, shutdown, |on| listening(format, on)).await?;
            Ok(())
        }
    }
}

fn listening(format: Format, on: &street::serve::Listening) {
    format.print(&json!(on), || {
        let webhook = on.webhook.map(|at| format!("taking webhooks on {at}"));
        let smtp = on.smtp.map(|at| format!("taking mail on {at}"));
        let polls = on
            .polls
            .then(|| "asking the pull API for notices".to_owned());
        let all = [webhook, smtp, polls].into_iter().flatten();
        all.collect::<Vec<_>>().join("\n")
    });
}
