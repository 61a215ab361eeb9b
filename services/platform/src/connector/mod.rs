//! The one way out: every request that the system sends to somebody else's host goes through the connector.
//!
//! It resolves once, refuses unless every address is public, connects to a checked address, verifies TLS for the
//! URL's host, follows no redirect, uses no proxy, undoes no compression, and bounds size and time. It must not know
//! what a request is for, and it never shows a URL: not in `Debug`, not in an error.

mod address;
mod dial;
mod error;
mod map;
mod message;
mod pool;

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
pub use dial::says_no_such_name;
pub use error::{ConnectorError, Refusal};
pub use map::{ConnectorMap, MapEntry, MapError};
pub use message::{ReadBody, Request, Response};

use dial::{Dialer, Target};
use pool::{Live, Pool};

/// How many header fields an answer may have.
const HEAD_FIELDS: usize = 100;
/// The parser needs a buffer of at least this size.
const SMALLEST_HEAD: usize = 8192;
/// How long a body that nobody wants may take to end.
const DRAINED: Duration = Duration::from_secs(1);

/// What the connector allows. Sizes are in bytes.
#[derive(Clone)]
pub struct Policy {
    /// Where synthetic hosts are; empty in production.
    pub map: ConnectorMap,
    /// Authorities trusted beside the machine's own.
    pub ca: Vec<CertificateDer<'static>>,
    /// Networks refused beside those that are not public: the operator's own.
    pub refused: Vec<IpNet>,
    /// For the look-up, and for each attempt to connect (with TLS).
    pub connect_timeout: Duration,
    /// For the whole request.
    pub total_timeout: Duration,
    pub max_body: usize,
    /// For the status line and headers of an answer; at least 8192.
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
    /// Trusts the certificates of a PEM text.
    ///
    /// # Errors
    /// When it holds something else than certificates.
    pub fn trust_pem(&mut self, pem: &[u8]) -> Result<(), rustls::pki_types::pem::Error> {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            self.ca.push(certificate?);
        }
        Ok(())
    }

    fn head_limit(&self) -> usize {
        self.max_header_bytes.max(SMALLEST_HEAD)
    }
}

/// Cheap to clone; all clones share their idle connections.
#[derive(Clone)]
pub struct Connector {
    policy: Arc<Policy>,
    dialer: Arc<Dialer>,
    pool: Arc<Pool>,
}

impl Connector {
    /// Reads the machine's trusted authorities once; those that cannot be read are not trusted.
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

    /// Whether synthetic hosts are reached; production roles refuse to start then.
    pub fn is_mapped(&self) -> bool {
        !self.policy.map.is_empty()
    }

    /// Where a URL's host is, by the same look-up and checks as a request, and without one. Never empty.
    ///
    /// # Errors
    /// See [`ConnectorError`].
    pub async fn addresses(&self, url: &Url) -> Result<Vec<IpAddr>, ConnectorError> {
        let found = self.dialer.resolve(&Target::of(url)?).await?;
        Ok(found.into_iter().map(|address| address.ip()).collect())
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// See [`ConnectorError`]; where `outcome_unknown()` holds, the other side may have acted.
    pub async fn send(&self, request: Request) -> Result<Response, ConnectorError> {
        let limit = dial::limit(&self.policy, request.within);
        timeout(limit, self.exchange(&request))
            .await
            .unwrap_or(Err(ConnectorError::TimedOut))
    }

    async fn exchange(&self, request: &Request) -> Result<Response, ConnectorError> {
        let target = Target::of(&request.url)?;
        // Made first, so that a request that cannot be sent connects nothing.
        let message = request.message(&self.policy.user_agent)?;
        let addresses = self.dialer.resolve(&target).await?;
        if let Some((address, mut live)) = self.pool.take(&target, &addresses) {
            match ask(&mut live, message.clone()).await {
                Ok(answer) => return self.finish(&target, address, live, request, answer).await,
                // The other side closed an idle connection while we wrote: nothing was answered, so a request that
                // never left, or that may be repeated, is sent on a new one.
                Err(lost) if lost.unsent || (lost.closed && request.repeats_harmlessly()) => {}
                Err(lost) => return Err(lost.error),
            }
        }
        let (address, mut live) = self.dialer.dial(&target, &addresses).await?;
        let answer = ask(&mut live, message).await.map_err(|lost| lost.error)?;
        self.finish(&target, address, live, request, answer).await
    }

    async fn finish(
        &self,
        target: &Target,
        address: std::net::SocketAddr,
        live: Live,
        request: &Request,
        answer: hyper::Response<Incoming>,
    ) -> Result<Response, ConnectorError> {
        let (head, body) = answer.into_parts();
        let (body, keep) = match request.read {
            // An answer to HEAD has no body, so the connection is whole. Any other is closed here, unread.
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
                        .drain(target.clone(), address, live, body, limit),
                );
                return Ok(Response {
                    status: head.status,
                    headers: head.headers,
                    body: Bytes::new(),
                });
            }
        };
        if keep {
            self.pool.keep(target, address, live).await;
        }
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    async fn drain(
        self,
        target: Target,
        address: std::net::SocketAddr,
        live: Live,
        body: Incoming,
        limit: usize,
    ) {
        if let Ok(Ok(_)) = timeout(DRAINED, read_up_to(body, limit)).await {
            self.pool.keep(&target, address, live).await;
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector(mapped: {})", self.is_mapped())
    }
}

/// No answer came on a connection.
struct Lost {
    error: ConnectorError,
    /// Not a byte of the request was written.
    unsent: bool,
    /// The connection ended before an answer began.
    closed: bool,
}

async fn ask(
    live: &mut Live,
    message: hyper::Request<Full<Bytes>>,
) -> Result<hyper::Response<Incoming>, Lost> {
    live.sender
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
            Lost {
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
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ConnectorError::BadResponse)?;
        // Trailers are passed over.
        if let Some(data) = frame.data_ref() {
            if whole.len() + data.len() > limit {
                return Err(ConnectorError::TooLarge);
            }
            whole.extend_from_slice(data);
        }
    }
    Ok(whole.freeze())
}
