//! From a URL to a connection: resolve once, check every address, connect to a checked one, TLS for the URL's host.
//!
//! A literal address in the URL is checked like a resolved one. Nothing is connected before all are checked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::address::{is_public, is_refused_port};
use super::error::{ConnectorError, Refusal};
use super::pool::Live;
use super::{HEAD_FIELDS, Policy};

/// Look-ups run on blocking threads; a resolver that hangs may hold only so many of them.
const LOOKUPS: usize = 64;
/// Of a name with many addresses only the first few are tried.
const TRIED: usize = 4;

/// Where a request goes, as far as the URL says.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) https: bool,
    host: TargetHost,
    port: u16,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum TargetHost {
    /// Lowercase, without a last dot.
    Name(String),
    Address(IpAddr),
}

impl Target {
    pub(super) fn of(url: &Url) -> Result<Self, ConnectorError> {
        let refused = ConnectorError::Refused;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(refused(Refusal::Scheme)),
        };
        let host = match url.host().ok_or(refused(Refusal::Host))? {
            Host::Ipv4(address) => TargetHost::Address(address.into()),
            Host::Ipv6(address) => TargetHost::Address(address.into()),
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                if name.is_empty() || name.len() > 253 || name.split('.').any(str::is_empty) {
                    return Err(refused(Refusal::Host));
                }
                TargetHost::Name(name.to_ascii_lowercase())
            }
        };
        let port = url.port_or_known_default().ok_or(refused(Refusal::Port))?;
        if is_refused_port(port) {
            return Err(refused(Refusal::Port));
        }
        Ok(Self { https, host, port })
    }

    fn server_name(&self) -> Result<ServerName<'static>, ConnectorError> {
        match &self.host {
            TargetHost::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| ConnectorError::Refused(Refusal::Host)),
            TargetHost::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        }
    }
}

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
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }

    /// The addresses that may be connected to for a target; never empty.
    pub(super) async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, ConnectorError> {
        let addresses = match &target.host {
            TargetHost::Address(address) => vec![*address],
            TargetHost::Name(name) => match self.policy.map.of_name(name, target.port) {
                Some(mapped) => return Ok(vec![mapped]),
                None => self.look_up(name).await?,
            },
        };
        self.check_all(addresses, target.port)
    }

    /// Nothing is connected unless every address may be: a name with one public and one private address is a trap.
    fn check_all(
        &self,
        addresses: Vec<IpAddr>,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ConnectorError> {
        let checked = addresses
            .into_iter()
            .map(|address| self.check(address, port));
        let mut checked = checked.collect::<Result<Vec<_>, _>>()?;
        checked.truncate(TRIED);
        if checked.is_empty() {
            Err(ConnectorError::DnsFailed)
        } else {
            Ok(checked)
        }
    }

    pub(super) async fn dial(
        &self,
        target: &Target,
        addresses: &[SocketAddr],
    ) -> Result<(SocketAddr, Live), ConnectorError> {
        let mut last = ConnectorError::ConnectFailed;
        for address in addresses {
            match timeout(self.policy.connect_timeout, self.connect(target, *address)).await {
                Ok(Ok(live)) => return Ok((*address, live)),
                Ok(Err(error)) => last = error,
                Err(_) => last = ConnectorError::TimedOut,
            }
        }
        // A connection that never stood has carried no request, whatever the reason.
        Err(match last {
            ConnectorError::TimedOut => ConnectorError::ConnectFailed,
            other => other,
        })
    }

    fn check(&self, address: IpAddr, port: u16) -> Result<SocketAddr, ConnectorError> {
        if let Some(mapped) = self.policy.map.of_address(address, port) {
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

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, ConnectorError> {
        let lookups = Arc::clone(&self.lookups);
        // The last dot keeps the resolver from trying the search domains of the machine.
        let absolute = format!("{name}.");
        // A task of its own holds the permit until the blocking thread is really free, also when nobody waits.
        let lookup = tokio::spawn(async move {
            let _permit = lookups.acquire_owned().await;
            let found = tokio::net::lookup_host((absolute, 0)).await;
            found.map(|found| found.map(|address| address.ip()).collect())
        });
        match timeout(self.policy.connect_timeout, lookup).await {
            Ok(Ok(Ok(addresses))) => Ok(addresses),
            Ok(Ok(Err(error))) if says_no_such_name(&error) => Err(ConnectorError::NoSuchName),
            _ => Err(ConnectorError::DnsFailed),
        }
    }

    async fn connect(&self, target: &Target, address: SocketAddr) -> Result<Live, ConnectorError> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|_| ConnectorError::ConnectFailed)?;
        // Small requests wait for nothing; where the option is refused they are only slower.
        let _ = stream.set_nodelay(true);
        if !target.https {
            return self.speak(stream).await;
        }
        let stream = self
            .tls
            .connect(target.server_name()?, stream)
            .await
            .map_err(|_| ConnectorError::TlsFailed)?;
        self.speak(stream).await
    }

    async fn speak<S>(&self, stream: S) -> Result<Live, ConnectorError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let head = self.policy.head_limit();
        let (sender, connection) = http1::Builder::new()
            .max_headers(HEAD_FIELDS)
            .max_header_size(head)
            .max_buf_size(head)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|_| ConnectorError::ConnectFailed)?;
        Ok(Live::new(sender, connection))
    }
}

/// What `getaddrinfo` says of a name that is not there, or has no address (EAI_NONAME, EAI_NODATA), in the words of
/// glibc and of musl: the standard library passes its text on and not its code.
pub fn says_no_such_name(error: &std::io::Error) -> bool {
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

/// How long a caller is willing to wait in all: its own limit within the policy's.
pub(super) fn limit(policy: &Policy, within: Option<Duration>) -> Duration {
    within.map_or(policy.total_timeout, |within| {
        within.min(policy.total_timeout)
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
    fn one_address_that_is_not_public_refuses_all() {
        let dialer = dialer(Policy::default());
        let public = addresses(&["1.1.1.1", "2606:4700::1111"]);
        assert_eq!(dialer.check_all(public, 80).unwrap().len(), 2);
        for hidden in [
            "127.0.0.1",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "203.0.113.1",
        ] {
            for mixed in [["1.1.1.1", hidden], [hidden, "1.1.1.1"]] {
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
