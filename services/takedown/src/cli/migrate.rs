//! `migrate`: migrates the database and creates the topics. Of the other commands only `up`, `demo`, `init`
//! and `restore` migrate.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use platform::bus::{BusConfig, BusKind};
use platform::config::{SecretRef, load};
use roles::role::monitor::Monitor;
use roles::system::{self, Database, SERVICES};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{CommonArgs, database_url};
use crate::output::note;

/// Migrates the database, creates the topics if the bus is Kafka, and exits.
///
/// Uses the database address in its configuration or DATABASE_URL, otherwise the data folder's private
/// Postgres, which must not be running. Sets the roles' passwords that the configuration references.
#[derive(Debug, clap::Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// Configuration (TOML); see deploy/config/migrate.toml. The configuration of `up` is accepted too, for
    /// its table `bus`. Environment variables such as TAKEDOWN_MIGRATE__PASSWORDS__INTAKE override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Reference to the database address, whose user may create roles and schemas.
    database_url: Option<SecretRef>,
    /// References to the roles' passwords. A role without a password cannot log in, as under `up`.
    passwords: Passwords,
    /// With Kafka, topics are created, and no role has rights in another's schema.
    bus: BusConfig,
    // The roles' tables, so that the configuration of `up` is accepted and a mistake in it refused.
    intake: intake::Config,
    verification: verification::Config,
    dispatch: dispatch::Config,
    ledger: ledger::Config,
    gateway: gateway::Config,
    console: console::Config,
    monitor: Monitor,
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
    /// Reads all passwords, by schema.
    fn resolve(&self) -> Result<Vec<(&'static str, SecretString)>> {
        let references = [
            ("intake", &self.intake),
            ("verification", &self.verification),
            ("dispatch", &self.dispatch),
            ("ledger", &self.ledger),
        ];
        references
            .into_iter()
            .filter_map(|(schema, reference)| Some((schema, reference.as_ref()?)))
            .map(|(schema, reference)| Ok((schema, reference.resolve()?)))
            .collect()
    }
}

pub(super) async fn run(args: MigrateArgs) -> Result<()> {
    let config: Config = load(args.config.as_deref(), "TAKEDOWN_MIGRATE__")?;
    let passwords = config.passwords.resolve()?;
    let database = match &config.database_url {
        Some(reference) => Some(reference.resolve()?),
        None => database_url(),
    };
    let topics = system::create_topics(&config.bus).await?;
    if let Some(url) = database {
        migrate(url.expose_secret(), config.bus.kind, &passwords).await?;
    } else {
        let data_dir = args.common.data.path()?;
        let private = Database::open(&data_dir, None, &|line: &str| note(line)).await?;
        let url = private.url().expose_secret();
        let migrated = migrate(url, config.bus.kind, &passwords).await;
        private.stop().await?;
        migrated?;
    }
    let schemas = SERVICES.map(|schema| schema.name);
    let with_password: Vec<&str> = passwords.iter().map(|(schema, _)| *schema).collect();
    let value = json!({ "schemas": schemas, "topics": topics, "passwords_set": with_password });
    args.common.format.print(&value, || {
        let names = schemas.into_iter().chain(topics.iter().map(String::as_str));
        let mut text = format!("up to date: {}", names.collect::<Vec<_>>().join(", "));
        if !with_password.is_empty() {
            text.push_str("\npasswords set: ");
            text.push_str(&with_password.join(", "));
        }
        text
    });
    Ok(())
}

/// Reads the table `bus` of a `migrate` configuration.
pub(super) fn read_bus_config(file: &Path) -> Result<BusConfig> {
    Ok(load::<Config>(Some(file), "TAKEDOWN_MIGRATE__")?.bus)
}

async fn migrate(url: &str, bus: BusKind, passwords: &[(&str, SecretString)]) -> Result<()> {
    system::migrate(url, bus).await?;
    system::set_passwords(url, passwords)
        .await
        .context("setting the roles' passwords")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_parsed() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/config/migrate.toml");
        let config: Config = load(Some(&sample), "TAKEDOWN_NOWHERE_").unwrap();
        assert!(config.database_url.is_some() && config.passwords.ledger.is_some());
        assert_eq!(config.bus.kind, BusKind::Local);
    }

    #[test]
    fn the_configuration_of_up_is_accepted_and_a_mistake_in_it_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            load::<Config>(Some(file.path()), "TAKEDOWN_NOWHERE_")
        };
        let config = read("[bus]\nkind = \"kafka\"\n[gateway]\nhotline = \"H\"").unwrap();
        assert_eq!(config.bus.kind, BusKind::Kafka);
        assert!(read("[gateway]\nhotlines = \"H\"").is_err());
        assert!(read("[pasword]").is_err());
    }
}
