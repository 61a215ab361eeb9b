//! `init`: what an installation with separate roles has once, made before they start: keyring, first account, and a
//! credential for the operators' commands.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use platform::bus::BusConfig;
use platform::clock::Clock;
use platform::config::{SecretRef, load};
use platform::embedded::FolderLock;
use platform::tls::TlsFiles;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::{At, database_url};
use crate::client::{Addresses, Operator, Profile};
use crate::output::{facts, tell};
use crate::system::{self, LOCAL_OPERATOR, Pools};

/// Makes keyring, first account and client.toml for separate roles, on a database that it brings up to date, and ends.
///
/// Uses the address of its configuration or DATABASE_URL, with a user who may make roles and schemas. Run again, it
/// leaves keyring and account as they are and renews the credential in client.toml.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) at: At,
    /// Where the roles will be (TOML); see deploy/config/init.toml. Variables such as TAKEDOWN_INIT__LEDGER_ORIGIN go over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What client.toml says of the roles.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Where the address of the database is.
    database_url: Option<SecretRef>,
    /// The name that the ledger signs its checkpoints under.
    ledger_origin: String,
    /// The operator's certificate and key, and the authorities.
    tls: Option<TlsFiles>,
    addresses: Addresses,
    bus: BusConfig,
}

impl Default for Config {
    fn default() -> Self {
        let at = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}");
        Self {
            database_url: None,
            ledger_origin: ledger::Config::default().origin,
            tls: None,
            addresses: Addresses {
                intake: at("https", 7410),
                verification: at("https", 7411),
                dispatch: at("https", 7412),
                ledger: at("https", 7413),
                gateway: at("http", 7401),
                console: at("http", 7400),
            },
            bus: BusConfig::default(),
        }
    }
}

pub(super) async fn run(args: Args) -> Result<()> {
    let config: Config = load(args.config.as_deref(), "TAKEDOWN_INIT__")?;
    let given = match &config.database_url {
        Some(reference) => Some(reference.resolve()?),
        None => database_url(),
    };
    let url = given.context(
        "separate roles share a database that is given by its address; set DATABASE_URL to it",
    )?;
    let data_dir = args.at.data.path()?;
    // Also makes the folder, for its owner alone.
    let _lock = FolderLock::take(&data_dir)?;
    let fresh = !system::keyring_path(&data_dir).exists();
    let keyring = system::open_keyring(&data_dir, url.expose_secret()).await?;
    system::migrate(url.expose_secret(), config.bus.kind)
        .await
        .context("migrating the database")?;
    let pools = Pools::open(url.expose_secret()).await?;
    let say = |line: &str| tell(line);
    let operator = system::local_operator(&pools, &Clock::Database, &say).await;
    pools.close().await;
    let (password, session) = operator?;
    ensure!(
        !session.expose_secret().is_empty(),
        "the account {LOCAL_OPERATOR} was revoked, so there is no credential to write"
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
        "keyring_made": fresh,
        "operator": LOCAL_OPERATOR,
        "password": password.as_ref().map(ExposeSecret::expose_secret),
        "client": Profile::path(&data_dir),
    });
    args.at.format.print(&value, || {
        let account = match &password {
            Some(_) => format!("{LOCAL_OPERATOR}, with the password above"),
            None => "there was one already".to_owned(),
        };
        let mut text = facts([
            ("keyring", path.display().to_string()),
            ("account", account),
            (
                "operators' commands",
                Profile::path(&data_dir).display().to_string(),
            ),
        ]);
        if fresh {
            text.push_str("\n\nKeep a copy of the keyring where no backup of the database lies: without it nothing in the database opens.");
        }
        text
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_read() {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/config/init.toml");
        let config: Config = load(Some(sample.as_ref()), "TAKEDOWN_NOWHERE_").unwrap();
        assert!(config.database_url.is_some() && config.tls.is_some());
        assert_eq!(config.addresses.dispatch, "https://dispatch:7412");
        assert_eq!(config.ledger_origin, "hotline.example/ledger");
    }
}
