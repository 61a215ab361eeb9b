//! A real Kafka broker of one node, kept in a folder: for the demo and the tests.
//!
//! Its jars are fetched once by Maven, at the version of `pom.xml`, and it runs on Java 17 or newer, on loopback alone.
//! It never outlives the process that started it. Not for a cluster: there a broker is named in `bus.bootstrap`.

mod jars;
mod server;

use std::io;
use std::path::{Path, PathBuf};

use server::Server;

use crate::bus::Tls;
use crate::embedded::Say;

/// A running broker. Dropping it kills it.
#[derive(Debug)]
pub struct Broker {
    server: Option<Server>,
    dir: PathBuf,
    jars: PathBuf,
    guarded: Option<Guarded>,
}

/// How a broker guards itself: TLS with certificates on both sides, and nothing allowed that no ACL allows.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// The broker's own; `ca` is who may have signed a client's certificate.
    pub broker: Tls,
    /// Of a client that may do everything, as `CN=admin`.
    pub admin: Tls,
}

impl Broker {
    /// Starts the broker of `dir`, with what it held when it last ended there, and waits until it answers.
    pub async fn start(dir: &Path, say: Say<'_>) -> Result<Self, BrokerError> {
        Self::start_as(dir, None, say).await
    }

    /// The same for a folder that is new, with a broker that lets nobody in without a certificate and a right.
    pub async fn start_guarded(
        dir: &Path,
        guarded: Guarded,
        say: Say<'_>,
    ) -> Result<Self, BrokerError> {
        Self::start_as(dir, Some(guarded), say).await
    }

    async fn start_as(
        dir: &Path,
        guarded: Option<Guarded>,
        say: Say<'_>,
    ) -> Result<Self, BrokerError> {
        let jars = jars::ensure(say).await?;
        let mut broker = Self {
            server: None,
            dir: dir.to_owned(),
            jars,
            guarded,
        };
        broker.restart().await?;
        Ok(broker)
    }

    /// Starts it again where it has ended, on the same port.
    pub async fn restart(&mut self) -> Result<(), BrokerError> {
        if let Some(server) = self.server.take() {
            tokio::task::spawn_blocking(move || drop(server))
                .await
                .map_err(|e| BrokerError::io("ending the broker", io::Error::other(e)))?;
        }
        let (jars, dir, guarded) = (self.jars.clone(), self.dir.clone(), self.guarded.clone());
        self.server = Some(
            tokio::task::spawn_blocking(move || Server::start(&jars, &dir, guarded.as_ref()))
                .await
                .map_err(|e| BrokerError::io("starting the broker", io::Error::other(e)))??,
        );
        Ok(())
    }

    /// `host:port`, as `bus.bootstrap` takes it.
    pub fn bootstrap(&self) -> String {
        self.server
            .as_ref()
            .map_or_else(String::new, |server| format!("127.0.0.1:{}", server.port()))
    }

    /// The folder of Kafka's own tools, as a class path has it.
    pub fn jars(&self) -> &Path {
        &self.jars
    }

    /// The process of the broker itself: to be stopped, continued or killed by whoever tries what happens then.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }

    /// Ends it at once, as by `kill -9`.
    pub async fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            // Only a panic of ours could fail here, and then the process is gone as well.
            let _ = tokio::task::spawn_blocking(move || drop(server)).await;
        }
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) -> Result<(), BrokerError> {
        let Some(server) = self.server.take() else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || server.stop())
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
    #[error("the jars of Kafka could not be fetched: {0}; check that Maven reaches its repository")]
    NoJars(String),
    #[error("the broker did not start; its log is {}", .0.display())]
    NotStarted(PathBuf),
    #[error("{0} failed: {1}")]
    Command(&'static str, String),
    #[error("the folder of the jars is not ours")]
    Folder(#[from] crate::embedded::EmbeddedError),
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
