//! Connections kept alive between requests, by target and checked address: a host that has moved, or a map that has
//! changed, never meets an old connection, because every request resolves and checks before it looks here.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::dial::Target;

const IDLE_TIME: Duration = Duration::from_secs(5);
const IDLE_EACH: usize = 32;
/// A TLS session holds some tens of kilobytes.
const IDLE_ALL: usize = 256;
const SWEEP: Duration = Duration::from_secs(1);
/// How long the connection's own task may take to finish an answer that was read to its end.
const SETTLE: Duration = Duration::from_millis(100);

/// An open connection and the task that drives it. Dropping it closes the socket at once.
pub(super) struct Live {
    pub(super) sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Live {
    pub(super) fn new<F>(sender: SendRequest<Full<Bytes>>, connection: F) -> Self
    where
        F: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        // Its error reaches whoever waits for an answer; here there is nobody to tell.
        let task = tokio::spawn(async move { drop(connection.await) });
        Self { sender, task }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct Idle {
    waiting: HashMap<(Target, SocketAddr), Vec<(Instant, Live)>>,
    /// Of all targets.
    count: usize,
    swept: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Idle>,
}

impl Pool {
    /// The newest idle connection to one of the addresses.
    pub(super) fn take(
        &self,
        target: &Target,
        addresses: &[SocketAddr],
    ) -> Option<(SocketAddr, Live)> {
        let mut idle = self.lock();
        for address in addresses {
            let key = (target.clone(), *address);
            while let Some((since, live)) = idle.pop(&key) {
                if since.elapsed() < IDLE_TIME && live.sender.is_ready() {
                    return Some((*address, live));
                }
            }
        }
        None
    }

    /// Keeps a connection whose answer was read to its end, unless the other side closes it or there are enough.
    pub(super) async fn keep(&self, target: &Target, address: SocketAddr, mut live: Live) {
        if !matches!(timeout(SETTLE, live.sender.ready()).await, Ok(Ok(()))) {
            return;
        }
        let mut idle = self.lock();
        idle.sweep();
        if idle.count < IDLE_ALL {
            idle.push((target.clone(), address), live);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // A panic while it was held leaves at worst fewer idle connections.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn pop(&mut self, key: &(Target, SocketAddr)) -> Option<(Instant, Live)> {
        let waiting = self.waiting.get_mut(key)?;
        let newest = waiting.pop();
        if waiting.is_empty() {
            self.waiting.remove(key);
        }
        self.count -= usize::from(newest.is_some());
        newest
    }

    fn push(&mut self, key: (Target, SocketAddr), live: Live) {
        let waiting = self.waiting.entry(key).or_default();
        if waiting.len() < IDLE_EACH {
            waiting.push((Instant::now(), live));
            self.count += 1;
        }
    }

    /// Closes what has waited too long: most hosts are spoken to once, and nobody comes to take their connection.
    fn sweep(&mut self) {
        if self.swept.is_some_and(|at| at.elapsed() < SWEEP) {
            return;
        }
        self.swept = Some(Instant::now());
        self.waiting.retain(|_, waiting| {
            waiting.retain(|(since, live)| since.elapsed() < IDLE_TIME && !live.sender.is_closed());
            !waiting.is_empty()
        });
        self.count = self.waiting.values().map(Vec::len).sum();
    }
}
