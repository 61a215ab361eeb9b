//! The edge to the internet: the providers' API, the page behind a mail's link, the door that mails come back to, and
//! reporting.
//!
//! It turns HTTP into the owners' calls and their answers into HTTP. It keeps nothing, decides nothing about reports
//! or notices, and authenticates nobody: it forwards the caller's credential, which its owner checks. No address,
//! reference, token or body reaches a log, an error or a metric.

mod caller;
mod config;
mod docs;
mod edge;
mod guard;
mod health;
mod input;
mod keys;
mod limits;
mod mail;
mod page;
mod peer;
mod problem;
mod provider;
mod reports;
mod routes;
mod serve;
mod streams;
mod words;

pub use config::{Config, Limits, Rate};
pub use mail::MailDoor;
pub use routes::openapi;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// What the gateway needs from outside.
#[derive(Debug)]
pub struct Deps {
    pub intake: Channel,
    pub dispatch: Channel,
    /// Where mail is taken; none where there is no mail door.
    pub mail: Option<TcpListener>,
    pub config: Config,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("gateway.{key} is not right: {sentence}")]
    Config {
        key: &'static str,
        sentence: &'static str,
    },
}

/// Serves until the shutdown, then finishes what is in flight.
pub async fn run(
    mut deps: Deps,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    deps.config.check()?;
    let limits = deps.config.limits.clone();
    let mail = deps.mail.take();
    let edge = edge::Edge::new(deps, shutdown.clone());
    let letters = async {
        if let Some(listener) = mail {
            mail::serve(edge.clone(), listener, shutdown.clone()).await;
        }
    };
    let requests = serve::serve(
        listener,
        routes::router(edge.clone()),
        &limits,
        shutdown.clone(),
    );
    tokio::join!(letters, requests);
    Ok(())
}
