//! `provider key`: the keys of a provider's own access, kept for it by an operator.

use anyhow::Result;
use domain::wire;
use proto::v1::{
    CreateProviderKeyRequest, ListProviderKeysRequest, ProviderKey, ProviderScope,
    RevokeProviderKeyRequest, RotateProviderKeyRequest,
};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::cli::At;
use crate::output::{Format, facts, table};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Makes a key; it is shown once.
    Create {
        #[command(flatten)]
        at: At,
        /// The provider.
        id: String,
        /// What the key may do; all where none is given.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// What it is for.
        #[arg(long, default_value = "")]
        name: String,
    },
    /// A provider's keys, also those that are over.
    List {
        #[command(flatten)]
        at: At,
        /// The provider.
        id: String,
    },
    /// Makes a key in place of another, which goes on for a while.
    Rotate {
        #[command(flatten)]
        at: At,
        /// As `provider key list` shows it.
        key_id: String,
        /// How long the old key goes on, seconds; 0 ends it at once, 604800 is the most.
        #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
        overlap: u32,
    },
    /// Ends a key at once.
    Revoke {
        #[command(flatten)]
        at: At,
        /// As `provider key list` shows it.
        key_id: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Scope {
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
            Self::Create { at, .. }
            | Self::List { at, .. }
            | Self::Rotate { at, .. }
            | Self::Revoke { at, .. } => at.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Create {
            at,
            id,
            scopes,
            name,
        } => {
            let request = CreateProviderKeyRequest {
                provider_id: id,
                scopes: scopes.iter().map(|scope| scope.wire()).collect(),
                name,
                idempotency_key: String::new(),
            };
            let made = at.client()?.dispatch().create_provider_key(request).await?;
            let made = made.into_inner();
            shown_once(&at, &made.key_id, &made.key, None);
            Ok(())
        }
        Command::List { at, id } => list(&at, id).await,
        Command::Rotate {
            at,
            key_id,
            overlap,
        } => {
            let request = RotateProviderKeyRequest {
                key_id,
                overlap_seconds: Some(overlap),
                idempotency_key: String::new(),
            };
            let made = at.client()?.dispatch().rotate_provider_key(request).await?;
            let made = made.into_inner();
            shown_once(&at, &made.key_id, &made.key, made.former.as_ref());
            Ok(())
        }
        Command::Revoke { at, key_id } => {
            let request = RevokeProviderKeyRequest {
                key_id: key_id.clone(),
            };
            at.client()?.dispatch().revoke_provider_key(request).await?;
            at.format.print(&json!({ "revoked": key_id }), || {
                format!("revoked {key_id}")
            });
            Ok(())
        }
    }
}

fn shown_once(at: &At, key_id: &str, key: &str, former: Option<&ProviderKey>) {
    let former_end = former.map(|former| ending(former).unwrap_or_default());
    let value = json!({ "key_id": key_id, "key": key, "former": former.map(key_json) });
    at.format.print(&value, || {
        let mut lines = vec![
            ("key id", key_id.to_owned()),
            ("key (shown once)", key.to_owned()),
        ];
        lines.extend(former_end.map(|end| ("the old key ends", end)));
        facts(lines)
    });
}

async fn list(at: &At, id: String) -> Result<()> {
    let request = ListProviderKeysRequest { provider_id: id };
    let keys = at.client()?.dispatch().list_provider_keys(request).await?;
    let keys = keys.into_inner().keys;
    let values: Vec<Value> = keys.iter().map(key_json).collect();
    at.format.print(&Value::from(values), || {
        table(
            ["key id", "name", "scopes", "made", "ends"],
            keys.iter().map(|key| {
                [
                    key.key_id.clone(),
                    key.name.clone(),
                    scopes(key).join(" "),
                    when(key.created_at.as_ref()).unwrap_or_default(),
                    ending(key).unwrap_or_default(),
                ]
            }),
        )
    });
    Ok(())
}

fn key_json(key: &ProviderKey) -> Value {
    json!({
        "key_id": key.key_id,
        "name": key.name,
        "scopes": scopes(key),
        "created_at": when(key.created_at.as_ref()),
        "expires_at": when(key.expires_at.as_ref()),
        "revoked_at": when(key.revoked_at.as_ref()),
    })
}

/// When it ends, or ended.
fn ending(key: &ProviderKey) -> Option<String> {
    when(key.revoked_at.as_ref()).or_else(|| when(key.expires_at.as_ref()))
}

fn when(at: Option<&prost_types::Timestamp>) -> Option<String> {
    wire::time("at", at?).ok()?.format(&Rfc3339).ok()
}

fn scopes(key: &ProviderKey) -> Vec<&'static str> {
    key.scopes()
        .map(|scope| match scope {
            ProviderScope::Read => "read",
            ProviderScope::Answer => "answer",
            ProviderScope::Settings => "settings",
            ProviderScope::Unspecified => "",
        })
        .collect()
}
