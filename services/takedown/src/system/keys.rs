//! The keyring of a data folder: made at the first start, and never a second time for the same database.

use std::path::{Path, PathBuf};

use anyhow::Result;
use platform::db;
use platform::error::{Kind, Problem};
use platform::sealed::{Keyring, SigningContext};
use sqlx::{ConnectOptions as _, Connection as _};

pub fn keyring_path(data_dir: &Path) -> PathBuf {
    data_dir.join("keyring.json")
}

/// Opens the folder's keyring. Where there is none a fresh one is made, unless the database has been worked with:
/// fresh keys would open nothing of what it holds.
pub(crate) async fn open(data_dir: &Path, url: &str) -> Result<Keyring> {
    let path = keyring_path(data_dir);
    if path.exists() {
        return Ok(Keyring::open(&path)?);
    }
    if worked_with(url).await? {
        return Err(Problem::new(
            Kind::FailedPrecondition,
            "keyring_missing",
            format!(
                "The database holds what was sealed under a keyring, and {} is not there; put it back from its backup, or give an empty database.",
                path.display()
            ),
        )
        .into());
    }
    Ok(Keyring::create(&path)?)
}

/// Whether a relay has ever owned a shard of intake's log: no system has run on a database without that.
async fn worked_with(url: &str) -> sqlx::Result<bool> {
    let mut conn = db::connect_options(url, "intake")?.connect().await?;
    let migrated: bool =
        sqlx::query_scalar("-- is_migrated\nselect to_regclass('intake.log_shard') is not null")
            .fetch_one(&mut conn)
            .await?;
    let worked = migrated
        && sqlx::query_scalar(
            "-- was_worked_with\nselect exists (select from log_shard where position > 0 or owner is not null)",
        )
        .fetch_one(&mut conn)
        .await?;
    conn.close().await?;
    Ok(worked)
}

/// As `client.toml` carries them.
pub(crate) fn checkpoint_keys(keyring: &Keyring) -> Vec<String> {
    keyring
        .public_keys(SigningContext::Checkpoint)
        .iter()
        .map(|key| format!("{} {}", key.key_id, key.whpk()))
        .collect()
}
