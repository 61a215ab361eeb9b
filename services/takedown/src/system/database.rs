//! The database of a system: an external one, given by its address, or the private one of the data folder. In
//! both cases this process holds the lock of the data folder.

use std::path::Path;

use anyhow::Result;
use platform::embedded::{Embedded, FolderLock, Progress};
use secrecy::SecretString;

pub(super) struct Database {
    url: SecretString,
    server: DatabaseServer,
}

enum DatabaseServer {
    Private(Box<Embedded>),
    External { _lock: FolderLock },
}

impl Database {
    /// Opens the external database, or starts the private one.
    ///
    /// # Errors
    ///
    /// Another process is using the data folder.
    pub(super) async fn open(
        data_dir: &Path,
        external: Option<SecretString>,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let lock = FolderLock::acquire(data_dir)?;
        if let Some(url) = external {
            return Ok(Self {
                url,
                server: DatabaseServer::External { _lock: lock },
            });
        }
        let (embedded, url) = Embedded::start_locked(lock, data_dir, progress).await?;
        if embedded.adopted() {
            progress("the database is still running from the previous start; using it");
        }
        Ok(Self {
            url: url.into(),
            server: DatabaseServer::Private(Box::new(embedded)),
        })
    }

    pub(super) fn url(&self) -> &SecretString {
        &self.url
    }

    pub(super) fn embedded(&self) -> Option<&Embedded> {
        match &self.server {
            DatabaseServer::Private(embedded) => Some(embedded),
            DatabaseServer::External { .. } => None,
        }
    }

    pub(super) async fn stop(self) -> Result<()> {
        match self.server {
            DatabaseServer::Private(embedded) => Ok(embedded.stop().await?),
            DatabaseServer::External { .. } => Ok(()),
        }
    }
}
