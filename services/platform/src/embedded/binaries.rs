//! Selects the Postgres to run: the version of the data folder, the newest on the machine, or a downloaded
//! one.
//!
//! A data folder can only be used with the major version that created it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::{EmbeddedError, download};
use crate::Progress;

/// The oldest major version that the migrations support.
const OLDEST_MAJOR: u32 = 15;

/// A folder with `initdb`, `pg_ctl` and `postgres` of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The server for a data folder of major version `wanted`, or for a new one.
    pub(super) async fn choose(
        wanted: Option<u32>,
        account: &Account,
        progress: Progress<'_>,
    ) -> Result<Self, EmbeddedError> {
        match best(
            candidates().iter().filter_map(|dir| Self::in_dir(dir)),
            wanted,
        ) {
            Some(found) if account.reaches(&found.dir) => Ok(found),
            _ => download::fetch(wanted, account, progress).await,
        }
    }

    /// The binaries in `dir`, if they are complete and report their version.
    pub(super) fn in_dir(dir: &Path) -> Option<Self> {
        let dir = fs::canonicalize(dir).ok()?;
        if !["initdb", "pg_ctl"].iter().all(|p| dir.join(p).is_file()) {
            return None;
        }
        let output = Command::new(dir.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        let major = major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { dir, major })
    }
}

fn candidates() -> Vec<PathBuf> {
    // Of equal versions the last is used: the folder of the version rather than links to it.
    let mut dirs = crate::config::search_path();
    for (root, tail) in [
        ("/usr/lib/postgresql", "bin"),
        ("/usr/local/lib/postgresql", "bin"),
    ] {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            dirs.push(entry.path().join(tail));
        }
    }
    dirs
}

fn best(found: impl Iterator<Item = Binaries>, wanted: Option<u32>) -> Option<Binaries> {
    found
        .filter(|b| b.major >= OLDEST_MAJOR && wanted.is_none_or(|w| w == b.major))
        .max_by_key(|b| b.major)
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` -> 15.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_used_unless_the_data_requires_another() {
        let at = |major| Binaries {
            dir: PathBuf::from(format!("/{major}")),
            major,
        };
        let found = || [at(14), at(17), at(15)].into_iter();
        assert_eq!(best(found(), None), Some(at(17)));
        assert_eq!(best(found(), Some(15)), Some(at(15)));
        assert_eq!(best(found(), Some(16)), None);
        assert_eq!(best([at(14)].into_iter(), None), None);
    }

    #[test]
    fn the_version_is_parsed() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("something else"), None);
    }
}
