//! The database of a system: an external one, given by its address, or the private one of the data folder. In
//! both cases this process holds the lock of the data folder.

use std::path::Path;

use anyhow::Result;
use platform::Progress;
#[cfg(feature = "private-postgres")]
use platform::embedded::Embedded;
use platform::folder_lock::FolderLock;
use secrecy::SecretString;

pub struct Database {
    url: SecretString,
    server: DatabaseServer,
}

enum DatabaseServer {
    #[cfg(feature = "private-postgres")]
    Private(Box<Embedded>),
    External {
        _lock: FolderLock,
    },
}

impl Database {
    /// Opens the external database, or starts the private one.
    ///
    /// # Errors
    ///
    /// Another process is using the data folder, or this build has no private database.
    pub async fn open(
        data_dir: &Path,
        external: Option<SecretString>,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let lock = FolderLock::acquire(data_dir)?;
        match external {
            Some(url) => Ok(Self {
                url,
                server: DatabaseServer::External { _lock: lock },
            }),
            None => Self::start_private(lock, data_dir, progress).await,
        }
    }

    #[cfg(feature = "private-postgres")]
    async fn start_private(
        lock: FolderLock,
        data_dir: &Path,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let (embedded, url) = Embedded::start_locked(lock, data_dir, progress).await?;
        if embedded.adopted() {
            progress("the database is still running from the previous start; using it");
        }
        Ok(Self {
            url: url.into(),
            server: DatabaseServer::Private(Box::new(embedded)),
        })
    }

    #[cfg(not(feature = "private-postgres"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature as with the feature, which starts a server"
    )]
    async fn start_private(_: FolderLock, _: &Path, _: Progress<'_>) -> Result<Self> {
        Err(database_unnamed().into())
    }

    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// The private server, if this is one.
    #[cfg(feature = "private-postgres")]
    pub fn embedded(&self) -> Option<&Embedded> {
        match &self.server {
            DatabaseServer::Private(embedded) => Some(embedded),
            DatabaseServer::External { .. } => None,
        }
    }

    /// True if its server belongs to this process.
    pub fn is_private(&self) -> bool {
        !matches!(self.server, DatabaseServer::External { .. })
    }

    /// Stops the private server; an external one is left running.
    #[cfg_attr(
        not(feature = "private-postgres"),
        expect(
            clippy::unused_async,
            reason = "the same signature as with the feature, which stops a server"
        )
    )]
    pub async fn stop(self) -> Result<()> {
        match self.server {
            #[cfg(feature = "private-postgres")]
            DatabaseServer::Private(embedded) => Ok(embedded.stop().await?),
            DatabaseServer::External { .. } => Ok(()),
        }
    }
}

/// Why a program without the feature does not start when no database is named.
#[cfg(any(test, not(feature = "private-postgres")))]
fn database_unnamed() -> platform::error::Problem {
    platform::error::Problem::new(
        platform::error::Kind::FailedPrecondition,
        "database_unnamed",
        "This program has no Postgres of its own; set DATABASE_URL to the address of a server.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_private_database_the_refusal_names_the_setting() {
        let refusal = database_unnamed();
        assert_eq!(refusal.code, "database_unnamed");
        assert!(refusal.detail.contains("set DATABASE_URL"));
    }
}
