//! What is under way from this process, by endpoint: a hanging provider costs its own lane and no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::id::{NoticeId, ProviderId};
use domain::word::DeliveryChannel;
use uuid::Uuid;

/// One endpoint.
pub(super) type Lane = (ProviderId, DeliveryChannel);

/// Clones share what they count.
#[derive(Clone, Default)]
pub(super) struct Lanes(Arc<Mutex<UnderWay>>);

#[derive(Default)]
struct UnderWay {
    by_lane: HashMap<Lane, u32>,
    /// Notice and lease token, and since when.
    leases: HashMap<(Uuid, Uuid), Instant>,
}

impl Lanes {
    /// Counts a message until the ticket is dropped.
    pub(super) fn enter(&self, lane: Lane, notice_id: NoticeId, token: Uuid) -> Ticket {
        let mut under_way = self.lock();
        *under_way.by_lane.entry(lane.clone()).or_default() += 1;
        let lease = (notice_id.uuid(), token);
        under_way.leases.insert(lease, Instant::now());
        drop(under_way);
        Ticket {
            lanes: self.clone(),
            lane,
            lease,
        }
    }

    /// What is under way, for the claim.
    pub(super) fn busy(&self) -> Vec<(Lane, u32)> {
        let under_way = self.lock();
        let counts = under_way.by_lane.iter();
        counts.map(|(lane, n)| (lane.clone(), *n)).collect()
    }

    pub(super) fn total(&self) -> u32 {
        self.lock().by_lane.values().sum()
    }

    /// Leases of what has been under way for so long.
    pub(super) fn older_than(&self, age: Duration) -> Vec<(Uuid, Uuid)> {
        let under_way = self.lock();
        let old = under_way
            .leases
            .iter()
            .filter(|(_, since)| since.elapsed() >= age);
        old.map(|(lease, _)| *lease).collect()
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        // A panic elsewhere leaves whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One message under way, until its outcome is recorded.
pub(super) struct Ticket {
    lanes: Lanes,
    lane: Lane,
    lease: (Uuid, Uuid),
}

impl Ticket {
    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    pub(super) fn notice_id(&self) -> NoticeId {
        NoticeId::new(self.lease.0)
    }

    /// Notice and token.
    pub(super) fn lease(&self) -> (Uuid, Uuid) {
        self.lease
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut under_way = self.lanes.lock();
        under_way.leases.remove(&self.lease);
        if let Some(count) = under_way.by_lane.get_mut(&self.lane) {
            *count -= 1;
            if *count == 0 {
                under_way.by_lane.remove(&self.lane);
            }
        }
    }
}
