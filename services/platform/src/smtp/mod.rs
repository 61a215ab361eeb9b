//! An SMTP server that receives mail (RFC 5321), with limits on connections, size and time. The handler
//! decides what is accepted and processes it.
//!
//! The server stores no mail and sends none. Mail that is not accepted is refused within the session, so that
//! a forged sender never receives a delivery report (backscatter). Addresses and contents are never logged.

mod command;
mod secure;
mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use session::SmtpSession;

/// Pause after accept failed, for example because no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long open sessions may take after the shutdown began: less than the grace period of a pod.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Decides which mail is accepted, and processes it.
pub trait MailHandler: Clone + Send + Sync + 'static {
    /// An accepted recipient.
    type Recipient: Send + 'static;

    /// Accepts or refuses a recipient address, before the mail is sent.
    fn recipient(
        &self,
        peer: Peer,
        address: &str,
    ) -> impl Future<Output = Result<Self::Recipient, SmtpReply>> + Send;

    /// Processes a complete mail.
    fn receive(&self, mail: Mail<Self::Recipient>) -> impl Future<Output = SmtpReply> + Send;
}

/// The client's address.
pub type Peer = std::net::SocketAddr;

/// One mail with its envelope.
pub struct Mail<R> {
    /// `None` for the null reverse-path, as in delivery reports, which must not be replied to (RFC 5321
    /// section 4.5.5).
    pub sender: Option<String>,
    pub recipients: Vec<R>,
    /// Header and body, with CRLF line endings.
    pub bytes: Vec<u8>,
}

/// A reply to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpReply {
    /// The session continues.
    Continue(&'static str),
    /// The connection is closed after the reply.
    Close(&'static str),
    /// The connection is closed without a reply.
    Disconnect,
}

/// Limits of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Concurrent connections.
    pub connections: usize,
    /// Recipients of one mail.
    pub recipients: usize,
    /// Size of a mail in bytes.
    pub size: usize,
    /// Time limit for the next line.
    pub read_timeout: Duration,
    /// Time limit of a session.
    pub session: Duration,
}

/// PEM files of certificate and key for STARTTLS (RFC 3207). They are read for each session, so that a
/// renewed certificate is used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Settings of the server.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// The host name in the greeting.
    pub name: String,
    pub limits: Limits,
    /// `None` does not offer STARTTLS.
    pub tls: Option<Certificate>,
}

/// Serves until the shutdown, then waits for open sessions up to a time limit.
pub async fn serve(
    listener: TcpListener,
    handler: impl MailHandler,
    settings: SmtpSettings,
    shutdown: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(settings.limits.connections));
    let settings = Arc::new(settings);
    let sessions = TaskTracker::new();
    let abort = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else {
            continue;
        };
        let session = SmtpSession::new(
            peer,
            handler.clone(),
            Arc::clone(&settings),
            shutdown.clone(),
        );
        let (time_limit, abort) = (settings.limits.session, abort.clone());
        sessions.spawn(async move {
            // The result of a session concerns only its client.
            tokio::select! {
                _ = tokio::time::timeout(time_limit, session.run(stream)) => {}
                () = abort.cancelled() => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    sessions.close();
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, sessions.wait()).await;
    abort.cancel();
}

/// Accepts the next connection when the number of connections allows one.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(
    tokio::net::TcpStream,
    Peer,
    tokio::sync::OwnedSemaphorePermit,
)> {
    // The semaphore is never closed.
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Failing to set the option only delays small packets.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(error) => {
            tracing::warn!(io.kind = %error.kind(), "an SMTP connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

#[cfg(test)]
mod tests;
