//! `init`: creates, once and before separate roles start, the keyring, the first account and the operators'
//! credential.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use platform::bus::BusConfig;
use platform::clock::Clock;
use platform::config::{SecretRef, load};
use platform::folder_lock::FolderLock;
use platform::tls::TlsFiles;
use roles::client::{Addresses, Operator, Profile};
use roles::system::{self, LOCAL_OPERATOR, Pools};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::{CommonArgs, database_url};
use crate::output::{facts, note};

/// Creates the keyring, the first account and client.toml for separate roles, migrates the database, and
/// exits.
///
/// Uses the database address in its configuration or DATABASE_URL, whose user may create roles and schemas.
/// Further runs keep keyring and account and renew the credential in client.toml.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// Configuration (TOML); see deploy/config/init.toml. Environment variables such as
    /// TAKEDOWN_INIT__LEDGER_ORIGIN override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The database, and what is written into client.toml.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Reference to the database address.
    database_url: Option<SecretRef>,
    /// The log's name in the ledger's checkpoints.
    ledger_origin: String,
    /// The operator's certificate and key, and the trusted authorities.
    tls: Option<TlsFiles>,
    addresses: Addresses,
    bus: BusConfig,
}

impl Default for Config {
    fn default() -> Self {
        let local = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}");
        Self {
            database_url: None,
            ledger_origin: ledger::Config::default().origin,
            tls: None,
            addresses: Addresses {
                intake: local("https", 7410),
                verification: local("https", 7411),
                dispatch: local("https", 7412),
                ledger: local("https", 7413),
                gateway: local("http", 7401),
                console: local("http", 7400),
            },
            bus: BusConfig::default(),
        }
    }
}

pub(super) async fn run(args: InitArgs) -> Result<()> {
    let config: Config = load(args.config.as_deref(), "TAKEDOWN_INIT__")?;
    let database = match &config.database_url {
        Some(reference) => Some(reference.resolve()?),
        None => database_url(),
    };
    let url = database
        .context("separate roles need an external database; set DATABASE_URL to its address")?;
    let data_dir = args.common.data.path()?;
    // Also creates the folder, with mode 700.
    let _lock = FolderLock::acquire(&data_dir)?;
    let is_new = !system::keyring_path(&data_dir).exists();
    let keyring = system::open_keyring(&data_dir, url.expose_secret()).await?;
    system::migrate(url.expose_secret(), config.bus.kind)
        .await
        .context("migrating the database")?;
    let pools = Pools::open(url.expose_secret()).await?;
    let progress = |line: &str| note(line);
    let operator = system::local_operator(&pools, &Clock::Database, &progress).await;
    pools.close().await;
    let (password, session) = operator?;
    ensure!(
        !session.expose_secret().is_empty(),
        "the account {LOCAL_OPERATOR} is revoked, so there is no credential to write"
    );
    let profile = Profile {
        addresses: config.addresses,
        operator: Operator {
            name: LOCAL_OPERATOR.to_owned(),
            session,
        },
        database_url: None,
        checkpoint_keys: system::checkpoint_keys(&keyring),
        ledger_origin: config.ledger_origin,
        tls: config.tls,
        bus: config.bus,
    };
    profile.write(&data_dir)?;
    let path = system::keyring_path(&data_dir);
    let value = json!({
        "keyring": path,
        "keyring_created": is_new,
        "operator": LOCAL_OPERATOR,
        "password": password.as_ref().map(ExposeSecret::expose_secret),
        "client": Profile::path(&data_dir),
    });
    args.common.format.print(&value, || {
        let account = match &password {
            Some(_) => format!("{LOCAL_OPERATOR}, with the password above"),
            None => "exists already".to_owned(),
        };
        let mut text = facts([
            ("keyring", path.display().to_string()),
            ("account", account),
            (
                "operators' commands",
                Profile::path(&data_dir).display().to_string(),
            ),
        ]);
        if is_new {
            text.push_str("\n\nStore a copy of the keyring apart from the database's backups: without it nothing in the database can be unsealed.");
        }
        text
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_parsed() {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/config/init.toml");
        let config: Config = load(Some(sample.as_ref()), "TAKEDOWN_NOWHERE_").unwrap();
        assert!(config.database_url.is_some() && config.tls.is_some());
        assert_eq!(config.addresses.dispatch, "https://dispatch:7412");
        assert_eq!(config.ledger_origin, "hotline.example/ledger");
    }
}
