//! A bell between parts of one process: "there may be something to look at".
//! Must not carry anything: who hears it looks for itself, and who misses it looks a moment later anyway.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Rung after a commit. Clones ring the same bell.
#[derive(Clone)]
pub struct Hint(Arc<watch::Sender<()>>);

impl Default for Hint {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Hint {
    pub fn ring(&self) {
        self.0.send_replace(());
    }

    /// Hears every ring from now on; several rings may be heard as one.
    pub fn listen(&self) -> Ear {
        Ear {
            rings: self.0.subscribe(),
            _bell: self.clone(),
        }
    }
}

/// One listener of a [`Hint`].
pub struct Ear {
    rings: watch::Receiver<()>,
    /// Held so that waiting never ends because the last ringer went away.
    _bell: Hint,
}

impl Ear {
    /// Returns at the next ring (or one that was not yet heard), at the latest after `poll`.
    pub async fn within(&mut self, poll: Duration) {
        // Both ways out mean the same: look again.
        let _ = tokio::time::timeout(poll, self.rings.changed()).await;
    }
}
