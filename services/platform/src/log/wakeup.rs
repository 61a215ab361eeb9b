//! In-process wake-up: tells a loop to poll now instead of at its next tick. It carries no data, and a missed
//! one only adds delay.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Sender of a wake-up, notified after a commit. Clones share the same listeners.
#[derive(Clone)]
pub struct Wakeup(Arc<watch::Sender<()>>);

impl Default for Wakeup {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Wakeup {
    pub fn notify(&self) {
        self.0.send_replace(());
    }

    /// Receives every notification from now on; several may arrive as one.
    pub fn listen(&self) -> WakeupListener {
        WakeupListener {
            notifications: self.0.subscribe(),
            _sender: self.clone(),
        }
    }
}

/// A listener of a [`Wakeup`].
pub struct WakeupListener {
    notifications: watch::Receiver<()>,
    /// Keeps a sender alive, so that waiting does not end because the last sender was dropped.
    _sender: Wakeup,
}

impl WakeupListener {
    /// Returns at the next notification (or at one not yet received), at the latest after `poll`.
    pub async fn within(&mut self, poll: Duration) {
        // Notified or timed out: the caller polls either way.
        let _ = tokio::time::timeout(poll, self.notifications.changed()).await;
    }
}

/// The wake-ups of the logs that a process shares: that of a producer is notified when its log has new positions.
/// Without them a consumer polls at its next tick, some milliseconds later.
#[derive(Clone, Default)]
pub struct LogWakeups(Arc<Mutex<BTreeMap<&'static str, Wakeup>>>);

impl LogWakeups {
    /// The wake-up of this producer's log.
    pub fn get(&self, producer: &'static str) -> Wakeup {
        let mut wakeups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wakeups.entry(producer).or_default().clone()
    }
}
