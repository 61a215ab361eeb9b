//! Limits on event streams open at a time: in total and per credential, so that one caller cannot use all of
//! them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::caller::Credential;

/// Clones share their counters.
#[derive(Clone)]
pub(crate) struct StreamSlots(Arc<SlotsState>);

struct SlotsState {
    max_total: usize,
    max_per_credential: usize,
    hasher: RandomState,
    open: Mutex<OpenStreams>,
}

#[derive(Default)]
struct OpenStreams {
    total: usize,
    /// By a hash of the credential with a secret of this process.
    per_credential: HashMap<u64, usize>,
}

impl StreamSlots {
    pub(crate) fn new(max_total: usize, max_per_credential: usize) -> Self {
        Self(Arc::new(SlotsState {
            max_total,
            max_per_credential,
            hasher: RandomState::new(),
            open: Mutex::default(),
        }))
    }

    /// Reserves a slot for one stream of this caller, freed on drop; `None` if a limit is reached.
    pub(crate) fn reserve(&self, credential: &Credential) -> Option<StreamSlot> {
        let key = self.0.hasher.hash_one(credential.as_bytes());
        let mut open = self.lock();
        let own = open.per_credential.get(&key).copied().unwrap_or_default();
        if open.total >= self.0.max_total || own >= self.0.max_per_credential {
            return None;
        }
        open.total += 1;
        open.per_credential.insert(key, own + 1);
        drop(open);
        Some(StreamSlot {
            slots: self.clone(),
            key,
        })
    }

    fn lock(&self) -> MutexGuard<'_, OpenStreams> {
        // A poisoned lock is harmless: a panic cannot leave the counters half written.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct StreamSlot {
    slots: StreamSlots,
    key: u64,
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self.slots.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(own) = open.per_credential.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                open.per_credential.remove(&self.key);
            }
        }
    }
}
