//! The gRPC server and client of all roles, with the same limits.
//!
//! The server provides health checks (`""` reports that the process responds, [`READY`] and the full name of
//! each service that their dependencies do too, [`consumer_health`] whether a consumer runs), reflection of the
//! services that it has, limits on size, time and concurrency, isolation of panics to one call, and a drain with
//! a time limit.

mod access;
mod consumer_states;
mod error_code;
mod health;
mod readiness;
mod transport;

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::{Channel, Endpoint};
use tonic_reflection::server::Builder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::trace::TraceLayer;
use readiness::Readiness;

pub use access::{Access, Rule, caller};
pub use consumer_states::ConsumerStates;
pub use health::{consumer_health, health, is_ready};
pub use readiness::{ReadinessCheck, database};
pub use transport::{Listener, Transport};

/// Name of the readiness check in the health service.
pub const READY: &str = "ready";

/// Largest encoded message in bytes, in both directions; the default of tonic for requests.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// Time limit of a call. Streams are not limited once they respond.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest number of calls in flight, over all connections; further calls are refused at once. A stream
/// counts until it responds.
const MAX_IN_FLIGHT: usize = 4096;

/// How long calls in flight may take after the shutdown began: less than the grace period of a pod.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a server or a channel could not be created, or a server failed.
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
        "{0} is not on loopback; without TLS roles use only loopback addresses; set `[tls]` cert, key and ca"
    )]
    NotLoopback(String),
    #[error("{0} is not an https address, which is required with TLS")]
    NotHttps(String),
}

/// Builder of a server: add services, then call [`Server::serve`].
pub struct Server {
    routes: RoutesBuilder,
    /// Full names of the services.
    services: Vec<&'static str>,
    descriptors: &'static [u8],
    checks: Vec<ReadinessCheck>,
    consumers: Option<(&'static str, ConsumerStates)>,
    call_timeout: Duration,
    in_flight: usize,
    drain: Duration,
}

impl Server {
    /// `descriptors` is the encoded descriptor set for reflection.
    pub fn new(descriptors: &'static [u8]) -> Self {
        Self {
            routes: Routes::builder(),
            services: Vec::new(),
            descriptors,
            checks: Vec::new(),
            consumers: None,
            call_timeout: CALL_TIMEOUT,
            in_flight: MAX_IN_FLIGHT,
            drain: DRAIN_TIMEOUT,
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
        self.serve_also(service);
        self
    }

    /// Like [`Server::add_service`], for a builder in a field.
    pub(crate) fn serve_also<S>(&mut self, service: S)
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
        self.services.push(S::NAME);
    }

    /// Adds a readiness check, which runs once per second.
    #[must_use]
    pub fn ready_while(mut self, check: ReadinessCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// Reports the consumers of a role under [`consumer_health`]; they do not affect the readiness.
    #[must_use]
    pub(crate) fn with_consumers(mut self, role: &'static str, states: ConsumerStates) -> Self {
        self.consumers = Some((role, states));
        self
    }

    /// How long calls in flight may take after the shutdown began.
    #[must_use]
    pub fn drain(mut self, limit: Duration) -> Self {
        self.drain = limit;
        self
    }

    /// Serves until the shutdown, then waits for calls in flight up to the drain's time limit.
    ///
    /// # Errors
    /// If the server fails.
    pub async fn serve(
        mut self,
        listener: impl Into<Listener>,
        shutdown: CancellationToken,
    ) -> Result<(), GrpcError> {
        let listener = listener.into();
        let (reporter, health_service) = tonic_health::server::health_reporter();
        self.routes.add_service(health_service);
        // Both versions: many clients still know only the older one.
        let reflection = || reflection(self.descriptors, &self.services);
        let (v1, v1alpha) = (reflection().build_v1()?, reflection().build_v1alpha()?);
        self.routes.add_service(v1).add_service(v1alpha);
        self.services.push(READY);
        let readiness = Readiness {
            reporter,
            services: self.services,
            checks: self.checks,
            consumers: self.consumers,
        };
        readiness.update().await;
        let watch = tokio::spawn(readiness.watch(shutdown.clone()));

        let layers = tower::ServiceBuilder::new()
            .layer(error_code::ErrorCodeLayer)
            // tonic has equivalents of these three, but outside of all layers, where their errors would have
            // no code.
            .load_shed()
            .concurrency_limit(self.in_flight)
            .timeout(self.call_timeout)
            .layer(CatchPanicLayer::custom(error_code::Panicked))
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
        let drain_expired = async {
            shutdown.cancelled().await;
            tokio::time::sleep(self.drain).await;
        };
        let outcome = tokio::select! {
            served = serving => served.map_err(GrpcError::from),
            () = drain_expired => Ok(()),
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

/// Describes the services of this server, health and reflection itself, and the details of its errors.
fn reflection<'a>(descriptors: &'a [u8], services: &[&str]) -> Builder<'a> {
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET);
    let standard = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    let names = services.iter().copied().chain(standard);
    names.fold(builder, Builder::with_service_name)
}

/// A plain channel to another role on this machine, such as `http://127.0.0.1:7000`. It connects on first use
/// and reconnects when necessary, so that roles may start in any order.
///
/// # Errors
/// `GrpcError::Address`.
pub fn channel(address: &str) -> Result<Channel, GrpcError> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| GrpcError::Address)?;
    Ok(configure(endpoint).connect_lazy())
}

fn configure(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .tcp_nodelay(true)
}

#[cfg(test)]
mod tests;
