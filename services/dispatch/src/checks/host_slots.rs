//! Per-host limit on concurrent checks, so that one provider cannot use every slot, and no host receives more
//! requests than it can bear. Hosts that do not respond share what is left.
//!
//! A "host" here is whatever one party runs: the provider of a URL, or its registrable domain where no
//! provider is known. It is identified by a keyed hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// After this many checks in a row without a response, a host gets one check at a time until it responds.
const SILENT_AFTER: u32 = 3;
/// Maximum hosts without a check in flight whose silence is remembered.
const REMEMBERED: usize = 1000;

/// Checks in flight by host hash. Clones share the counts.
#[derive(Clone)]
pub(super) struct HostSlots {
    by_host: Arc<Mutex<HashMap<i64, HostLoad>>>,
    /// Maximum concurrent checks per host.
    each: u32,
    /// Maximum concurrent checks of all silent hosts together.
    silent: u32,
}

#[derive(Clone, Copy, Default)]
struct HostLoad {
    /// Checks in flight.
    checks: u32,
    /// Checks in a row without a response.
    unanswered: u32,
}

impl HostLoad {
    fn is_silent(self) -> bool {
        self.unanswered >= SILENT_AFTER
    }
}

impl HostSlots {
    pub(super) fn new(each: u32, all: u32) -> Self {
        Self {
            by_host: Arc::default(),
            each: each.max(1),
            silent: (all / 2).max(1),
        }
    }

    /// Takes a slot of this host, or `None` when the host is at its limit.
    pub(super) fn try_occupy(&self, host_hash: i64) -> Option<HostSlotGuard> {
        let mut by_host = self.lock();
        let load = by_host.get(&host_hash).copied().unwrap_or_default();
        if self.is_full(load, checks_of_silent_hosts(&by_host)) {
            return None;
        }
        by_host.entry(host_hash).or_default().checks += 1;
        drop(by_host);
        Some(HostSlotGuard {
            slots: self.clone(),
            host_hash,
            responded: None,
        })
    }

    pub(super) fn total(&self) -> u32 {
        self.lock().values().map(|host| host.checks).sum()
    }

    /// Hosts at their limit.
    pub(super) fn full(&self) -> Vec<i64> {
        let by_host = self.lock();
        let silent = checks_of_silent_hosts(&by_host);
        let full = by_host
            .iter()
            .filter(|(_, load)| self.is_full(**load, silent));
        full.map(|(host_hash, _)| *host_hash).collect()
    }

    fn is_full(&self, load: HostLoad, silent: u32) -> bool {
        if load.is_silent() {
            load.checks > 0 || silent >= self.silent
        } else {
            load.checks >= self.each
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, HostLoad>> {
        // Each change under the lock is complete even if another thread panicked while holding it.
        self.by_host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checks_of_silent_hosts(by_host: &HashMap<i64, HostLoad>) -> u32 {
    let silent = by_host.values().filter(|load| load.is_silent());
    silent.map(|load| load.checks).sum()
}

/// One check in flight; its slot is free again when the guard is dropped.
pub(super) struct HostSlotGuard {
    slots: HostSlots,
    host_hash: i64,
    /// None if the check was aborted.
    responded: Option<bool>,
}

impl HostSlotGuard {
    /// Frees the slot after a completed check.
    pub(super) fn release(mut self, responded: bool) {
        self.responded = Some(responded);
    }
}

impl Drop for HostSlotGuard {
    fn drop(&mut self) {
        let mut by_host = self.slots.lock();
        let Some(load) = by_host.get_mut(&self.host_hash) else {
            return;
        };
        load.checks -= 1;
        match self.responded {
            Some(true) => load.unanswered = 0,
            Some(false) => load.unanswered = load.unanswered.saturating_add(1),
            None => {}
        }
        if load.checks == 0 && load.unanswered == 0 {
            by_host.remove(&self.host_hash);
        } else if by_host.len() > REMEMBERED {
            by_host.retain(|_, load| load.checks > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_host_gets_one_check_at_a_time_until_it_responds() {
        let slots = HostSlots::new(8, 8);
        for _ in 0..SILENT_AFTER {
            slots.try_occupy(1).unwrap().release(false);
        }
        let only = slots.try_occupy(1).unwrap();
        assert!(slots.try_occupy(1).is_none(), "one at a time");
        assert_eq!(slots.full(), [1]);
        only.release(true);
        let many: Vec<HostSlotGuard> = (0..8).map(|_| slots.try_occupy(1).unwrap()).collect();
        assert!(slots.try_occupy(1).is_none());
        drop(many);
        assert_eq!((slots.total(), slots.lock().len()), (0, 0));
    }

    #[test]
    fn silent_hosts_together_use_at_most_half_of_the_slots() {
        let slots = HostSlots::new(8, 8);
        for host in 0..20 {
            for _ in 0..SILENT_AFTER {
                slots.try_occupy(host).unwrap().release(false);
            }
        }
        let in_flight: Vec<HostSlotGuard> =
            (0..20).filter_map(|host| slots.try_occupy(host)).collect();
        assert_eq!(in_flight.len(), 4);
        assert!(slots.try_occupy(100).is_some(), "not known to be silent");
        assert_eq!(slots.full().len(), 20);
    }
}
