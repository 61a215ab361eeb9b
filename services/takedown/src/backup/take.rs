//! Takes a backup: every table in one repeatable-read transaction, while the system runs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::TryStreamExt as _;
use platform::db;
use platform::sealed::Keyring;
use sha2::{Digest as _, Sha256};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use super::manifest::{Manifest, Table, refusal};
use super::{KEYRING, create_private, tables, write_new};
use crate::output::progress;

/// Writes a backup into `dir`, which must not exist yet. An incomplete backup has no manifest.
///
/// # Errors
/// `backup_exists` if `dir` exists; `keyring` if the keyring is missing or malformed.
pub async fn take(url: &str, keyring: &Path, dir: &Path) -> Result<Manifest> {
    // Otherwise a backup without valid keys would be noticed only when it is needed.
    Keyring::open(keyring)?;
    let keys = fs::read(keyring).with_context(|| format!("reading {}", keyring.display()))?;
    make_folder(dir)?;

    let mut conn = db::connect_options(url, "public")?.connect().await?;
    sqlx::query("-- backup_timeouts\nselect set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false)")
        .execute(&mut conn)
        .await?;
    let mut tx = conn
        .begin_with("begin isolation level repeatable read read only")
        .await?;
    let taken_at = sqlx::query_scalar("-- backup_time\nselect now()")
        .fetch_one(&mut *tx)
        .await?;
    let mut manifest = Manifest::new(taken_at);
    manifest.migrations = tables::migrations(&mut tx).await?;
    let listed = tables::list(&mut tx).await?;
    let bar = progress(listed.len() as u64, "tables");
    for mut table in listed {
        copy_out(&mut tx, &mut table, dir).await?;
        manifest.tables.push(table);
        bar.inc(1);
    }
    // Sequences are not part of the snapshot. Read after the rows, their values are at least as high.
    manifest.identities = tables::identities(&mut tx).await?;
    tx.rollback().await?;
    conn.close().await?;
    bar.finish_and_clear();

    manifest.keyring_sha256 = hex::encode(Sha256::digest(&keys));
    write_new(&dir.join(KEYRING), &keys)?;
    manifest.write(dir)?;
    Ok(manifest)
}

fn make_folder(dir: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(refusal(
            "backup_exists",
            format!(
                "{} exists, and a backup is never overwritten; name a folder that does not exist.",
                dir.display()
            ),
        )),
        Err(error) => Err(error).with_context(|| format!("creating {}", dir.display())),
    }
}

async fn copy_out(conn: &mut PgConnection, table: &mut Table, dir: &Path) -> Result<()> {
    let (name, columns) = tables::quoted(table);
    let file = create_private(&dir.join(table.file()))?;
    let mut out = GzEncoder::new(HashingFile::new(file), Compression::fast());
    let statement = format!("copy (select {columns} from {name}) to stdout");
    let mut rows = conn.copy_out_raw(&statement).await?;
    while let Some(chunk) = rows.try_next().await? {
        // One line per row: `copy` writes a line break in a value as `\n`.
        let line_ends = chunk.iter().map(|byte| u64::from(*byte == b'\n'));
        table.rows += line_ends.sum::<u64>();
        out.write_all(&chunk)?;
    }
    let (file, hash) = out.finish()?.finish();
    file.sync_all()?;
    table.sha256 = hash;
    Ok(())
}

/// A file, and the SHA-256 of what was written to it.
struct HashingFile {
    file: File,
    hash: Sha256,
}

impl HashingFile {
    fn new(file: File) -> Self {
        Self {
            file,
            hash: Sha256::new(),
        }
    }

    fn finish(self) -> (File, String) {
        (self.file, hex::encode(self.hash.finalize()))
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
