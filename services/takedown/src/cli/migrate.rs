//! `migrate`: the database brought up to date and the topics made, and nothing started.

use std::path::PathBuf;

use anyhow::Result;
use platform::bus::{BusConfig, Kind, ensure_topics};
use platform::config;
use platform::embedded::Embedded;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{At, database_url};
use crate::output::tell;
use crate::system::{self, SERVICES, SHARED_LOGS, Settings};

/// Brings the database up to date, makes Kafka's topics where the bus is Kafka, and ends.
///
/// Uses DATABASE_URL where it is set, else the private Postgres of the data folder, which must not be running.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) at: At,
    /// Settings of the roles (TOML), as for `up`: the table `bus` says whether there are topics to make.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let settings: Settings = config::load(args.config.as_deref(), "TAKEDOWN_SET")?;
    let topics = topics(&settings.bus).await?;
    if let Some(url) = database_url() {
        system::migrate(url.expose_secret()).await?;
    } else {
        let say = |line: &str| tell(line);
        let (embedded, url) = Embedded::start(&args.at.data.path()?, &say).await?;
        system::migrate(&url).await?;
        embedded.stop().await?;
    }
    let schemas = SERVICES.map(|schema| schema.name);
    args.at
        .format
        .print(&json!({ "schemas": schemas, "topics": topics }), || {
            format!(
                "up to date: {}",
                schemas
                    .iter()
                    .copied()
                    .chain(topics.iter().map(String::as_str))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        });
    Ok(())
}

/// Makes the topics of whoever says events, where Kafka carries them.
async fn topics(bus: &BusConfig) -> Result<Vec<String>> {
    if bus.kind == Kind::Local {
        return Ok(Vec::new());
    }
    let mut producers: Vec<&str> = SHARED_LOGS.iter().map(|(producer, _)| *producer).collect();
    producers.dedup();
    ensure_topics(bus, &producers).await?;
    Ok(producers
        .iter()
        .map(|producer| bus.topic(producer))
        .collect())
}
