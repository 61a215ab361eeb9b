//! `backup` and `restore`: the whole system to and from a folder.

use std::path::PathBuf;

use anyhow::Result;
use platform::error::{Kind, Problem};
use platform::folder_lock::FolderLockError;
use roles::client::Profile;
use roles::system::{Database, keyring_path};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{CommonArgs, database_url};
use crate::backup::{self, Manifest};
use crate::output::{facts, format_time, note};

/// Writes the database and the keyring, as of one moment, into a new folder, while the system runs.
///
/// Uses DATABASE_URL if it is set, otherwise the data folder's private Postgres, running or not. The folder
/// then contains all keys: store its keyring.json apart from the rest. Neither half can be read without the
/// other.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// The folder to create; it must not exist yet.
    #[arg(value_name = "FOLDER")]
    to: PathBuf,
}

/// Restores a backup into an empty database and data folder, after checking that the backup is complete.
///
/// Uses DATABASE_URL if it is set, otherwise creates the data folder's private Postgres. Then start
/// `takedown up` and run `takedown ledger verify`. With Kafka, delete the topics first: they may hold events
/// that the backup does not have.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// A folder that `takedown backup` wrote.
    #[arg(value_name = "FOLDER")]
    from: PathBuf,
}

pub(super) async fn take(args: BackupArgs) -> Result<()> {
    let data_dir = args.common.data.path()?;
    let keyring = keyring_path(&data_dir);
    let manifest = if let Some(url) = database_url() {
        backup::take(url.expose_secret(), &keyring, &args.to).await?
    } else {
        match Database::open(&data_dir, None, &|line: &str| note(line)).await {
            Ok(private) => {
                let taken = backup::take(private.url().expose_secret(), &keyring, &args.to).await;
                private.stop().await?;
                taken?
            }
            // The server is running: its address is in the profile.
            Err(error) if is_busy(&error) => {
                let url = Profile::read(&data_dir)?
                    .database_url
                    .ok_or_else(external_database)?;
                backup::take(url.expose_secret(), &keyring, &args.to).await?
            }
            Err(error) => return Err(error),
        }
    };
    print_manifest(&args.common, "backed up", &args.to, &manifest);
    Ok(())
}

pub(super) async fn restore(args: RestoreArgs) -> Result<()> {
    let data_dir = args.common.data.path()?;
    let keyring = keyring_path(&data_dir);
    let manifest = backup::check(&args.from, &keyring)?;
    std::fs::create_dir_all(&data_dir)?;
    if let Some(url) = database_url() {
        backup::restore(url.expose_secret(), &manifest, &args.from, &keyring).await?;
    } else {
        let private = Database::open(&data_dir, None, &|line: &str| note(line)).await?;
        let url = private.url().expose_secret();
        let restored = backup::restore(url, &manifest, &args.from, &keyring).await;
        private.stop().await?;
        restored?;
    }
    print_manifest(&args.common, "restored", &args.from, &manifest);
    Ok(())
}

fn is_busy(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(FolderLockError::Busy(_)))
}

fn external_database() -> Problem {
    Problem::new(
        Kind::FailedPrecondition,
        "database_unnamed",
        "This system uses an external database; set DATABASE_URL to its address.",
    )
}

fn print_manifest(
    common: &CommonArgs,
    heading: &'static str,
    folder: &std::path::Path,
    manifest: &Manifest,
) {
    let value = json!({
        "folder": folder,
        "taken_at": format_time(manifest.taken_at),
        "tables": manifest.tables.len(),
        "rows": manifest.rows(),
    });
    common.format.print(&value, || {
        facts([
            (heading, folder.display().to_string()),
            ("as of", format_time(manifest.taken_at)),
            ("tables", manifest.tables.len().to_string()),
            ("rows", manifest.rows().to_string()),
        ])
    });
}
