//! Backup and restore of a whole system: every table of every service as of one moment, and the keyring.
//!
//! Needs no client tools: rows are transferred with `copy` and not interpreted. Tables and keyring are
//! separate files, so that they can be stored apart; without the keyring the tables cannot be unsealed.

mod manifest;
mod restore;
mod tables;
mod take;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

pub use manifest::Manifest;
pub use restore::{check, restore};
pub use take::take;

/// File name of the keyring in a backup.
pub const KEYRING: &str = "keyring.json";

/// File name of the manifest. It is written last, so a folder without it is not a complete backup.
const MANIFEST: &str = "manifest.json";

/// Writes a new file with mode 600.
fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut file = create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}

fn create_private(path: &Path) -> Result<File> {
    create(path).with_context(|| format!("creating {}", path.display()))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
}
