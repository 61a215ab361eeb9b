//! Restoring a backup into an empty database: the schema as it was, the rows in one transaction, then up to date.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use platform::bus::Kind;
use platform::db;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use super::manifest::{Identity, Manifest, Table, wrong};
use super::{KEYRING, tables, take};
use crate::output::progress;
use crate::system::{self, SERVICES};

/// Checks that a backup is whole, that this program can read it, and that there is no keyring yet where it would go.
/// Writes nothing.
///
/// # Errors
/// `keyring_exists`, `backup_incomplete`, `backup_format`, `backup_damaged` or `backup_newer`.
pub fn check(dir: &Path, keyring: &Path) -> Result<Manifest> {
    if keyring.exists() {
        return Err(wrong(
            "keyring_exists",
            format!(
                "There is a keyring at {} already; restore into an empty data folder.",
                keyring.display()
            ),
        ));
    }
    let manifest = Manifest::read(dir)?;
    newer(&manifest)?;
    let bar = progress(manifest.tables.len() as u64 + 1, "checking");
    for table in &manifest.tables {
        whole(&dir.join(table.file()), &table.sha256)?;
        bar.inc(1);
    }
    whole(&dir.join(KEYRING), &manifest.keyring_sha256)?;
    bar.finish_and_clear();
    Ok(manifest)
}

/// Fills the database at `url`, which must hold nothing of ours, and puts the keyring at `keyring`. What [`check`] looked at
/// is not looked at again.
///
/// # Errors
/// `database_not_empty`; nothing was written then.
pub async fn restore(url: &str, manifest: &Manifest, dir: &Path, keyring: &Path) -> Result<()> {
    let mut conn = db::connect_options(url, "public")?.connect().await?;
    empty(&mut conn).await?;
    sqlx::query("-- restore_unhurried\nselect set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)")
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
    days(url, manifest).await?;

    let mut tx = conn.begin().await?;
    // What a migration put in is in the backup too.
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
    // The keyring before the commit: rows that nothing opens would be worse than none.
    let keys = std::fs::read(dir.join(KEYRING))?;
    take::write_new(keyring, &keys)?;
    tx.commit().await?;
    bar.finish_and_clear();
    conn.close().await?;
    // Whoever starts it next lets the roles into each other's logs, where its bus needs that.
    system::migrate(url, Kind::Kafka).await
}

/// Refuses a backup of a program that knows migrations which this one does not.
fn newer(manifest: &Manifest) -> Result<()> {
    for (schema, sets) in &manifest.migrations {
        let ours = SERVICES.iter().find(|s| s.name == schema);
        for (set, versions) in sets {
            let ours = ours.and_then(|s| s.sets.iter().find(|ours| ours.name == set));
            let known = |version: &i64| {
                ours.is_some_and(|set| set.migrator.iter().any(|m| m.version == *version))
            };
            if !versions.iter().all(known) {
                return Err(wrong(
                    "backup_newer",
                    format!(
                        "The backup was taken by a newer program: it has migrations of {schema} that this one does not know; restore it with that program."
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn whole(path: &Path, sha256: &str) -> Result<()> {
    let damaged = |what: &str| {
        wrong(
            "backup_damaged",
            format!(
                "{} {what}; the backup cannot be restored, so take it from another copy.",
                path.display()
            ),
        )
    };
    let mut file = File::open(path).map_err(|_| damaged("is missing"))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
    }
    if hex::encode(digest.finalize()) == sha256 {
        Ok(())
    } else {
        Err(damaged("is not as it was written"))
    }
}

async fn empty(conn: &mut PgConnection) -> Result<()> {
    for schema in &SERVICES {
        let exists: bool =
            sqlx::query_scalar("-- restore_is_empty\nselect to_regnamespace($1) is not null")
                .bind(schema.name)
                .fetch_one(&mut *conn)
                .await?;
        if exists {
            return Err(wrong(
                "database_not_empty",
                format!(
                    "The database has a schema {} already; restore into an empty database.",
                    schema.name
                ),
            ));
        }
    }
    Ok(())
}

/// Makes the days of the events that are coming, as the owner of the log, so that none falls beside its partition.
async fn days(url: &str, manifest: &Manifest) -> Result<()> {
    for schema in manifest.migrations.keys() {
        let owner = db::pool_as_owner(url, schema, 1).await?;
        for back in (0..=4).rev() {
            let day = manifest.taken_at.date() - time::Duration::days(back * 8);
            sqlx::query("-- restore_days\nselect make_event_partitions($1)")
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
