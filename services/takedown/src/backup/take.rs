//! Taking a backup: every table in one repeatable-read transaction, while the system runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::TryStreamExt as _;
use platform::db;
use platform::sealed::Keyring;
use sha2::{Digest as _, Sha256};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use super::manifest::{Manifest, Table, wrong};
use super::{KEYRING, tables};
use crate::output::progress;

/// Writes a backup into `dir`, which must not exist yet. A backup that was not finished has no manifest.
///
/// # Errors
/// `backup_exists` when there is something at `dir`; `keyring` when the keyring is not there or not whole.
pub async fn take(url: &str, keyring: &Path, dir: &Path) -> Result<Manifest> {
    // A backup without the keys that open it would be found out only on the day it is needed.
    Keyring::open(keyring)?;
    let keys = fs::read(keyring).with_context(|| format!("reading {}", keyring.display()))?;
    make_folder(dir)?;

    let mut conn = db::connect_options(url, "public")?.connect().await?;
    sqlx::query("-- backup_unhurried\nselect set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false)")
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
    // Sequences do not heed a snapshot: read behind the rows, they are at least as far.
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
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(wrong(
            "backup_exists",
            format!(
                "There is something at {} already, and a backup is never overwritten; name a folder that does not exist.",
                dir.display()
            ),
        )),
        Err(error) => Err(error).with_context(|| format!("making {}", dir.display())),
    }
}

async fn copy_out(conn: &mut PgConnection, table: &mut Table, dir: &Path) -> Result<()> {
    let (name, columns) = tables::quoted(table);
    let file = private(&dir.join(table.file()))?;
    let mut out = GzEncoder::new(Digested::new(file), Compression::fast());
    let statement = format!("copy (select {columns} from {name}) to stdout");
    let mut rows = conn.copy_out_raw(&statement).await?;
    while let Some(chunk) = rows.try_next().await? {
        // A line a row: a line break within a value is written as `\n`.
        let ends = chunk.iter().map(|byte| u64::from(*byte == b'\n'));
        table.rows += ends.sum::<u64>();
        out.write_all(&chunk)?;
    }
    let (file, digest) = out.finish()?.end();
    file.sync_all()?;
    table.sha256 = digest;
    Ok(())
}

/// Writes a file that was not there, readable by its owner alone.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut file = create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}

fn private(path: &Path) -> Result<File> {
    create(path).with_context(|| format!("making {}", path.display()))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

/// A file and the digest of what went into it.
struct Digested {
    file: File,
    digest: Sha256,
}

impl Digested {
    fn new(file: File) -> Self {
        Self {
            file,
            digest: Sha256::new(),
        }
    }

    fn end(self) -> (File, String) {
        (self.file, hex::encode(self.digest.finalize()))
    }
}

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
