//! A private Postgres, kept in a folder: for one machine, the demo and the tests.
//!
//! Uses a server found on the machine, else fetches one. As root the server runs under an
//! unprivileged account, its files where that account may go. A server that outlived a killed parent
//! is adopted by the next start. Not for a cluster: there the database is given by its address, and
//! the caller decides which of the two it is.

mod account;
mod binaries;
mod download;
mod folder;
mod server;
mod settings;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use folder::FolderLock;
pub use settings::Durability;

use server::Server;

/// Tells a person what takes time or where things are put.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A running server that belongs to this process until it is stopped or dropped.
#[derive(Debug)]
pub struct Embedded {
    server: Arc<Server>,
    adopted: bool,
    /// Freed last, when the server is down.
    _lock: FolderLock,
}

impl Embedded {
    /// Starts the server of `data_dir`, or adopts the one that is still running there.
    ///
    /// The second value is the address to connect to, password included: treat it as a secret.
    pub async fn start(data_dir: &Path, say: Say<'_>) -> Result<(Self, String), EmbeddedError> {
        let lock = FolderLock::take(data_dir)?;
        Self::start_locked(lock, data_dir, say).await
    }

    /// The same for a caller that has taken the folder already.
    pub async fn start_locked(
        lock: FolderLock,
        data_dir: &Path,
        say: Say<'_>,
    ) -> Result<(Self, String), EmbeddedError> {
        let (server, adopted) = Server::ensure(data_dir, Durability::Kept, say).await?;
        let url = server.url("takedown");
        let embedded = Self {
            server: Arc::new(server),
            adopted,
            _lock: lock,
        };
        Ok((embedded, url))
    }

    /// Whether the server was already running, left behind by a parent that was killed.
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

    /// Starts the server again, where it was, after somebody killed it.
    pub async fn restart(&self) -> Result<(), EmbeddedError> {
        let server = Arc::clone(&self.server);
        tokio::task::spawn_blocking(move || server.restart())
            .await
            .map_err(|e| EmbeddedError::io("starting the server again", io::Error::other(e)))?
    }

    /// The folder of `initdb`, `pg_ctl`, and where the machine has them `psql` and `pgbench`.
    pub fn binaries(&self) -> &Path {
        self.server.binaries()
    }

    /// Stops the server after its open transactions are rolled back, and waits until it is down.
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

/// Starts or joins a server that several processes share; nobody's end stops it.
pub(crate) async fn shared(data_dir: &Path, say: Say<'_>) -> Result<SharedServer, EmbeddedError> {
    let _lock = FolderLock::wait(data_dir).await?;
    let (server, _) = Server::ensure(data_dir, Durability::Scratch, say).await?;
    Ok(SharedServer(server))
}

/// The address of a server that is not ours to stop.
#[derive(Debug)]
pub(crate) struct SharedServer(Server);

impl SharedServer {
    pub(crate) fn url(&self, database: &str) -> String {
        self.0.url(database)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error("another process is already running on the folder {}; stop it first, or choose another folder", .0.display())]
    Busy(PathBuf),
    #[error(
        "no Postgres {0} was found on this machine, and none could be fetched: {1}; install one, or give DATABASE_URL"
    )]
    NoServer(String, String),
    #[error("the database is there but its password file {} is not; put it back from a backup, or start with an empty folder", .0.display())]
    PasswordLost(PathBuf),
    #[error("the folder {} belongs to somebody else (user id {uid}); remove it, or choose another data folder", .0.display(), uid = .1)]
    Foreign(PathBuf, u32),
    #[error(
        "no unprivileged account was found in /etc/passwd; Postgres refuses to run as root, so add the user `nobody` or start as another user"
    )]
    NoAccount,
    #[error("{program} failed: {output}")]
    Command { program: String, output: String },
    #[error("a server is running in {} but does not answer; look at its log there, stop process {pid}, and start again", .0.display(), pid = .1)]
    Silent(PathBuf, u32),
    #[error("{doing} failed")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
    #[error("the embedded database does not answer as it should")]
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
