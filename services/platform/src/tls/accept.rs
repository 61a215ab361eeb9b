//! Incoming connections. Each must authenticate its role before any other byte is read; otherwise it is
//! refused and logged. A slow handshake does not delay other connections.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::{ServiceRole, Tls, TlsError};

/// Time limit of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest number of concurrent handshakes; further connections wait in the listen queue.
const MAX_HANDSHAKES: usize = 256;
/// Largest number of authenticated connections that wait for the server.
const MAX_WAITING: usize = 64;
/// Pause after accept failed, for example because no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection, plain or with an authenticated peer.
pub enum Io {
    Plaintext(TcpStream),
    Authenticated(Box<TlsStream<TcpStream>>, ServiceRole),
}

/// The connection of a call; an extension of every request.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The peer's role; `None` on a plain connection, which is possible only on loopback.
    pub caller: Option<ServiceRole>,
    pub address: Option<SocketAddr>,
}

impl Connected for Io {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        let (stream, caller) = match self {
            Self::Plaintext(stream) => (stream, None),
            Self::Authenticated(stream, role) => (stream.get_ref().0, Some(role.clone())),
        };
        Connection {
            caller,
            address: stream.peer_addr().ok(),
        }
    }
}

/// The authenticated connections of a listener, until the stream is dropped.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: Tls,
) -> impl Stream<Item = io::Result<Io>> + Send {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    tokio::spawn(accept(listener, tls, sender));
    ReceiverStream::new(receiver)
}

async fn accept(listener: TcpListener, tls: Tls, accepted: mpsc::Sender<io::Result<Io>>) {
    let permits = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    // Dropped with the loop, which cancels unfinished handshakes.
    let mut handshakes = JoinSet::new();
    loop {
        // The semaphore is never closed while the loop runs.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let connection = tokio::select! {
            () = accepted.closed() => return,
            connection = listener.accept() => connection,
        };
        while handshakes.try_join_next().is_some() {}
        match connection {
            Ok((stream, address)) => {
                let (tls, accepted) = (tls.clone(), accepted.clone());
                handshakes.spawn(async move {
                    match authenticate(stream, &tls).await {
                        // Sending fails only during the shutdown.
                        Ok(io) => drop(accepted.send(Ok(io)).await),
                        Err(error) => log_refused(address, &error),
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(io.kind = %error.kind(), "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn authenticate(stream: TcpStream, tls: &Tls) -> io::Result<Io> {
    stream.set_nodelay(true)?;
    let handshake = TlsAcceptor::from(tls.server()).accept(stream);
    let stream = timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let role = certificates
        .first()
        .ok_or(TlsError::NoRole)
        .and_then(ServiceRole::from_certificate)
        .map_err(io::Error::other)?;
    Ok(Io::Authenticated(Box::new(stream), role))
}

fn log_refused(peer: SocketAddr, error: &io::Error) {
    tracing::warn!(peer.address = %peer, %error, "a connection was refused: the peer did not authenticate a role");
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Authenticated(stream, _) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Authenticated(stream, _) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_flush(cx),
            Self::Authenticated(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Authenticated(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Authenticated(stream, _) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plaintext(stream) => stream.is_write_vectored(),
            Self::Authenticated(stream, _) => stream.is_write_vectored(),
        }
    }
}
