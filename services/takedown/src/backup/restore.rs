//! Restores a backup into an empty database: the schema of the backup, the rows in one transaction, then
//! later migrations.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use platform::bus::BusKind;
use platform::db;
use roles::system::{self, SERVICES};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use super::manifest::{Identity, Manifest, Table, refusal};
use super::{KEYRING, tables, write_new};
use crate::output::progress;

/// Checks that a backup is complete, that this program can read it, and that `keyring` does not exist yet.
/// Writes nothing.
///
/// # Errors
/// `keyring_exists`, `backup_incomplete`, `backup_format`, `backup_damaged` or `backup_newer`.
pub fn check(dir: &Path, keyring: &Path) -> Result<Manifest> {
    if keyring.exists() {
        return Err(refusal(
            "keyring_exists",
            format!(
                "A keyring exists at {}; restore into an empty data folder.",
                keyring.display()
            ),
        ));
    }
    let manifest = Manifest::read(dir)?;
    check_version(&manifest)?;
    let bar = progress(manifest.tables.len() as u64 + 1, "checking");
    for table in &manifest.tables {
        check_hash(&dir.join(table.file()), &table.sha256)?;
        bar.inc(1);
    }
    check_hash(&dir.join(KEYRING), &manifest.keyring_sha256)?;
    bar.finish_and_clear();
    Ok(manifest)
}

/// Restores into the database at `url`, which must have none of the services' schemas, and writes the keyring
/// to `keyring`. Does not repeat what [`check`] verifies.
///
/// # Errors
/// `database_not_empty`; then nothing has been written.
pub async fn restore(url: &str, manifest: &Manifest, dir: &Path, keyring: &Path) -> Result<()> {
    let mut conn = db::connect_options(url, "public")?.connect().await?;
    check_empty(&mut conn).await?;
    sqlx::query("-- restore_timeouts\nselect set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)")
        .execute(&mut conn)
        .await?;
    system::migrate_some(url, &|schema, set, version| {
        manifest
            .migrations
            .get(schema)
            .and_then(|sets| sets.get(set))
            .is_some_and(|versions| versions.contains(&version))
    })
    .await?;
    make_partitions(url, manifest).await?;

    let mut tx = conn.begin().await?;
    // Rows that migrations insert are in the backup too.
    for table in manifest.tables.iter().rev() {
        let (name, _) = tables::quoted(table);
        sqlx::query(AssertSqlSafe(format!(
            "-- restore_clear\ndelete from {name}"
        )))
        .execute(&mut *tx)
        .await?;
    }
    let bar = progress(manifest.tables.len() as u64, "tables");
    for table in &manifest.tables {
        copy_in(&mut tx, table, dir).await?;
        bar.inc(1);
    }
    for identity in &manifest.identities {
        set_identity(&mut tx, identity).await?;
    }
    // Write the keyring before the commit: rows that cannot be unsealed would be worse than none.
    let keys = std::fs::read(dir.join(KEYRING))?;
    write_new(keyring, &keys)?;
    tx.commit().await?;
    bar.finish_and_clear();
    conn.close().await?;
    // Without rights on other services' logs: the next start grants them if the bus is Local.
    system::migrate(url, BusKind::Kafka).await
}

/// Refuses a backup with migrations that this program does not have.
fn check_version(manifest: &Manifest) -> Result<()> {
    for (schema, sets) in &manifest.migrations {
        let own = SERVICES.iter().find(|s| s.name == schema);
        for (set, versions) in sets {
            let own = own.and_then(|s| s.sets.iter().find(|own| own.name == set));
            let known = |version: &i64| {
                own.is_some_and(|set| set.migrator.iter().any(|m| m.version == *version))
            };
            if !versions.iter().all(known) {
                return Err(refusal(
                    "backup_newer",
                    format!(
                        "The backup was taken by a newer version: it has migrations of {schema} that this version does not have; restore it with that version."
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn check_hash(path: &Path, sha256: &str) -> Result<()> {
    let damaged = |what: &str| {
        refusal(
            "backup_damaged",
            format!(
                "{} {what}; the backup cannot be restored, so take it from another copy.",
                path.display()
            ),
        )
    };
    let mut file = File::open(path).map_err(|_| damaged("is missing"))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    if hex::encode(hash.finalize()) == sha256 {
        Ok(())
    } else {
        Err(damaged("has been changed"))
    }
}

async fn check_empty(conn: &mut PgConnection) -> Result<()> {
    for schema in &SERVICES {
        let exists: bool =
            sqlx::query_scalar("-- restore_is_empty\nselect to_regnamespace($1) is not null")
                .bind(schema.name)
                .fetch_one(&mut *conn)
                .await?;
        if exists {
            return Err(refusal(
                "database_not_empty",
                format!(
                    "The database already has a schema {}; restore into an empty database.",
                    schema.name
                ),
            ));
        }
    }
    Ok(())
}

/// Creates the partitions of the restored events, as the owner of the log.
async fn make_partitions(url: &str, manifest: &Manifest) -> Result<()> {
    for schema in manifest.migrations.keys() {
        let owner = db::pool_as_owner(url, schema, 1).await?;
        for back in (0..=4).rev() {
            let day = manifest.taken_at.date() - time::Duration::days(back * 8);
            sqlx::query("-- make_partitions\nselect make_event_partitions($1)")
                .bind(day)
                .execute(&owner)
                .await?;
        }
        owner.close().await;
    }
    Ok(())
}

async fn copy_in(conn: &mut PgConnection, table: &Table, dir: &Path) -> Result<()> {
    let (name, columns) = tables::quoted(table);
    let path = dir.join(table.file());
    let file = File::open(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut rows = GzDecoder::new(BufReader::new(file));
    let statement = format!("copy {name} ({columns}) from stdin");
    let mut into = conn.copy_in_raw(&statement).await?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = rows.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        into.send(&buffer[..read]).await?;
    }
    let written = into.finish().await?;
    if written == table.rows {
        Ok(())
    } else {
        anyhow::bail!("{name} took {written} rows instead of {}", table.rows)
    }
}

async fn set_identity(conn: &mut PgConnection, identity: &Identity) -> Result<()> {
    let table = format!(
        "{}.{}",
        tables::identifier(&identity.schema),
        tables::identifier(&identity.table)
    );
    sqlx::query("-- restore_identity\nselect setval(pg_get_serial_sequence($1, $2), $3, $4)")
        .bind(table)
        .bind(&identity.column)
        .bind(identity.last_value)
        .bind(identity.is_called)
        .execute(conn)
        .await?;
    Ok(())
}
