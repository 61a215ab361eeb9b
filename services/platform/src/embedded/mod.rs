//! A private Postgres server in a folder, for a single machine, the demo and the tests.
//!
//! Uses a Postgres that is installed on the machine, otherwise downloads one. If this process runs as root,
//! the server runs as an unprivileged account, with its files where that account has access. A server whose
//! parent was killed is adopted by the next start. A cluster uses an external database instead, and the program
//! of its image is built without the feature `private-postgres`.

mod account;
mod binaries;
mod download;
mod folder;
mod server;
mod settings;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use settings::Durability;

use crate::Progress;
use crate::folder_lock::{FolderLock, FolderLockError};
use server::PostgresServer;

/// A running server that belongs to this process until it is stopped or dropped.
#[derive(Debug)]
pub struct Embedded {
    server: Arc<PostgresServer>,
    adopted: bool,
    /// Dropped last, after the server has stopped.
    _lock: FolderLock,
}

impl Embedded {
    /// Starts the server of `data_dir`, or adopts the one that is still running there.
    ///
    /// The second value is the connection URL with the password: treat it as a secret.
    ///
    /// # Errors
    /// If the folder is in use, there is no usable Postgres, or the server does not start.
    pub async fn start(
        data_dir: &Path,
        progress: Progress<'_>,
    ) -> Result<(Self, String), EmbeddedError> {
        let lock = FolderLock::acquire(data_dir)?;
        Self::start_locked(lock, data_dir, progress).await
    }

    /// As [`Self::start`], for a caller that has already locked the folder.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_locked(
        lock: FolderLock,
        data_dir: &Path,
        progress: Progress<'_>,
    ) -> Result<(Self, String), EmbeddedError> {
        let (server, adopted) =
            PostgresServer::ensure(data_dir, Durability::Kept, progress).await?;
        let url = server.url("takedown");
        let embedded = Self {
            server: Arc::new(server),
            adopted,
            _lock: lock,
        };
        Ok((embedded, url))
    }

    /// True if the server was already running because its parent was killed.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// The server's own files: data, write-ahead log and server log.
    pub fn home(&self) -> &Path {
        self.server.home()
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Starts the server again after it was killed.
    pub async fn restart(&self) -> Result<(), EmbeddedError> {
        let server = Arc::clone(&self.server);
        tokio::task::spawn_blocking(move || server.restart())
            .await
            .map_err(|e| EmbeddedError::io("restarting the server", io::Error::other(e)))?
    }

    /// The folder of `initdb` and `pg_ctl`, and of `psql` and `pgbench` if installed.
    pub fn binaries(&self) -> &Path {
        self.server.binaries()
    }

    /// Stops the server, rolling back open transactions, and waits until it has stopped.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let server = Arc::clone(&self.server);
        tokio::task::spawn_blocking(move || server.stop())
            .await
            .map_err(|e| EmbeddedError::io("waiting for the server to stop", io::Error::other(e)))?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Err(error) = self.server.stop() {
            tracing::warn!(%error, "the embedded database was not stopped");
        }
    }
}

/// Starts or joins a server that several processes share. It is not stopped when one of them ends.
pub async fn shared(
    data_dir: &Path,
    progress: Progress<'_>,
) -> Result<SharedServer, EmbeddedError> {
    let _lock = FolderLock::wait(data_dir).await?;
    let (server, _) = PostgresServer::ensure(data_dir, Durability::Scratch, progress).await?;
    Ok(SharedServer(server))
}

/// A server shared with other processes, which is never stopped.
#[derive(Debug)]
pub struct SharedServer(PostgresServer);

impl SharedServer {
    pub fn url(&self, database: &str) -> String {
        self.0.url(database)
    }

    pub fn pid(&self) -> u32 {
        self.0.pid()
    }
}

/// Why the server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(transparent)]
    Lock(#[from] FolderLockError),
    #[error(
        "no Postgres {0} was found on this machine, and none could be downloaded: {1}; install one, or set DATABASE_URL"
    )]
    NoServer(String, String),
    #[error("the database exists but its password file {} is missing; restore it from a backup, or start with an empty folder", .0.display())]
    PasswordLost(PathBuf),
    #[error("the folder {} belongs to another user (user id {uid}); remove it, or choose another data folder", .0.display(), uid = .1)]
    Foreign(PathBuf, u32),
    #[error(
        "no unprivileged account was found in /etc/passwd; Postgres refuses to run as root, so add the user `nobody` or start as another user"
    )]
    NoAccount,
    #[error("{program} failed: {output}")]
    Command { program: String, output: String },
    #[error("a server is running in {} but does not respond; check its log there, stop process {pid}, and start again", .0.display(), pid = .1)]
    Silent(PathBuf, u32),
    #[error("{doing} failed")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
    #[error("the embedded database returned an error")]
    Database(#[from] sqlx::Error),
}

impl EmbeddedError {
    fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            doing: doing.into(),
            source,
        }
    }
}

#[cfg(test)]
mod tests;
