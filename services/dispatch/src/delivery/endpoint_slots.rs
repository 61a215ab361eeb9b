//! Attempts in flight from this process, counted by endpoint, so that a hanging provider uses only its own
//! slots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::enums::DeliveryChannel;
use domain::id::{NoticeId, ProviderId};
use uuid::Uuid;

/// Provider and delivery channel.
pub(super) type EndpointKey = (ProviderId, DeliveryChannel);

/// Clones share the counts.
#[derive(Clone, Default)]
pub(super) struct EndpointSlots(Arc<Mutex<InFlight>>);

#[derive(Default)]
struct InFlight {
    by_endpoint: HashMap<EndpointKey, u32>,
    /// Start of each attempt, by notice and lease token.
    leases: HashMap<(Uuid, Uuid), Instant>,
}

impl EndpointSlots {
    /// Takes a slot, which is occupied until the guard is dropped.
    pub(super) fn occupy(
        &self,
        endpoint: EndpointKey,
        notice_id: NoticeId,
        token: Uuid,
    ) -> SlotGuard {
        let mut in_flight = self.lock();
        *in_flight.by_endpoint.entry(endpoint.clone()).or_default() += 1;
        let lease = (notice_id.uuid(), token);
        in_flight.leases.insert(lease, Instant::now());
        drop(in_flight);
        SlotGuard {
            slots: self.clone(),
            endpoint,
            lease,
        }
    }

    /// Attempts in flight by endpoint, for the claim.
    pub(super) fn in_flight(&self) -> Vec<(EndpointKey, u32)> {
        let in_flight = self.lock();
        let counts = in_flight.by_endpoint.iter();
        counts.map(|(endpoint, n)| (endpoint.clone(), *n)).collect()
    }

    pub(super) fn total(&self) -> u32 {
        self.lock().by_endpoint.values().sum()
    }

    /// Leases (notice, token) of the attempts that have been in flight for at least `age`.
    pub(super) fn older_than(&self, age: Duration) -> Vec<(Uuid, Uuid)> {
        let in_flight = self.lock();
        let old = in_flight
            .leases
            .iter()
            .filter(|(_, since)| since.elapsed() >= age);
        old.map(|(lease, _)| *lease).collect()
    }

    fn lock(&self) -> MutexGuard<'_, InFlight> {
        // Each change under the lock is complete even if another thread panicked while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt in flight, until its outcome is recorded.
pub(super) struct SlotGuard {
    slots: EndpointSlots,
    endpoint: EndpointKey,
    lease: (Uuid, Uuid),
}

impl SlotGuard {
    pub(super) fn endpoint(&self) -> &EndpointKey {
        &self.endpoint
    }

    pub(super) fn notice_id(&self) -> NoticeId {
        NoticeId::new(self.lease.0)
    }

    /// Notice and lease token.
    pub(super) fn lease(&self) -> (Uuid, Uuid) {
        self.lease
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let mut in_flight = self.slots.lock();
        in_flight.leases.remove(&self.lease);
        if let Some(count) = in_flight.by_endpoint.get_mut(&self.endpoint) {
            *count -= 1;
            if *count == 0 {
                in_flight.by_endpoint.remove(&self.endpoint);
            }
        }
    }
}
