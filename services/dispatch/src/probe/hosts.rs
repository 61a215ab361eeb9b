//! Looks under way by host: one host never takes every turn, and is never asked by us more than it can bear.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts by lane (a keyed hash of the host). Clones share them.
#[derive(Clone)]
pub(super) struct Hosts {
    counts: Arc<Mutex<HashMap<i64, u32>>>,
    /// At one host at once.
    each: u32,
}

impl Hosts {
    pub(super) fn new(each: u32) -> Self {
        Self {
            counts: Arc::default(),
            each: each.max(1),
        }
    }

    /// Takes a place at a host, where it has one.
    pub(super) fn enter(&self, lane: i64) -> Option<Place> {
        let mut counts = self.lock();
        let count = counts.entry(lane).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place {
            hosts: self.clone(),
            lane,
        })
    }

    pub(super) fn total(&self) -> u32 {
        self.lock().values().sum()
    }

    /// Hosts at their bound.
    pub(super) fn full(&self) -> Vec<i64> {
        let counts = self.lock();
        let full = counts.iter().filter(|(_, n)| **n >= self.each);
        full.map(|(lane, _)| *lane).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, u32>> {
        // A panic elsewhere leaves whole numbers behind.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One look under way at a host, until it is dropped.
pub(super) struct Place {
    hosts: Hosts,
    lane: i64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.hosts.lock();
        if let Some(count) = counts.get_mut(&self.lane) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.lane);
            }
        }
    }
}
