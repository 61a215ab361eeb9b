//! The connector sends every HTTP request to hosts outside the system and protects against server-side
//! request forgery.
//!
//! It resolves the host once, refuses the request unless every address is public, connects to a checked
//! address, verifies TLS for the URL's host, follows no redirect, uses no proxy, does not decompress, and
//! limits size and time. It never shows a URL in `Debug` or an error.

mod address;
mod dial;
mod error;
mod map;
mod message;
mod pool;
mod target;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::Method;
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderValue;
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

pub use address::is_public;
pub use dial::is_no_such_name;
pub use error::{ConnectorError, Refusal};
pub use map::{ConnectorMap, MapEntry, MapError};
pub use message::{ReadBody, Request, Response};

use dial::Dialer;
use pool::{OpenConnection, Pool};
use target::RequestTarget;

/// Largest number of header fields in a response.
const MAX_HEADERS: usize = 100;
/// Smallest buffer that the parser supports, in bytes.
const MIN_HEADER_BYTES: usize = 8192;
/// How long a discarded body may take to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Limits and trust settings of the connector. Sizes are in bytes.
#[derive(Clone)]
pub struct Policy {
    /// Addresses of simulated hosts; empty in production.
    pub map: ConnectorMap,
    /// Certificate authorities that are trusted in addition to the machine's.
    pub ca: Vec<CertificateDer<'static>>,
    /// Public networks that are refused too, such as the operator's own.
    pub refused: Vec<IpNet>,
    /// Time limit of the DNS lookup, and of each attempt to connect, including TLS.
    pub connect_timeout: Duration,
    /// Time limit of the whole request.
    pub total_timeout: Duration,
    /// Largest body that is read.
    pub max_body: usize,
    /// Largest status line and headers of a response; at least 8192.
    pub max_header_bytes: usize,
    pub user_agent: HeaderValue,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            map: ConnectorMap::default(),
            ca: Vec::new(),
            refused: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(15),
            max_body: 64 * 1024,
            max_header_bytes: 32 * 1024,
            user_agent: HeaderValue::from_static("takedown"),
        }
    }
}

impl Policy {
    /// Adds the certificates of a PEM text to the trusted authorities.
    ///
    /// # Errors
    /// If the text contains anything else than certificates.
    pub fn trust_pem(&mut self, pem: &[u8]) -> Result<(), rustls::pki_types::pem::Error> {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            self.ca.push(certificate?);
        }
        Ok(())
    }

    fn head_limit(&self) -> usize {
        self.max_header_bytes.max(MIN_HEADER_BYTES)
    }
}

/// The connector. Cheap to clone; clones share their idle connections.
#[derive(Clone)]
pub struct Connector {
    policy: Arc<Policy>,
    dialer: Arc<Dialer>,
    pool: Arc<Pool>,
}

impl Connector {
    /// Loads the machine's trusted authorities; those that cannot be parsed are not trusted.
    pub fn new(policy: Policy) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(policy.ca.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let policy = Arc::new(policy);
        let dialer = Dialer::new(Arc::clone(&policy), TlsConnector::from(Arc::new(tls)));
        Self {
            policy,
            dialer: Arc::new(dialer),
            pool: Arc::default(),
        }
    }

    /// True if the connector map is not empty; in production a role refuses to start then.
    pub fn is_mapped(&self) -> bool {
        !self.policy.map.is_empty()
    }

    /// Resolves and checks the host of a URL as for a request, without sending one. Never empty.
    ///
    /// # Errors
    /// See [`ConnectorError`].
    pub async fn addresses(&self, url: &Url) -> Result<Vec<IpAddr>, ConnectorError> {
        let found = self.dialer.resolve(&RequestTarget::from_url(url)?).await?;
        Ok(found.into_iter().map(|address| address.ip()).collect())
    }

