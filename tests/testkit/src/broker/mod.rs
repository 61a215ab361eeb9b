//! A single-node Kafka broker in a folder, for the demo and the tests.
//!
//! Maven fetches its jars once, at the version in `pom.xml`. It needs Java 17 or newer, listens on loopback
//! only, and never outlives the process that started it. Not for production: there `bus.bootstrap` names a
//! cluster.

mod jars;
mod process;

use std::io;
use std::path::{Path, PathBuf};

use process::BrokerProcess;

use platform::Progress;
use platform::bus::BusTls;

/// A running broker. Dropping it kills the process.
#[derive(Debug)]
pub struct Broker {
    process: Option<BrokerProcess>,
    dir: PathBuf,
    jars: PathBuf,
    tls: Option<BrokerTls>,
}

/// TLS of a broker: certificates on both sides, and only what an ACL allows.
#[derive(Debug, Clone)]
pub struct BrokerTls {
    /// The broker's own certificate; `ca` signs the clients' certificates.
    pub broker: BusTls,
    /// Certificate of the superuser, `CN=admin`.
    pub admin: BusTls,
}

impl Broker {
    /// Starts the broker in `dir`, with the data of its last run, and waits until it answers.
    pub async fn start(dir: &Path, progress: Progress<'_>) -> Result<Self, BrokerError> {
        Self::start_with(dir, None, progress).await
    }

    /// Like [`Broker::start`] for a new folder, with a broker that requires client certificates and ACLs.
    pub async fn start_with_tls(
        dir: &Path,
        tls: BrokerTls,
        progress: Progress<'_>,
    ) -> Result<Self, BrokerError> {
        Self::start_with(dir, Some(tls), progress).await
    }

    async fn start_with(
        dir: &Path,
        tls: Option<BrokerTls>,
        progress: Progress<'_>,
    ) -> Result<Self, BrokerError> {
        let jars = jars::ensure(progress).await?;
        let mut broker = Self {
            process: None,
            dir: dir.to_owned(),
            jars,
            tls,
        };
        broker.restart().await?;
        Ok(broker)
    }

    /// Restarts the broker, on the same port, if necessary ending it first.
    pub async fn restart(&mut self) -> Result<(), BrokerError> {
        if let Some(process) = self.process.take() {
            tokio::task::spawn_blocking(move || drop(process))
                .await
                .map_err(|e| BrokerError::io("ending the broker", io::Error::other(e)))?;
        }
        let (jars, dir, tls) = (self.jars.clone(), self.dir.clone(), self.tls.clone());
        self.process = Some(
            tokio::task::spawn_blocking(move || BrokerProcess::start(&jars, &dir, tls.as_ref()))
                .await
                .map_err(|e| BrokerError::io("starting the broker", io::Error::other(e)))??,
        );
        Ok(())
    }

    /// `host:port`, the value for `bus.bootstrap`.
    pub fn bootstrap(&self) -> String {
        self.process.as_ref().map_or_else(String::new, |process| {
            format!("127.0.0.1:{}", process.port())
        })
    }

    /// The folder of the Kafka jars, for the class path of Kafka's command line tools.
    pub fn jars(&self) -> &Path {
        &self.jars
    }

    /// Process id of the broker, so that tests can stop, continue or kill it.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(BrokerProcess::pid)
    }

    /// Kills the broker at once, as `kill -9` does.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            // Fails only if our code panicked, and then the process has ended too.
            let _ = tokio::task::spawn_blocking(move || drop(process)).await;
        }
    }

    /// Asks the broker to shut down, and waits until it has.
    pub async fn stop(mut self) -> Result<(), BrokerError> {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || process.stop())
            .await
            .map_err(|e| BrokerError::io("stopping the broker", io::Error::other(e)))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error(
        "{0} was not found; install openjdk-17-jre-headless and maven, or name a running broker in bus.bootstrap"
    )]
    NoProgram(&'static str),
    #[error("the Kafka jars could not be fetched: {0}; check that Maven can reach its repository")]
    NoJars(String),
    #[error("the broker did not start; its log is {}", .0.display())]
    NotStarted(PathBuf),
    #[error("{0} failed: {1}")]
    Command(&'static str, String),
    #[error("the folder of the Kafka jars cannot be used")]
    Folder(#[from] platform::folder_lock::FolderLockError),
    #[error("{doing} failed")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
}

impl BrokerError {
    fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            doing: doing.into(),
            source,
        }
    }
}
