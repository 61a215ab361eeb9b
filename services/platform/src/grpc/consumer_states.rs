//! Which consumers of a process run, and which have stopped for good.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether each consumer runs, by role and producer. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ConsumerStates(Arc<Mutex<States>>);

/// By role and producer: whether the consumer runs.
type States = BTreeMap<(&'static str, &'static str), bool>;

impl ConsumerStates {
    pub(crate) fn set_running(&self, role: &'static str, producer: &'static str) {
        self.lock().insert((role, producer), true);
    }

    pub(crate) fn set_stopped(&self, role: &'static str, producer: &'static str) {
        self.lock().insert((role, producer), false);
    }

    /// The producers that a role consumes, each with whether its consumer runs.
    pub fn of_role(&self, role: &str) -> Vec<(&'static str, bool)> {
        let states = self.lock();
        let of_role = states.iter().filter(|((name, _), _)| *name == role);
        of_role
            .map(|((_, producer), runs)| (*producer, *runs))
            .collect()
    }

    /// The consumers that have stopped, as (role, producer).
    pub fn stopped(&self) -> Vec<(&'static str, &'static str)> {
        let states = self.lock();
        let stopped = states.iter().filter(|(_, runs)| !**runs);
        stopped.map(|(consumer, _)| *consumer).collect()
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        // Each entry is written whole, so a panic elsewhere leaves nothing half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
