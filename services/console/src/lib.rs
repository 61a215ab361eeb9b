//! The edge for staff: server-rendered pages over the owners' gRPC, live by server-sent events.
//!
//! It keeps nothing but tokens of at most a minute, decides nothing about cases or notices, and has no rights of its own:
//! every call carries the token of whoever is signed in, and the owner checks it. No address, reference, reason or
//! session reaches a log, an error or a metric.

mod assets;
mod board;
mod calls;
mod config;
mod edge;
mod events;
mod guard;
mod health;
mod lag;
mod pages;
mod posted;
mod refused;
mod routes;
mod session;
mod show;
mod still;
mod tokens;

pub use config::Config;

use std::future::IntoFuture as _;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// For what is in flight at the end: less than a pod's grace.
const DRAIN: Duration = Duration::from_secs(20);

/// What the console needs from outside.
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
    #[error("console.{key} is not right: {sentence}")]
    Config {
        key: &'static str,
        sentence: &'static str,
    },
    #[error("the console's listener failed")]
    Listener(#[from] std::io::Error),
}

/// Serves until the shutdown, then finishes what is in flight; streams of events end at once.
pub async fn run(
    deps: Deps,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    deps.config.check()?;
    let loopback = listener.local_addr()?.ip().is_loopback();
    let edge = edge::Edge::new(deps, loopback, shutdown.clone());
    let serving = axum::serve(listener, routes::router(edge))
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
        tracing::warn!("not every request ended in time");
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = too_late => Ok(()),
    }
}