    /// Sends one request and reads the response.
    ///
    /// # Errors
    /// See [`ConnectorError`]; if `outcome_unknown()` is true, the host may have processed the request.
    pub async fn send(&self, request: Request) -> Result<Response, ConnectorError> {
        let limit = dial::effective_timeout(&self.policy, request.timeout);
        timeout(limit, self.exchange(&request))
            .await
            .unwrap_or(Err(ConnectorError::TimedOut))
    }

    async fn exchange(&self, request: &Request) -> Result<Response, ConnectorError> {
        let target = RequestTarget::from_url(&request.url)?;
        // Built first, so that an invalid request opens no connection.
        let message = request.message(&self.policy.user_agent)?;
        let addresses = self.dialer.resolve(&target).await?;
        if let Some((address, mut connection)) = self.pool.take_idle(&target, &addresses) {
            match send_on(&mut connection, message.clone()).await {
                Ok(response) => {
                    return self
                        .finish(&target, address, connection, request, response)
                        .await;
                }
                // The host closed the idle connection without a response: a request that was not sent, or
                // that may be repeated, is sent on a new connection.
                Err(failure) if failure.unsent || (failure.closed && request.is_idempotent()) => {}
                Err(failure) => return Err(failure.error),
            }
        }
        let (address, mut connection) = self.dialer.dial(&target, &addresses).await?;
        let response = send_on(&mut connection, message)
            .await
            .map_err(|failure| failure.error)?;
        self.finish(&target, address, connection, request, response)
            .await
    }

    async fn finish(
        &self,
        target: &RequestTarget,
        address: std::net::SocketAddr,
        connection: OpenConnection,
        request: &Request,
        response: hyper::Response<Incoming>,
    ) -> Result<Response, ConnectorError> {
        let (head, body) = response.into_parts();
        let (body, keep) = match request.read {
            // A response to HEAD has no body, so the connection can be reused. Otherwise it is closed,
            // unread.
            ReadBody::None => (Bytes::new(), request.method == Method::HEAD),
            ReadBody::UpTo(limit) => (
                read_up_to(body, limit.min(self.policy.max_body)).await?,
                true,
            ),
            ReadBody::Drain(_) if body.is_end_stream() => (Bytes::new(), true),
            ReadBody::Drain(limit) => {
                let limit = limit.min(self.policy.max_body);
                tokio::spawn(
                    self.clone()
                        .drain(target.clone(), address, connection, body, limit),
                );
                return Ok(Response {
                    status: head.status,
                    headers: head.headers,
                    body: Bytes::new(),
                });
            }
        };
        if keep {
            self.pool.store_idle(target, address, connection).await;
        }
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    async fn drain(
        self,
        target: RequestTarget,
        address: std::net::SocketAddr,
        connection: OpenConnection,
        body: Incoming,
        limit: usize,
    ) {
        if let Ok(Ok(_)) = timeout(DRAIN_TIMEOUT, read_up_to(body, limit)).await {
            self.pool.store_idle(&target, address, connection).await;
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector(mapped: {})", self.is_mapped())
    }
}

/// Why a request on an open connection had no response.
struct SendFailure {
    error: ConnectorError,
    /// No byte of the request was written.
    unsent: bool,
    /// The connection was closed before a response began.
    closed: bool,
}

async fn send_on(
    connection: &mut OpenConnection,
    message: hyper::Request<Full<Bytes>>,
) -> Result<hyper::Response<Incoming>, SendFailure> {
    connection
        .sender
        .try_send_request(message)
        .await
        .map_err(|mut failed| {
            let unsent = failed.take_message().is_some();
            let cause = failed.into_error();
            let error = if cause.is_parse_too_large() {
                ConnectorError::TooLarge
            } else {
                ConnectorError::BadResponse
            };
            SendFailure {
                error,
                unsent,
                closed: !cause.is_parse(),
            }
        })
}

async fn read_up_to(mut body: Incoming, limit: usize) -> Result<Bytes, ConnectorError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(ConnectorError::TooLarge);
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ConnectorError::BadResponse)?;
        // Trailers are ignored.
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > limit {
                return Err(ConnectorError::TooLarge);
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}
