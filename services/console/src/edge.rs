//! What every request shares: channels to the owners, tokens, the board, and the bounds on work.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::board::Latest;
use crate::tokens::Tokens;
use crate::{Config, Deps};

#[derive(Clone)]
pub(crate) struct Edge(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) deps: Deps,
    pub(crate) tokens: Tokens,
    pub(crate) board: Latest,
    pub(crate) in_flight: Semaphore,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) secure: bool,
    pub(crate) shutdown: CancellationToken,
}

impl Edge {
    pub(crate) fn new(deps: Deps, loopback: bool, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            tokens: Tokens::default(),
            board: Latest::default(),
            in_flight: Semaphore::new(deps.config.in_flight),
            streams: Arc::new(Semaphore::new(deps.config.streams)),
            secure: deps.config.secure_cookie.unwrap_or(!loopback),
            shutdown,
            deps,
        }))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.deps.config
    }
}

impl std::ops::Deref for Edge {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
