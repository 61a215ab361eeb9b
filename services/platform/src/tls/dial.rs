//! Outgoing connections to another role, which must authenticate as that role.

use std::io;
use std::sync::Arc;

use http::Uri;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ServiceRole, Tls};

/// Connects to a role at an address. The caller sets a time limit.
pub(crate) async fn connect(
    uri: Uri,
    role: ServiceRole,
    tls: Tls,
) -> io::Result<TlsStream<TcpStream>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let host = uri.host().ok_or_else(invalid)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(443);
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let config = tls.client(&role).map_err(io::Error::other)?;
    // The server name is only informative: the certificate is verified by the role in it.
    let name = ServerName::try_from(role.as_str().to_owned()).map_err(|_| invalid())?;
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    if let Err(error) = &connected {
        tracing::warn!(peer.role = %role, %error, "connection failed: the server did not authenticate its role, or refused the role of this process");
    }
    connected
}
