//! Which messages of a locked case are to be delivered, and which pending deliveries are dropped.

use std::collections::BTreeSet;

use super::notices::NoticeIdx;

/// The deliveries that a batch plans for one case. A notice is enqueued or cancelled, never both: the last
/// request counts.
#[derive(Default)]
pub(in crate::cases::commands) struct DeliveryPlan {
    enqueued: BTreeSet<NoticeIdx>,
    cancelled: BTreeSet<NoticeIdx>,
    relisted: BTreeSet<NoticeIdx>,
}

impl DeliveryPlan {
    /// The notice's newest message is to be delivered, and the notice goes to the end of its provider's listing.
    pub(super) fn enqueue(&mut self, n: NoticeIdx) {
        self.cancelled.remove(&n);
        self.enqueued.insert(n);
        self.relisted.insert(n);
    }

    /// The notice's pending delivery is dropped. It keeps its new place in the listing.
    pub(super) fn cancel(&mut self, n: NoticeIdx) {
        self.enqueued.remove(&n);
        self.cancelled.insert(n);
    }

    pub(in crate::cases::commands) fn enqueued(&self) -> impl Iterator<Item = NoticeIdx> + '_ {
        self.enqueued.iter().copied()
    }

    pub(in crate::cases::commands) fn cancelled(&self) -> impl Iterator<Item = NoticeIdx> + '_ {
        self.cancelled.iter().copied()
    }

    /// Notices that get a new position in their provider's listing.
    pub(in crate::cases::commands) fn relisted(&self) -> impl Iterator<Item = NoticeIdx> + '_ {
        self.relisted.iter().copied()
    }
}
