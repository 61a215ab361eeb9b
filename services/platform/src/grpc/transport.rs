//! The transport between roles: plain on loopback, or mutual TLS. Listening and calling use the same setting,
//! so that both are equally protected.

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
use crate::tls::{self, Io, ServiceRole, Tls};

/// The transport of a process.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Without authentication, only on loopback.
    Plaintext,
    MutualTls(Tls),
}

impl Transport {
    /// A channel to a role at an address such as `https://intake:7410`. It connects on first use and
    /// reconnects when necessary, so that roles may start in any order.
    ///
    /// # Errors
    /// If the address is invalid or its scheme does not match the transport; `http` is possible only on
    /// loopback.
    pub fn channel(&self, role: &str, address: &str) -> Result<Channel, GrpcError> {
        let uri: Uri = address.parse().map_err(|_| GrpcError::Address)?;
        let role = ServiceRole::parse(role).ok_or(GrpcError::Address)?;
        match (self, uri.scheme_str()) {
            (Self::Plaintext, Some("http")) if is_loopback(&uri) => channel(address),
            (Self::Plaintext, _) => Err(GrpcError::NotLoopback(address.to_owned())),
            (Self::MutualTls(tls), Some("https")) => tls_channel(&uri, role, tls.clone()),
            (Self::MutualTls(_), _) => Err(GrpcError::NotHttps(address.to_owned())),
        }
    }

    /// A listener for [`super::Server::serve`]. With mutual TLS, calls are checked against the access table.
    ///
    /// # Errors
    /// If a plain listener can be reached from other machines.
    pub fn listener(&self, tcp: TcpListener, access: &Access) -> Result<Listener, GrpcError> {
        let address = tcp.local_addr()?;
        match self {
            Self::Plaintext if !address.ip().is_loopback() => {
                Err(GrpcError::NotLoopback(address.to_string()))
            }
            Self::Plaintext => Ok(tcp.into()),
            Self::MutualTls(tls) => Ok(Listener {
                tcp,
                access_control: Some((tls.clone(), access.clone())),
            }),
        }
    }
}

/// A bound port with its access control.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    access_control: Option<(Tls, Access)>,
}

impl Listener {
    pub(super) fn access(&self) -> Option<Access> {
        self.access_control
            .as_ref()
            .map(|(_, access)| access.clone())
    }

    pub(super) fn incoming(self) -> impl Stream<Item = std::io::Result<Io>> + Send {
        match self.access_control {
            Some((tls, _)) => tls::incoming(self.tcp, tls).left_stream(),
            None => TcpIncoming::from(self.tcp)
                .with_nodelay(Some(true))
                .with_keepalive(Some(Duration::from_mins(1)))
                .map(|accepted| accepted.map(Io::Plaintext))
                .right_stream(),
        }
    }
}

/// A listener without access control, for a system in one process and for tests.
impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self {
            tcp,
            access_control: None,
        }
    }
}

fn tls_channel(uri: &Uri, role: ServiceRole, tls: Tls) -> Result<Channel, GrpcError> {
    // The scheme is http so that the library adds no TLS of its own: the connector does it.
    let authority = uri.authority().ok_or(GrpcError::Address)?;
    let endpoint =
        Endpoint::from_shared(format!("http://{authority}")).map_err(|_| GrpcError::Address)?;
    let connector = tower::service_fn(move |uri: Uri| {
        let connecting = tls::connect(uri, role.clone(), tls.clone());
        async move { Ok::<_, std::io::Error>(TokioIo::new(connecting.await?)) }
    });
    Ok(super::configure(endpoint).connect_with_connector_lazy(connector))
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
