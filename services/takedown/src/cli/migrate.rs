//! `migrate`: the database brought up to date and the topics made, and nothing started. The only one besides `up` that
//! runs migrations.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use platform::bus::{BusConfig, Kind};
use platform::config::{SecretRef, load};
use platform::embedded::Embedded;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{At, database_url};
use crate::output::tell;
use crate::system::{self, SERVICES};

/// Brings the database up to date, makes Kafka's topics where the bus is Kafka, and ends.
///
/// Uses the address of its configuration or DATABASE_URL where there is one, else the private Postgres of the data
/// folder, which must not be running. Where passwords are named, the roles can sign in with them afterwards.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) at: At,
    /// The configuration (TOML); see deploy/config/migrate.toml. The file of `up` does as well: the table `bus` says
    /// whether there are topics to make. Variables such as TAKEDOWN_MIGRATE__PASSWORDS__INTAKE go over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What `migrate` can be told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Where the address of the database is, with a user who may make roles and schemas.
    database_url: Option<SecretRef>,
    /// Where the password of each role is. A role without one signs in nowhere, as under `up`.
    passwords: Passwords,
    /// On Kafka the topics are made, and no role is let into another's schema.
    bus: BusConfig,
    // The roles' tables are there so that the file of `up` is taken, and a mistake in it refused.
    intake: intake::Config,
    verification: verification::Config,
    dispatch: dispatch::Config,
    ledger: ledger::Config,
    gateway: gateway::Config,
    console: console::Config,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Passwords {
    intake: Option<SecretRef>,
    verification: Option<SecretRef>,
    dispatch: Option<SecretRef>,
    ledger: Option<SecretRef>,
}

impl Passwords {
    /// By schema. All are read before anything is done.
    fn resolve(&self) -> Result<Vec<(&'static str, SecretString)>> {
        let named = [
            ("intake", &self.intake),
            ("verification", &self.verification),
            ("dispatch", &self.dispatch),
            ("ledger", &self.ledger),
        ];
        named
            .into_iter()
            .filter_map(|(schema, reference)| Some((schema, reference.as_ref()?)))
            .map(|(schema, reference)| Ok((schema, reference.resolve()?)))
            .collect()
    }
}

pub(super) async fn run(args: Args) -> Result<()> {
    let config: Config = load(args.config.as_deref(), "TAKEDOWN_MIGRATE__")?;
    let passwords = config.passwords.resolve()?;
    let given = match &config.database_url {
        Some(reference) => Some(reference.resolve()?),
        None => database_url(),
    };
    let topics = system::make_topics(&config.bus).await?;
    if let Some(url) = given {
        bring_up_to_date(url.expose_secret(), config.bus.kind, &passwords).await?;
    } else {
        let say = |line: &str| tell(line);
        let (embedded, url) = Embedded::start(&args.at.data.path()?, &say).await?;
        let migrated = bring_up_to_date(&url, config.bus.kind, &passwords).await;
        embedded.stop().await?;
        migrated?;
    }
    let schemas = SERVICES.map(|schema| schema.name);
    let sign_in: Vec<&str> = passwords.iter().map(|(schema, _)| *schema).collect();
    let value = json!({ "schemas": schemas, "topics": topics, "passwords_set": sign_in });
    args.at.format.print(&value, || {
        let made = schemas.into_iter().chain(topics.iter().map(String::as_str));
        let mut text = format!("up to date: {}", made.collect::<Vec<_>>().join(", "));
        if !sign_in.is_empty() {
            text.push_str("\npasswords set: ");
            text.push_str(&sign_in.join(", "));
        }
        text
    });
    Ok(())
}

/// The table `bus` of a configuration for `migrate`.
pub(super) fn bus(file: &Path) -> Result<BusConfig> {
    Ok(load::<Config>(Some(file), "TAKEDOWN_MIGRATE__")?.bus)
}

async fn bring_up_to_date(url: &str, bus: Kind, passwords: &[(&str, SecretString)]) -> Result<()> {
    system::migrate(url, bus).await?;
    system::set_passwords(url, passwords)
        .await
        .context("setting the roles' passwords")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_read() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/config/migrate.toml");
        let config: Config = load(Some(&sample), "TAKEDOWN_NOWHERE_").unwrap();
        assert!(config.database_url.is_some() && config.passwords.ledger.is_some());
        assert_eq!(config.bus.kind, Kind::Local);
    }

    #[test]
    fn the_file_of_up_is_read_and_a_mistake_in_it_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            load::<Config>(Some(file.path()), "TAKEDOWN_NOWHERE_")
        };
        let config = read("[bus]\nkind = \"kafka\"\n[gateway]\nhotline = \"H\"").unwrap();
        assert_eq!(config.bus.kind, Kind::Kafka);
        assert!(read("[gateway]\nhotlines = \"H\"").is_err());
        assert!(read("[pasword]").is_err());
    }
}
