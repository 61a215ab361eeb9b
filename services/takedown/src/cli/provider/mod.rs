//! `provider`: the directory of who hosts what, providers' keys, and the reference client.

mod put;
mod show;

use std::path::PathBuf;

use anyhow::Result;
use platform::shutdown;
use proto::v1::{CreateProviderKeyRequest, ProviderScope, RevokeProviderKeyRequest};
use serde_json::json;

use super::At;
use crate::output::{Format, facts};
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
    /// Makes a key for a provider's own access; shown once.
    Key {
        #[command(flatten)]
        at: At,
        id: String,
        /// What the key may do; all where none is given.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
    },
    /// Ends a provider's key.
    RevokeKey {
        #[command(flatten)]
        at: At,
        /// The key's id, as `provider key` showed it.
        key_id: String,
    },
    /// The reference client: receives notices as a provider does, verifies them and answers.
    Serve(Box<street::serve::Options>),
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Scope {
    Read,
    Answer,
    Settings,
}

impl Scope {
    fn wire(self) -> i32 {
        let scope = match self {
            Self::Read => ProviderScope::Read,
            Self::Answer => ProviderScope::Answer,
            Self::Settings => ProviderScope::Settings,
        };
        scope.into()
    }
}

impl Command {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Put { at, .. }
            | Self::List { at }
            | Self::Show { at, .. }
            | Self::Key { at, .. }
            | Self::RevokeKey { at, .. } => at.format,
            Self::Serve(options) => options.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Put { at, file } => put::put(&at, &file).await,
        Command::List { at } => show::list(&at).await,
        Command::Show { at, id } => show::show(&at, id).await,
        Command::Key { at, id, scopes } => key(&at, id, &scopes).await,
        Command::RevokeKey { at, key_id } => {
            let request = RevokeProviderKeyRequest {
                key_id: key_id.clone(),
            };
            at.client()?.dispatch().revoke_provider_key(request).await?;
            at.format.print(&json!({ "revoked": key_id }), || {
                format!("revoked {key_id}")
            });
            Ok(())
        }
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

async fn key(at: &At, id: String, scopes: &[Scope]) -> Result<()> {
    let request = CreateProviderKeyRequest {
        provider_id: id.clone(),
        scopes: scopes.iter().map(|scope| scope.wire()).collect(),
    };
    let answer = at
        .client()?
        .dispatch()
        .create_provider_key(request)
        .await?
        .into_inner();
    at.format.print(
        &json!({ "provider_id": id, "key_id": answer.key_id, "key": answer.key }),
        || {
            facts([
                ("provider", id.clone()),
                ("key id", answer.key_id.clone()),
                ("key (shown once)", answer.key.clone()),
            ])
        },
    );
    Ok(())
}
