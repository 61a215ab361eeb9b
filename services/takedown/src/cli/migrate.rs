//! `migrate`: the database brought up to date, and nothing started.

use anyhow::Result;
use platform::embedded::Embedded;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{At, database_url};
use crate::output::tell;
use crate::system::{self, SERVICES};

/// Brings the database up to date and ends.
///
/// Uses DATABASE_URL where it is set, else the private Postgres of the data folder, which must not be running.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) at: At,
}

pub(super) async fn run(args: Args) -> Result<()> {
    if let Some(url) = database_url() {
        system::migrate(url.expose_secret()).await?;
    } else {
        let say = |line: &str| tell(line);
        let (embedded, url) = Embedded::start(&args.at.data.path()?, &say).await?;
        system::migrate(&url).await?;
        embedded.stop().await?;
    }
    let schemas = SERVICES.map(|schema| schema.name);
    args.at.format.print(&json!({ "schemas": schemas }), || {
        format!("up to date: {}", schemas.join(", "))
    });
    Ok(())
}
