//! `provider key`: lets an operator maintain a provider's keys.

use anyhow::Result;
use domain::wire;
use proto::v1::{
    CreateProviderKeyRequest, ListProviderKeysRequest, ProviderKey, ProviderScope,
    RevokeProviderKeyRequest, RotateProviderKeyRequest,
};
use serde_json::{Value, json};
use time::Duration;
use time::format_description::well_known::Rfc3339;

use crate::cli::CommonArgs;
use crate::output::{Format, facts, table};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Creates a key, which is shown once.
    Create {
        #[command(flatten)]
        common: CommonArgs,
        /// The provider.
        id: String,
        /// A scope of the key; may be repeated. [default: all]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<KeyScope>,
        /// A name, such as its purpose.
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Lists a provider's keys, including expired and revoked ones.
    List {
        #[command(flatten)]
        common: CommonArgs,
        /// The provider.
        id: String,
    },
    /// Replaces a key. The old key stays valid for a while.
    Rotate {
        #[command(flatten)]
        common: CommonArgs,
        /// The key id, from `provider key list`.
        key_id: String,
        /// How long the old key stays valid, in seconds; 0 to 604800.
        #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
        overlap: u32,
    },
    /// Revokes a key at once.
    Revoke {
        #[command(flatten)]
        common: CommonArgs,
        /// The key id, from `provider key list`.
        key_id: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum KeyScope {
    Read,
    Answer,
    Settings,
}

impl KeyScope {
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
            Self::Create { common, .. }
            | Self::List { common, .. }
            | Self::Rotate { common, .. }
            | Self::Revoke { common, .. } => common.format,
        }
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Create {
            common,
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
            let response = common
                .client()?
                .dispatch()
                .create_provider_key(request)
                .await?;
            let created = response.into_inner();
            print_key(&common, &created.key_id, &created.key, None);
            Ok(())
        }
        Command::List { common, id } => list(&common, id).await,
        Command::Rotate {
            common,
            key_id,
            overlap,
        } => {
            let request = RotateProviderKeyRequest {
                key_id,
                overlap: Some(wire::duration(Duration::seconds(overlap.into()))),
                idempotency_key: String::new(),
            };
            let response = common
                .client()?
                .dispatch()
                .rotate_provider_key(request)
                .await?;
            let created = response.into_inner();
            print_key(
                &common,
                &created.key_id,
                &created.key,
                created.previous.as_ref(),
            );
            Ok(())
        }
        Command::Revoke { common, key_id } => {
            let request = RevokeProviderKeyRequest {
                key_id: key_id.clone(),
            };
            common
                .client()?
                .dispatch()
                .revoke_provider_key(request)
                .await?;
            common.format.print(&json!({ "revoked": key_id }), || {
                format!("revoked {key_id}")
            });
            Ok(())
        }
    }
}

fn print_key(common: &CommonArgs, key_id: &str, key: &str, previous: Option<&ProviderKey>) {
    let previous_end = previous.map(|previous| end(previous).unwrap_or_default());
    let value = json!({ "key_id": key_id, "key": key, "previous": previous.map(key_json) });
    common.format.print(&value, || {
        let mut lines = vec![
            ("key id", key_id.to_owned()),
            ("key (shown once)", key.to_owned()),
        ];
        lines.extend(previous_end.map(|end| ("the old key expires", end)));
        facts(lines)
    });
}

async fn list(common: &CommonArgs, id: String) -> Result<()> {
    let request = ListProviderKeysRequest { provider_id: id };
    let keys = common
        .client()?
        .dispatch()
        .list_provider_keys(request)
        .await?;
    let keys = keys.into_inner().keys;
    let values: Vec<Value> = keys.iter().map(key_json).collect();
    common.format.print(&Value::from(values), || {
        table(
            ["key id", "name", "scopes", "created", "ends"],
            keys.iter().map(|key| {
                [
                    key.key_id.clone(),
                    key.name.clone(),
                    scopes(key).join(" "),
                    format_time(key.created_at.as_ref()).unwrap_or_default(),
                    end(key).unwrap_or_default(),
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
        "created_at": format_time(key.created_at.as_ref()),
        "expires_at": format_time(key.expires_at.as_ref()),
        "revoked_at": format_time(key.revoked_at.as_ref()),
    })
}

/// When the key is or was revoked, or expires.
fn end(key: &ProviderKey) -> Option<String> {
    format_time(key.revoked_at.as_ref()).or_else(|| format_time(key.expires_at.as_ref()))
}

fn format_time(time: Option<&prost_types::Timestamp>) -> Option<String> {
    wire::time("at", time?).ok()?.format(&Rfc3339).ok()
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
