//! The public HTTP front end: the providers' API, the page behind the link in a notice mail, inbound mail,
//! and reporting.
//!
//! It translates HTTP and SMTP into gRPC calls to intake and dispatch, and their replies back. It stores
//! nothing, decides nothing about reports or notices, and checks no credentials: it forwards the caller's
//! credential to the service that does. No URL, reference, token or body is ever written to a log, an error
//! or a metric.

mod caller;
mod config;
mod docs;
mod edge;
mod enum_schemas;
mod health;
mod inbound_mail;
mod input;
mod jwks;
mod middleware;
mod notice_page;
mod peer;
mod problem;
mod provider;
mod rate_limiter;
mod reports;
mod routes;
mod serve;
mod stream_slots;
mod upstream;

pub use config::{Config, InboundMailConfig, RequestLimits};
pub use rate_limiter::Rate;
pub use routes::openapi;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// What the gateway needs from the process it runs in.
#[derive(Debug)]
pub struct Deps {
    pub intake: Channel,
    pub dispatch: Channel,
    /// Listener for inbound mail (SMTP); `None` disables inbound mail.
    pub mail: Option<TcpListener>,
    pub config: Config,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("gateway.{key} is invalid: {sentence}")]
    Config {
        key: &'static str,
        sentence: &'static str,
    },
}

/// Serves until `shutdown`, then finishes the requests that are in flight.
///
/// # Errors
///
/// Returns [`Error::Config`] for an invalid configuration, before anything is served.
pub async fn run(
    mut deps: Deps,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    deps.config.check()?;
    let limits = deps.config.limits.clone();
    let mail_listener = deps.mail.take();
    let edge = edge::Edge::new(deps, shutdown.clone());
    let mail = async {
        if let Some(listener) = mail_listener {
            inbound_mail::serve(edge.clone(), listener, shutdown.clone()).await;
        }
    };
    let requests = serve::serve(
        listener,
        routes::router(edge.clone()),
        &limits,
        shutdown.clone(),
    );
    tokio::join!(mail, requests);
    Ok(())
}
