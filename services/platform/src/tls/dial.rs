//! Connections that go out to another role: the other side proves that it is the role that was meant.

use std::io;
use std::sync::Arc;

use http::Uri;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Role, Tls};

/// Connects to a role at an address; the caller bounds the time.
pub(crate) async fn connect(uri: Uri, role: Role, tls: Tls) -> io::Result<TlsStream<TcpStream>> {
    let unfit = || io::Error::from(io::ErrorKind::InvalidInput);
    let host = uri.host().ok_or_else(unfit)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(443);
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let config = tls.client(&role).map_err(io::Error::other)?;
    // The name is only a hint for the other side: its certificate is judged by the role in it.
    let name = ServerName::try_from(role.as_str().to_owned()).map_err(|_| unfit())?;
    let proven = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    if let Err(error) = &proven {
        tracing::warn!(peer.role = %role, %error, "no connection: the other side did not prove its role, or refused ours");
    }
    proven
}
