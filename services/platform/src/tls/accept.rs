//! Connections that come in: each proves which role it is before a byte of it is looked at. One that does not is
//! refused and logged; a slow one costs only itself.

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

use super::{Role, Tls, TlsError};

/// For a peer to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Peers that are saying who they are at the same time; others wait in the system's queue.
const AT_ONCE: usize = 256;
/// Connections that wait to be taken up.
const WAITING: usize = 64;
/// After the system refused a connection (no more files), before the next try.
const BREATH: Duration = Duration::from_millis(50);

/// A connection, proven or plain.
pub enum Io {
    Plain(TcpStream),
    Proven(Box<TlsStream<TcpStream>>, Role),
}

/// What is known of a call's connection; every request carries it as an extension.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Who is at the other end; none on a plain connection, which only loopback has.
    pub caller: Option<Role>,
    pub address: Option<SocketAddr>,
}

impl Connected for Io {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        let (stream, caller) = match self {
            Self::Plain(stream) => (stream, None),
            Self::Proven(stream, role) => (stream.get_ref().0, Some(role.clone())),
        };
        Connection {
            caller,
            address: stream.peer_addr().ok(),
        }
    }
}

/// The proven connections of a listener, until nobody takes them any more.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: Tls,
) -> impl Stream<Item = io::Result<Io>> + Send {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(accept(listener, tls, sender));
    ReceiverStream::new(receiver)
}

async fn accept(listener: TcpListener, tls: Tls, taken: mpsc::Sender<io::Result<Io>>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    // Dropped with the loop: whoever is not through by then is cut off.
    let mut proving = JoinSet::new();
    loop {
        // Never closed while the loop runs.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = taken.closed() => return,
            accepted = listener.accept() => accepted,
        };
        while proving.try_join_next().is_some() {}
        match accepted {
            Ok((stream, address)) => {
                let (tls, taken) = (tls.clone(), taken.clone());
                proving.spawn(async move {
                    match prove(stream, &tls).await {
                        // Where nobody takes it any more, the end is near.
                        Ok(io) => drop(taken.send(Ok(io)).await),
                        Err(error) => refused(address, &error),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(io.kind = %error.kind(), "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

async fn prove(stream: TcpStream, tls: &Tls) -> io::Result<Io> {
    stream.set_nodelay(true)?;
    let handshake = TlsAcceptor::from(tls.server()).accept(stream);
    let stream = timeout(HANDSHAKE, handshake)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let role = shown
        .first()
        .ok_or(TlsError::NoRole)
        .and_then(Role::of)
        .map_err(io::Error::other)?;
    Ok(Io::Proven(Box::new(stream), role))
}

fn refused(peer: SocketAddr, error: &io::Error) {
    tracing::warn!(peer.address = %peer, %error, "a connection was refused: its caller did not prove a role");
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Proven(stream, _) => Pin::new(stream).poll_read(cx, buffer),
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
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Proven(stream, _) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Proven(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Proven(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Proven(stream, _) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Proven(stream, _) => stream.is_write_vectored(),
        }
    }
}
