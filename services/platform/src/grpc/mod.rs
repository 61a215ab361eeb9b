//! The gRPC server and client that every role uses, with the same limits everywhere.
//!
//! Health (`""` lives as long as the process answers, [`READY`] tells whether its dependencies do),
//! reflection, bounds on size, time and concurrency, a panic that ends one call and not the process,
//! and a drain that has an end. Nothing here knows a method.

mod access;
mod health;
mod refusal;
mod transport;

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::{Channel, Endpoint};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_http::catch_panic::CatchPanicLayer;

use crate::trace::TraceLayer;

pub use access::{Access, Rule, caller};
pub use health::{health, is_ready};
pub use transport::{Listener, Transport};

/// The health service's name for "able to do its work".
pub const READY: &str = "ready";

/// What a message may weigh, both ways; tonic's own default for requests.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// A call that takes longer has failed for its caller anyway. Streams are not bound by it.
const CALL: Duration = Duration::from_secs(30);

/// Calls in flight, over all connections; the next one is refused at once. A stream is in flight until it begins to answer.
const IN_FLIGHT: usize = 4096;

/// How long calls in flight may go on once the end is near: less than a pod's grace.
const DRAIN: Duration = Duration::from_secs(20);

/// Asks a dependency whether it answers.
pub type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// Ready as long as the database answers.
pub fn database(pool: PgPool) -> Check {
    Arc::new(move || {
        let pool = pool.clone();
        Box::pin(async move {
            let ping = sqlx::query("-- ready\nselect 1").execute(&pool);
            matches!(
                tokio::time::timeout(Duration::from_secs(2), ping).await,
                Ok(Ok(_))
            )
        })
    })
}

#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    #[error("the gRPC server failed")]
    Transport(#[from] tonic::transport::Error),
    #[error("the gRPC descriptors do not decode")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("the gRPC listener has no address")]
    Listener(#[from] std::io::Error),
    #[error("a peer's address is not a URI such as https://intake:7410")]
    Address,
    #[error(
        "{0} is not on loopback, and without TLS roles speak on loopback only; give `[tls]` cert, key and ca"
    )]
    NotLoopback(String),
    #[error("{0} is not an https address, and with TLS roles speak no other")]
    NotProven(String),
}

/// A server in the making: services first, then [`Server::serve`].
pub struct Server {
    routes: RoutesBuilder,
    descriptors: &'static [u8],
    checks: Vec<Check>,
    call: Duration,
    in_flight: usize,
    drain: Duration,
}

impl Server {
    /// `descriptors` is the encoded descriptor set that reflection shows.
    pub fn new(descriptors: &'static [u8]) -> Self {
        Self {
            routes: Routes::builder(),
            descriptors,
            checks: Vec::new(),
            call: CALL,
            in_flight: IN_FLIGHT,
            drain: DRAIN,
        }
    }

    #[must_use]
    pub fn add_service<S>(mut self, service: S) -> Self
    where
        S: tower::Service<http::Request<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes.add_service(service);
        self
    }

    /// Ready only while this holds too; asked once a second.
    #[must_use]
    pub fn ready_while(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// How long calls in flight may go on after the shutdown began.
    #[must_use]
    pub fn drain(mut self, limit: Duration) -> Self {
        self.drain = limit;
        self
    }

    /// Serves until the shutdown, then finishes what is in flight within the drain's limit.
    pub async fn serve(
        mut self,
        listener: impl Into<Listener>,
        shutdown: CancellationToken,
    ) -> Result<(), GrpcError> {
        let listener = listener.into();
        let (health, health_service) = tonic_health::server::health_reporter();
        self.routes.add_service(health_service);
        self.routes.add_service(
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(self.descriptors)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .build_v1()?,
        );
        report(&health, &self.checks).await;
        let watch = tokio::spawn(watch(health, self.checks, shutdown.clone()));

        let layers = tower::ServiceBuilder::new()
            .layer(refusal::RefusalLayer)
            // tonic has the like of these three, outside of all layers, where their refusals would have no code of ours.
            .load_shed()
            .concurrency_limit(self.in_flight)
            .timeout(self.call)
            .layer(CatchPanicLayer::custom(refusal::Panicked))
            .layer(access::AccessLayer(listener.access()))
            .layer(TraceLayer)
            .into_inner();
        let serving = tonic::transport::Server::builder()
            .layer(layers)
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .http2_max_header_list_size(32 * 1024)
            .add_routes(self.routes.routes())
            .serve_with_incoming_shutdown(listener.incoming(), shutdown.clone().cancelled_owned());
        let too_late = async {
            shutdown.cancelled().await;
            tokio::time::sleep(self.drain).await;
        };
        let outcome = tokio::select! {
            served = serving => served.map_err(GrpcError::from),
            () = too_late => Ok(()),
        };
        watch.abort();
        outcome
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("checks", &self.checks.len())
            .finish_non_exhaustive()
    }
}

/// Keeps readiness true to the dependencies; not ready from the moment the shutdown begins.
async fn watch(health: HealthReporter, checks: Vec<Check>, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = tick.tick() => report(&health, &checks).await,
        }
    }
    health
        .set_service_status(READY, ServingStatus::NotServing)
        .await;
}

async fn report(health: &HealthReporter, checks: &[Check]) {
    let answers = futures::future::join_all(checks.iter().map(|check| check())).await;
    let status = if answers.into_iter().all(|ready| ready) {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    health.set_service_status(READY, status).await;
}

/// A plain channel to another role on this machine, such as `http://127.0.0.1:7000`. It connects when it is first used
/// and again whenever it must, so that roles may start in any order.
pub fn channel(address: &str) -> Result<Channel, GrpcError> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| GrpcError::Address)?;
    Ok(tuned(endpoint).connect_lazy())
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .tcp_nodelay(true)
}

#[cfg(test)]
mod tests;
