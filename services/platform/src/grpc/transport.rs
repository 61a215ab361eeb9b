//! How roles reach each other: plain on loopback, or with a proof on both sides. The same for listening and calling, so
//! that a role cannot be strict on one side and lax on the other.

use std::net::IpAddr;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};

use super::access::Access;
use super::{GrpcError, channel};
use crate::tls::{self, Io, Role, Tls};

#[derive(Debug, Clone)]
pub enum Transport {
    /// Nobody proves anything: for loopback alone.
    Plain,
    Proven(Tls),
}

impl Transport {
    /// A channel to a role at an address such as `https://intake:7410`. It connects when it is first used and again
    /// whenever it must, so that roles may start in any order.
    ///
    /// # Errors
    /// When the address is none, or its scheme is not this transport's; `http` only for loopback.
    pub fn channel(&self, role: &str, address: &str) -> Result<Channel, GrpcError> {
        let uri: Uri = address.parse().map_err(|_| GrpcError::Address)?;
        let role = Role::parse(role).ok_or(GrpcError::Address)?;
        match (self, uri.scheme_str()) {
            (Self::Plain, Some("http")) if is_loopback(&uri) => channel(address),
            (Self::Plain, _) => Err(GrpcError::NotLoopback(address.to_owned())),
            (Self::Proven(tls), Some("https")) => proven(&uri, role, tls.clone()),
            (Self::Proven(_), _) => Err(GrpcError::NotProven(address.to_owned())),
        }
    }

    /// What [`super::Server::serve`] listens on; with a proof, whoever calls is held to the table.
    ///
    /// # Errors
    /// When a plain listener can be reached from outside this machine.
    pub fn listener(&self, tcp: TcpListener, access: &Access) -> Result<Listener, GrpcError> {
        let address = tcp.local_addr()?;
        match self {
            Self::Plain if !address.ip().is_loopback() => {
                Err(GrpcError::NotLoopback(address.to_string()))
            }
            Self::Plain => Ok(tcp.into()),
            Self::Proven(tls) => Ok(Listener {
                tcp,
                guard: Some((tls.clone(), access.clone())),
            }),
        }
    }
}

/// A bound port, and who may come in by it.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    guard: Option<(Tls, Access)>,
}

impl Listener {
    pub(super) fn access(&self) -> Option<Access> {
        self.guard.as_ref().map(|(_, access)| access.clone())
    }

    pub(super) fn incoming(self) -> impl Stream<Item = std::io::Result<Io>> + Send {
        match self.guard {
            Some((tls, _)) => tls::incoming(self.tcp, tls).left_stream(),
            None => TcpIncoming::from(self.tcp)
                .with_nodelay(Some(true))
                .with_keepalive(Some(Duration::from_mins(1)))
                .map(|accepted| accepted.map(Io::Plain))
                .right_stream(),
        }
    }
}

/// One that anybody on this machine may use: for a system in one process, and for tests.
impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, guard: None }
    }
}

fn proven(uri: &Uri, role: Role, tls: Tls) -> Result<Channel, GrpcError> {
    // The library must not add TLS of its own: ours is inside the connector.
    let authority = uri.authority().ok_or(GrpcError::Address)?;
    let endpoint =
        Endpoint::from_shared(format!("http://{authority}")).map_err(|_| GrpcError::Address)?;
    let connector = tower::service_fn(move |uri: Uri| {
        let connecting = tls::connect(uri, role.clone(), tls.clone());
        async move { Ok::<_, std::io::Error>(TokioIo::new(connecting.await?)) }
    });
    Ok(super::tuned(endpoint).connect_with_connector_lazy(connector))
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
