//! The database that a system runs on: given by its address, or the private one of the data folder.
//! Either way the folder is ours alone while we run.

use std::path::Path;

use anyhow::Result;
use platform::embedded::{Embedded, FolderLock};
use secrecy::SecretString;

pub(super) struct Database {
    url: SecretString,
    kept: Kept,
}

enum Kept {
    Private(Box<Embedded>),
    Given { _lock: FolderLock },
}

impl Database {
    /// Refused with a sentence while another process runs on the folder.
    pub(super) async fn open(
        data_dir: &Path,
        given: Option<SecretString>,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self> {
        let lock = FolderLock::take(data_dir)?;
        if let Some(url) = given {
            return Ok(Self {
                url,
                kept: Kept::Given { _lock: lock },
            });
        }
        let (embedded, url) = Embedded::start_locked(lock, data_dir, say).await?;
        if embedded.adopted() {
            say("the database was still running from the last time; going on with it");
        }
        Ok(Self {
            url: url.into(),
            kept: Kept::Private(Box::new(embedded)),
        })
    }

    pub(super) fn url(&self) -> &SecretString {
        &self.url
    }

    pub(super) fn embedded(&self) -> Option<&Embedded> {
        match &self.kept {
            Kept::Private(embedded) => Some(embedded),
            Kept::Given { .. } => None,
        }
    }

    pub(super) async fn stop(self) -> Result<()> {
        match self.kept {
            Kept::Private(embedded) => Ok(embedded.stop().await?),
            Kept::Given { .. } => Ok(()),
        }
    }
}
