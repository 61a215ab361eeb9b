//! The keyring of a data folder: created at the first start, and only once for a database.

use std::path::{Path, PathBuf};

use anyhow::Result;
use platform::db;
use platform::error::{Kind, Problem};
use platform::sealed::{Keyring, SigningContext};
use sqlx::{ConnectOptions as _, Connection as _};

pub fn keyring_path(data_dir: &Path) -> PathBuf {
    data_dir.join("keyring.json")
}

/// Opens the folder's keyring, or creates one for an unused database.
///
/// # Errors
///
/// `keyring_missing` if the database has been used: new keys could not open its sealed values.
pub async fn open(data_dir: &Path, url: &str) -> Result<Keyring> {
    let path = keyring_path(data_dir);
    if path.exists() {
        return Ok(Keyring::open(&path)?);
    }
    if is_in_use(url).await? {
        return Err(Problem::new(
            Kind::FailedPrecondition,
            "keyring_missing",
            format!(
                "The database has values that were sealed under a keyring, and {} is missing; restore it from its backup, or use an empty database.",
                path.display()
            ),
        )
        .into());
    }
    Ok(Keyring::create(&path)?)
}

/// Whether a relay has ever owned a shard of intake's log, as in every system that has been started.
async fn is_in_use(url: &str) -> sqlx::Result<bool> {
    let mut conn = db::connect_options(url, "intake")?.connect().await?;
    let migrated: bool =
        sqlx::query_scalar("-- is_migrated\nselect to_regclass('intake.log_shard') is not null")
            .fetch_one(&mut conn)
            .await?;
    let in_use = migrated
        && sqlx::query_scalar(
            "-- is_in_use\nselect exists (select from log_shard where position > 0 or owner is not null)",
        )
        .fetch_one(&mut conn)
        .await?;
    conn.close().await?;
    Ok(in_use)
}

/// The public keys of checkpoints, in the format of `client.toml`.
pub fn checkpoint_keys(keyring: &Keyring) -> Vec<String> {
    keyring
        .public_keys(SigningContext::Checkpoint)
        .iter()
        .map(|key| format!("{} {}", key.key_id, key.whpk()))
        .collect()
}
