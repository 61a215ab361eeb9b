//! `backup` and `restore`: the whole system into a folder, and out of it.

use std::path::PathBuf;

use anyhow::Result;
use platform::embedded::Embedded;
use platform::error::{Kind, Problem};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{At, database_url};
use crate::backup::{self, Manifest};
use crate::client::Profile;
use crate::output::{at_time, facts, tell};
use crate::system::keyring_path;

/// Writes database and keyring into a new folder, as of one moment, while the system runs.
///
/// Uses DATABASE_URL where it is set, else the private Postgres of the data folder, running or not. The folder then holds
/// every key: keep its keyring.json apart from the rest, as either opens nothing without the other.
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    #[command(flatten)]
    pub(super) at: At,
    /// The folder to make; it must not exist yet.
    #[arg(value_name = "FOLDER")]
    to: PathBuf,
}

/// Fills an empty database and data folder from a backup, after checking that the backup is whole.
///
/// Uses DATABASE_URL where it is set, else makes the private Postgres of the data folder. Start `takedown up` afterwards, and
/// see by `takedown ledger verify` that the log holds. On Kafka, delete the topics first: they may hold what the backup
/// does not know.
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    #[command(flatten)]
    pub(super) at: At,
    /// A folder that `takedown backup` wrote.
    #[arg(value_name = "FOLDER")]
    from: PathBuf,
}

pub(super) async fn take(args: Backup) -> Result<()> {
    let data_dir = args.at.data.path()?;
    let keyring = keyring_path(&data_dir);
    let manifest = if let Some(url) = database_url() {
        backup::take(url.expose_secret(), &keyring, &args.to).await?
    } else {
        match Embedded::start(&data_dir, &|line: &str| tell(line)).await {
            Ok((embedded, url)) => {
                let taken = backup::take(&url, &keyring, &args.to).await;
                embedded.stop().await?;
                taken?
            }
            // It runs: its address stands in its profile.
            Err(platform::embedded::EmbeddedError::Busy(_)) => {
                let url = Profile::read(&data_dir)?.database_url.ok_or_else(given)?;
                backup::take(url.expose_secret(), &keyring, &args.to).await?
            }
            Err(error) => return Err(error.into()),
        }
    };
    show(&args.at, "backed up", &args.to, &manifest);
    Ok(())
}

pub(super) async fn restore(args: Restore) -> Result<()> {
    let data_dir = args.at.data.path()?;
    let keyring = keyring_path(&data_dir);
    let manifest = backup::check(&args.from, &keyring)?;
    std::fs::create_dir_all(&data_dir)?;
    if let Some(url) = database_url() {
        backup::restore(url.expose_secret(), &manifest, &args.from, &keyring).await?;
    } else {
        let (embedded, url) = Embedded::start(&data_dir, &|line: &str| tell(line)).await?;
        let restored = backup::restore(&url, &manifest, &args.from, &keyring).await;
        embedded.stop().await?;
        restored?;
    }
    show(&args.at, "restored", &args.from, &manifest);
    Ok(())
}

fn given() -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "database_unnamed",
        "This system's database was given by its address; set DATABASE_URL to it.",
    )
}

fn show(at: &At, what: &'static str, folder: &std::path::Path, manifest: &Manifest) {
    let value = json!({
        "folder": folder,
        "taken_at": at_time(manifest.taken_at),
        "tables": manifest.tables.len(),
        "rows": manifest.rows(),
    });
    at.format.print(&value, || {
        facts([
            (what, folder.display().to_string()),
            ("as of", at_time(manifest.taken_at)),
            ("tables", manifest.tables.len().to_string()),
            ("rows", manifest.rows().to_string()),
        ])
    });
}
