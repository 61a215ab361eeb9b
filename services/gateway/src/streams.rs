//! Streams that are open at once: so many in all, and so many for one credential, so that no caller takes the room of all.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::caller::Credential;

/// Clones share what they count.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Inner>);

struct Inner {
    all: usize,
    each: usize,
    hasher: RandomState,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    /// By a hash with a secret of this process.
    each: HashMap<u64, usize>,
}

impl Streams {
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self(Arc::new(Inner {
            all,
            each,
            hasher: RandomState::new(),
            open: Mutex::default(),
        }))
    }

    /// A place for one more stream of this caller, until it is dropped.
    pub(crate) fn take(&self, credential: &Credential) -> Option<Place> {
        let key = self.0.hasher.hash_one(credential.as_bytes());
        let mut open = self.lock();
        let own = open.each.get(&key).copied().unwrap_or_default();
        if open.all >= self.0.all || own >= self.0.each {
            return None;
        }
        open.all += 1;
        open.each.insert(key, own + 1);
        drop(open);
        Some(Place {
            streams: self.clone(),
            key,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Numbers are whole after a panic elsewhere.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Place {
    streams: Streams,
    key: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(own) = open.each.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                open.each.remove(&self.key);
            }
        }
    }
}
