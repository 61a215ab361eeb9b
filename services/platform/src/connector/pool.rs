//! Idle connections, by target and checked address. Every request resolves and checks its host first, so a
//! host that has moved, or a changed map, never reuses an old connection.

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

use super::target::RequestTarget;

/// How long an idle connection is kept.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// Largest number of idle connections for one target and address.
const MAX_IDLE_PER_TARGET: usize = 32;
/// Largest number of idle connections. A TLS session uses tens of kilobytes.
const MAX_IDLE: usize = 256;
/// Shortest time between two sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long the task of a connection may take to become ready after its response was read.
const READY_TIMEOUT: Duration = Duration::from_millis(100);

/// An open connection and the task that drives it. Dropping it closes the socket at once.
pub(super) struct OpenConnection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl OpenConnection {
    pub(super) fn new<F>(sender: SendRequest<Full<Bytes>>, driver: F) -> Self
    where
        F: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        // The caller that waits for the response receives the error.
        let task = tokio::spawn(async move { drop(driver.await) });
        Self { sender, task }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct IdleConnections {
    waiting: HashMap<(RequestTarget, SocketAddr), Vec<(Instant, OpenConnection)>>,
    /// Number of connections of all targets.
    count: usize,
    swept: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<IdleConnections>,
}

impl Pool {
    /// Removes and returns the newest idle connection to one of the addresses.
    pub(super) fn take_idle(
        &self,
        target: &RequestTarget,
        addresses: &[SocketAddr],
    ) -> Option<(SocketAddr, OpenConnection)> {
        let mut idle = self.lock();
        for address in addresses {
            let key = (target.clone(), *address);
            while let Some((since, connection)) = idle.pop(&key) {
                if since.elapsed() < IDLE_TIME && connection.sender.is_ready() {
                    return Some((*address, connection));
                }
            }
        }
        None
    }

    /// Stores a connection whose response was read, unless the host closes it or the pool is full.
    pub(super) async fn store_idle(
        &self,
        target: &RequestTarget,
        address: SocketAddr,
        mut connection: OpenConnection,
    ) {
        if !matches!(
            timeout(READY_TIMEOUT, connection.sender.ready()).await,
            Ok(Ok(()))
        ) {
            return;
        }
        let mut idle = self.lock();
        idle.sweep();
        if idle.count < MAX_IDLE {
            idle.push((target.clone(), address), connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, IdleConnections> {
        // A panic while the lock was held leaves at worst fewer idle connections.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IdleConnections {
    fn pop(&mut self, key: &(RequestTarget, SocketAddr)) -> Option<(Instant, OpenConnection)> {
        let waiting = self.waiting.get_mut(key)?;
        let newest = waiting.pop();
        if waiting.is_empty() {
            self.waiting.remove(key);
        }
        self.count -= usize::from(newest.is_some());
        newest
    }

    fn push(&mut self, key: (RequestTarget, SocketAddr), connection: OpenConnection) {
        let waiting = self.waiting.entry(key).or_default();
        if waiting.len() < MAX_IDLE_PER_TARGET {
            waiting.push((Instant::now(), connection));
            self.count += 1;
        }
    }

    /// Closes expired connections: most hosts receive one request, so their connection is never reused.
    fn sweep(&mut self) {
        if self.swept.is_some_and(|at| at.elapsed() < SWEEP_INTERVAL) {
            return;
        }
        self.swept = Some(Instant::now());
        self.waiting.retain(|_, waiting| {
            waiting.retain(|(since, connection)| {
                since.elapsed() < IDLE_TIME && !connection.sender.is_closed()
            });
            !waiting.is_empty()
        });
        self.count = self.waiting.values().map(Vec::len).sum();
    }
}
