//! TLS for a session that asks for it. Whoever sends proves nothing by it: it keeps what is sent from others on the way.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::Certificate;

/// A connection, plain or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// `None` where the files cannot be used: the session goes on as it was, or ends.
pub(super) fn acceptor(files: &Certificate) -> Option<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.cert).ok()?.collect();
    let key = PrivateKeyDer::from_pem_file(&files.key).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_no_client_auth()
        .with_single_cert(chain.ok()?, key)
        .ok()?;
    Some(TlsAcceptor::from(Arc::new(config)))
}
