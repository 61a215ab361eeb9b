//! The manifest of a backup: its contents, with hashes to verify that it is complete.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use platform::error::{Kind, Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::MANIFEST;

/// Version of the folder's format.
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// By the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub taken_at: OffsetDateTime,
    /// Migrations that had been applied, by schema and set.
    pub migrations: BTreeMap<String, BTreeMap<String, Vec<i64>>>,
    /// In insertion order: a table follows those that it references.
    pub tables: Vec<Table>,
    /// The last values of identity columns.
    pub identities: Vec<Identity>,
    /// SHA-256 of the keyring's file, in hex.
    pub keyring_sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub columns: Vec<String>,
    pub rows: u64,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub schema: String,
    pub table: String,
    pub column: String,
    pub last_value: i64,
    pub is_called: bool,
}

impl Table {
    /// `copy` text, gzipped.
    pub(super) fn file(&self) -> String {
        format!("{}.{}.copy.gz", self.schema, self.name)
    }
}

impl Manifest {
    pub(super) fn new(taken_at: OffsetDateTime) -> Self {
        Self {
            format: FORMAT,
            taken_at,
            migrations: BTreeMap::new(),
            tables: Vec::new(),
            identities: Vec::new(),
            keyring_sha256: String::new(),
        }
    }

    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        super::write_new(&dir.join(MANIFEST), &text)
    }

    /// Reads the manifest of a backup.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        let text = std::fs::read(&path).map_err(|_| {
            refusal(
                "backup_incomplete",
                format!(
                    "{} is not a complete backup: it has no {MANIFEST}, which is written last; use another one.",
                    dir.display()
                ),
            )
        })?;
        let manifest: Self = serde_json::from_slice(&text)
            .ok()
            .with_context(|| format!("{} is not a valid manifest", path.display()))?;
        if manifest.format == FORMAT {
            Ok(manifest)
        } else {
            Err(refusal(
                "backup_format",
                format!(
                    "The backup has format {}, and this program reads format {FORMAT}; restore it with the version that took it.",
                    manifest.format
                ),
            ))
        }
    }
}

pub(super) fn refusal(code: &'static str, sentence: String) -> anyhow::Error {
    Problem::new(Kind::FailedPrecondition, code, sentence).into()
}
