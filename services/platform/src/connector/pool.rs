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

const IDLE_TIME: Duration = Duration::from_secs(10);
const IDLE_EACH: usize = 32;
const IDLE_ALL: usize = 1024;
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

type Idle = HashMap<(Target, SocketAddr), Vec<(Instant, Live)>>;

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
            let Some(waiting) = idle.get_mut(&key) else {
                continue;
            };
            while let Some((since, live)) = waiting.pop() {
                if since.elapsed() < IDLE_TIME && live.sender.is_ready() {
                    return Some((*address, live));
                }
            }
            idle.remove(&key);
        }
        None
    }

    /// Keeps a connection whose answer was read to its end, unless the other side closes it or there are enough.
    pub(super) async fn keep(&self, target: &Target, address: SocketAddr, mut live: Live) {
        if !matches!(timeout(SETTLE, live.sender.ready()).await, Ok(Ok(()))) {
            return;
        }
        let mut idle = self.lock();
        if idle.values().map(Vec::len).sum::<usize>() >= IDLE_ALL {
            idle.retain(|_, waiting| {
                waiting.retain(|(since, live)| {
                    since.elapsed() < IDLE_TIME && !live.sender.is_closed()
                });
                !waiting.is_empty()
            });
        }
        if idle.values().map(Vec::len).sum::<usize>() < IDLE_ALL {
            let waiting = idle.entry((target.clone(), address)).or_default();
            if waiting.len() < IDLE_EACH {
                waiting.push((Instant::now(), live));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // A panic while it was held leaves at worst fewer idle connections.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
