//! Opens a connection for a URL: resolves the host once, checks every address, connects to a checked one, and
//! verifies TLS for the URL's host.
//!
//! An IP address in the URL is checked like a resolved one. All addresses are checked before the first
//! connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::is_public;
use super::error::{ConnectorError, Refusal};
use super::pool::OpenConnection;
use super::target::{RequestTarget, TargetHost};
use super::{MAX_HEADERS, Policy};

/// Largest number of concurrent DNS lookups. They use blocking threads, which a slow resolver could exhaust.
const MAX_LOOKUPS: usize = 64;
/// Largest number of addresses of a name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Resolves and connects.
pub(super) struct Dialer {
    policy: Arc<Policy>,
    tls: TlsConnector,
    lookups: Arc<Semaphore>,
}

impl Dialer {
    pub(super) fn new(policy: Arc<Policy>, tls: TlsConnector) -> Self {
        Self {
            policy,
            tls,
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }

    /// The checked addresses of a target; never empty.
    pub(super) async fn resolve(
        &self,
        target: &RequestTarget,
    ) -> Result<Vec<SocketAddr>, ConnectorError> {
        let addresses = match &target.host {
            TargetHost::Address(address) => vec![*address],
            TargetHost::Name(name) => match self.policy.map.lookup_name(name, target.port) {
                Some(mapped) => return Ok(vec![mapped]),
                None => self.resolve_name(name).await?,
            },
        };
        self.check_all(addresses, target.port)
    }

    /// Refuses all addresses if one is not allowed: a name with a public and a private address is an attack.
    fn check_all(
        &self,
        addresses: Vec<IpAddr>,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ConnectorError> {
        let checked = addresses
            .into_iter()
            .map(|address| self.check(address, port));
        let mut checked = checked.collect::<Result<Vec<_>, _>>()?;
        checked.truncate(MAX_ADDRESSES);
        if checked.is_empty() {
            Err(ConnectorError::DnsFailed)
        } else {
            Ok(checked)
        }
    }

    /// Connects to the first address that accepts.
    pub(super) async fn dial(
        &self,
        target: &RequestTarget,
        addresses: &[SocketAddr],
    ) -> Result<(SocketAddr, OpenConnection), ConnectorError> {
        let mut last = ConnectorError::ConnectFailed;
        for address in addresses {
            match timeout(self.policy.connect_timeout, self.connect(target, *address)).await {
                Ok(Ok(connection)) => return Ok((*address, connection)),
                Ok(Err(error)) => last = error,
                Err(_) => last = ConnectorError::TimedOut,
            }
        }
        // Without a connection no request was sent, so a timeout here is a failed connection.
        Err(match last {
            ConnectorError::TimedOut => ConnectorError::ConnectFailed,
            other => other,
        })
    }

    fn check(&self, address: IpAddr, port: u16) -> Result<SocketAddr, ConnectorError> {
        if let Some(mapped) = self.policy.map.lookup_address(address, port) {
            return Ok(mapped);
        }
        let refused = self
            .policy
            .refused
            .iter()
            .any(|network| network.contains(&address));
        if refused || !is_public(address) {
            return Err(ConnectorError::Refused(Refusal::NotPublic));
        }
        Ok(SocketAddr::new(address, port))
    }

    async fn resolve_name(&self, name: &str) -> Result<Vec<IpAddr>, ConnectorError> {
        let lookups = Arc::clone(&self.lookups);
        // The trailing dot prevents the resolver from trying the search domains of the machine.
        let absolute = format!("{name}.");
        // A separate task holds the permit until the blocking thread is free, even if the caller has stopped
        // waiting.
        let lookup = tokio::spawn(async move {
            let _permit = lookups.acquire_owned().await;
            let found = tokio::net::lookup_host((absolute, 0)).await;
            found.map(|found| found.map(|address| address.ip()).collect())
        });
        match timeout(self.policy.connect_timeout, lookup).await {
            Ok(Ok(Ok(addresses))) => Ok(addresses),
            Ok(Ok(Err(error))) if is_no_such_name(&error) => Err(ConnectorError::NoSuchName),
            _ => Err(ConnectorError::DnsFailed),
        }
    }

    async fn connect(
        &self,
        target: &RequestTarget,
        address: SocketAddr,
    ) -> Result<OpenConnection, ConnectorError> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|_| ConnectorError::ConnectFailed)?;
        // Without this option small requests are delayed; failing to set it does no other harm.
        let _ = stream.set_nodelay(true);
        if !target.https {
            return self.handshake(stream).await;
        }
        let stream = self
            .tls
            .connect(target.server_name()?, stream)
            .await
            .map_err(|_| ConnectorError::TlsFailed)?;
        self.handshake(stream).await
    }

    async fn handshake<S>(&self, stream: S) -> Result<OpenConnection, ConnectorError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let head = self.policy.head_limit();
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_header_size(head)
            .max_buf_size(head)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|_| ConnectorError::ConnectFailed)?;
        Ok(OpenConnection::new(sender, connection))
    }
}

/// True if a lookup failed because the name does not exist or has no address (EAI_NONAME, EAI_NODATA). The
/// standard library returns only the message of `getaddrinfo`, so the messages of glibc and musl are
/// compared.
pub fn is_no_such_name(error: &std::io::Error) -> bool {
    let text = error.to_string();
    [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
    ]
    .iter()
    .any(|known| text.contains(known))
}

/// The time limit of a request: the caller's, at most the policy's.
pub(super) fn effective_timeout(policy: &Policy, timeout: Option<Duration>) -> Duration {
    timeout.map_or(policy.total_timeout, |timeout| {
        timeout.min(policy.total_timeout)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(policy: Policy) -> Dialer {
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        Dialer::new(Arc::new(policy), TlsConnector::from(Arc::new(tls)))
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn one_address_that_is_not_public_makes_all_refused() {
        let dialer = dialer(Policy::default());
        let public = addresses(&["1.1.1.1", "2606:4700::1111"]);
        assert_eq!(dialer.check_all(public, 80).unwrap().len(), 2);
        for private in [
            "127.0.0.1",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "203.0.113.1",
        ] {
            for mixed in [["1.1.1.1", private], [private, "1.1.1.1"]] {
                let refused = dialer.check_all(addresses(&mixed), 80);
                assert_eq!(refused, Err(ConnectorError::Refused(Refusal::NotPublic)));
            }
        }
        assert_eq!(
            dialer.check_all(Vec::new(), 80),
            Err(ConnectorError::DnsFailed)
        );
    }

    #[test]
    fn the_operators_own_networks_are_refused() {
        let policy = Policy {
            refused: vec!["9.9.9.0/24".parse().unwrap()],
            ..Policy::default()
        };
        let refused = dialer(policy).check_all(addresses(&["9.9.9.9"]), 443);
        assert_eq!(refused, Err(ConnectorError::Refused(Refusal::NotPublic)));
    }
}
