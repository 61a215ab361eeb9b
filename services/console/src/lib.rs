//! The console for staff: server-rendered pages over the services' gRPC, updated by server-sent events.
//!
//! It stores nothing, decides nothing about cases or notices, and has no rights of its own: every call carries the token
//! of the member of staff who is signed in, and the service that owns the data checks it. It caches tokens for at most a
//! minute. URLs, references, reasons and sessions never appear in a log, an error or a metric.

mod assets;
mod config;
mod dashboard;
mod dashboard_queries;
mod edge;
mod error_response;
mod error_text;
mod form;
mod format;
mod frame;
mod keys;
mod ledger_lag;
mod middleware;
mod page_error;
mod page_updates;
mod pages;
mod routes;
mod service_clients;
mod session;
mod stalled_consumers;
mod tokens;

pub use config::Config;

use std::future::IntoFuture as _;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// Time for requests in progress to end after the shutdown signal; shorter than a pod's grace period.
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// Connections to the services, and the settings.
#[derive(Debug, Clone)]
pub struct Deps {
    pub intake: Channel,
    pub verification: Channel,
    pub dispatch: Channel,
    pub ledger: Channel,
    pub config: Config,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("console.{key} is out of bounds: {advice}")]
    Config {
        key: &'static str,
        advice: &'static str,
    },
    #[error("the console's listener failed")]
    Listener(#[from] std::io::Error),
}

/// Serves until the shutdown signal, then finishes the requests in progress; update streams end at once.
///
/// # Errors
///
/// A setting out of its bounds, or a failure of the listener.
pub async fn run(
    deps: Deps,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    deps.config.validate()?;
    let is_loopback = listener.local_addr()?.ip().is_loopback();
    let edge = edge::Edge::new(deps, is_loopback, shutdown.clone());
    let serving = axum::serve(listener, routes::router(edge))
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let drain_limit = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_TIME).await;
        tracing::warn!("some requests did not end in time after the shutdown signal");
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = drain_limit => Ok(()),
    }
}
