//! What a relay believes to hold, shared by stamping and publishing; the shard rows decide.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::shards::Held;

#[derive(Default)]
pub(super) struct Shared(Mutex<Holding>);

#[derive(Default)]
struct Holding {
    shards: Held,
    renew_at: Option<Instant>,
}

impl Shared {
    pub(super) fn shards(&self) -> Held {
        self.lock().shards.clone()
    }

    pub(super) fn renewal_is_due(&self) -> bool {
        self.lock().renew_at.is_none_or(|at| Instant::now() >= at)
    }

    pub(super) fn renewed(&self, shards: Held, again_in: Duration) {
        *self.lock() = Holding {
            shards,
            renew_at: Some(Instant::now() + again_in),
        };
    }

    pub(super) fn forget(&self, shards: &[i16]) {
        self.lock()
            .shards
            .retain(|shard, _| !shards.contains(shard));
    }

    fn lock(&self) -> MutexGuard<'_, Holding> {
        // Nothing between lock and unlock can panic half-way, so a poisoned lock still guards whole data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
