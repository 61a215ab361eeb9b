//! Receiving mail (RFC 5321): who may connect, how much and how long; what is done with a mail is its caller's.
//!
//! Takes mail for those alone whom the caller names, and keeps none. It never sends any: whatever cannot be taken is
//! refused while the other side is there, so that nobody gets a report for what somebody else forged. Must not know
//! what a mail is about, and must not log an address or a word of one.

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

use session::Session;

/// After the system refused a connection (no more files), before the next try.
const BREATH: Duration = Duration::from_millis(50);
/// For sessions that are open at the end: less than a pod's grace.
const DRAIN: Duration = Duration::from_secs(20);

/// Who decides about mail; a session only speaks.
pub trait Mailroom: Clone + Send + Sync + 'static {
    /// What an address stands for that mail is taken for.
    type Recipient: Send + 'static;

    /// Whether mail for this address is taken, before a byte of it came.
    fn recipient(
        &self,
        peer: Peer,
        address: &str,
    ) -> impl Future<Output = Result<Self::Recipient, Reply>> + Send;

    /// A whole mail.
    fn take(&self, mail: Mail<Self::Recipient>) -> impl Future<Output = Reply> + Send;
}

/// The other end of a connection.
pub type Peer = std::net::SocketAddr;

/// One mail with its envelope.
pub struct Mail<R> {
    /// None for the null reverse-path: a report, which nothing may be sent in reply to (RFC 5321 section 4.5.5).
    pub sender: Option<String>,
    pub recipients: Vec<R>,
    /// Header and body, lines ended by CRLF.
    pub bytes: Vec<u8>,
}

/// What the other side is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Say(&'static str),
    /// And the connection ends.
    Close(&'static str),
    /// Nothing: the connection ends without a word.
    Vanish,
}

/// What is taken at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections that are open at a time.
    pub connections: usize,
    /// Addresses of one mail.
    pub recipients: usize,
    /// One mail, octets.
    pub size: usize,
    /// For the next line to come.
    pub patience: Duration,
    /// For a whole session.
    pub session: Duration,
}

/// Certificate and key for STARTTLS (RFC 3207), PEM. Read for each session that asks, so that a renewed one is used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// How a server presents itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// By this name, in its greeting.
    pub name: String,
    pub limits: Limits,
    /// None offers no TLS.
    pub tls: Option<Certificate>,
}

/// Serves until the shutdown; sessions that are open then have a while to end.
pub async fn serve(
    listener: TcpListener,
    room: impl Mailroom,
    settings: Settings,
    shutdown: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(settings.limits.connections));
    let settings = Arc::new(settings);
    let sessions = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else {
            continue;
        };
        let session = Session::new(peer, room.clone(), Arc::clone(&settings), shutdown.clone());
        let (longest, cut) = (settings.limits.session, cut.clone());
        sessions.spawn(async move {
            // How a session ends is its peer's affair.
            tokio::select! {
                _ = tokio::time::timeout(longest, session.run(stream)) => {}
                () = cut.cancelled() => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    sessions.close();
    let _ = tokio::time::timeout(DRAIN, sessions.wait()).await;
    cut.cancel();
}

/// The next connection, once there is room for one.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(
    tokio::net::TcpStream,
    Peer,
    tokio::sync::OwnedSemaphorePermit,
)> {
    // Never closed while the loop runs.
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Only slower where the option is refused.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(error) => {
            tracing::warn!(io.kind = %error.kind(), "a connection for mail could not be accepted");
            tokio::time::sleep(BREATH).await;
            None
        }
    }
}

#[cfg(test)]
mod tests;
