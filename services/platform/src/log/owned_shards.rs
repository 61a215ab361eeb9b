//! The shards that a relay believes it owns, shared by position assignment and publishing. Every write is
//! still guarded by the owner and epoch in the shard's row.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::shards::ShardEpochs;

#[derive(Default)]
pub(super) struct OwnedShards(Mutex<Ownership>);

#[derive(Default)]
struct Ownership {
    shards: ShardEpochs,
    renew_at: Option<Instant>,
}

impl OwnedShards {
    pub(super) fn shards(&self) -> ShardEpochs {
        self.lock().shards.clone()
    }

    pub(super) fn renewal_is_due(&self) -> bool {
        self.lock().renew_at.is_none_or(|at| Instant::now() >= at)
    }

    /// Replaces the owned shards after a renewal; the next one is due after `renew_in`.
    pub(super) fn set(&self, shards: ShardEpochs, renew_in: Duration) {
        *self.lock() = Ownership {
            shards,
            renew_at: Some(Instant::now() + renew_in),
        };
    }

    /// Removes shards that another relay has taken over.
    pub(super) fn remove(&self, shards: &[i16]) {
        self.lock()
            .shards
            .retain(|shard, _| !shards.contains(shard));
    }

    fn lock(&self) -> MutexGuard<'_, Ownership> {
        // No code can panic between lock and unlock, so a poisoned lock still guards complete data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
