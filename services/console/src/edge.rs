//! What all requests share: connections to the services, tokens, the dashboard, and the limits on concurrent work.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::dashboard::DashboardCache;
use crate::tokens::TokenCache;
use crate::{Config, Deps};

#[derive(Clone)]
pub(crate) struct Edge(Arc<ConsoleState>);

pub(crate) struct ConsoleState {
    pub(crate) deps: Deps,
    pub(crate) tokens: TokenCache,
    pub(crate) dashboard: DashboardCache,
    pub(crate) in_flight: Semaphore,
    pub(crate) streams: Arc<Semaphore>,
    /// Cookies are sent over TLS only.
    pub(crate) is_secure: bool,
    pub(crate) shutdown: CancellationToken,
}

impl Edge {
    pub(crate) fn new(deps: Deps, is_loopback: bool, shutdown: CancellationToken) -> Self {
        Self(Arc::new(ConsoleState {
            tokens: TokenCache::default(),
            dashboard: DashboardCache::default(),
            in_flight: Semaphore::new(deps.config.in_flight),
            streams: Arc::new(Semaphore::new(deps.config.streams)),
            is_secure: deps.config.secure_cookie.unwrap_or(!is_loopback),
            shutdown,
            deps,
        }))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.deps.config
    }
}

impl std::ops::Deref for Edge {
    type Target = ConsoleState;

    fn deref(&self) -> &ConsoleState {
        &self.0
    }
}
