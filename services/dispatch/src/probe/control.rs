//! Whether the machine's resolver can be believed when it says that a name does not exist.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one good look-up vouches for the resolver.
const VOUCHED: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(5);

/// A name that always has an address, and when it was last seen to have one.
pub(super) struct Control {
    name: Option<String>,
    seen: Mutex<Option<Instant>>,
}

impl Control {
    pub(super) fn new(name: Option<String>) -> Self {
        Self {
            name,
            seen: Mutex::default(),
        }
    }

    /// Looks the name up, unless that was just done. Without a name nothing is believed.
    pub(super) async fn holds(&self) -> bool {
        let Some(name) = &self.name else {
            return false;
        };
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_some_and(|seen| seen.elapsed() < VOUCHED) {
            return true;
        }
        let lookup = tokio::net::lookup_host((name.as_str(), 0));
        let looked_up = tokio::time::timeout(LIMIT, lookup).await;
        let found =
            looked_up.is_ok_and(|found| found.is_ok_and(|mut found| found.next().is_some()));
        let seen = found.then(Instant::now);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_vouches_but_a_name_that_is_found() {
        assert!(!Control::new(None).holds().await);
        assert!(!Control::new(Some("nothing.invalid".into())).holds().await);
        let control = Control::new(Some("localhost".into()));
        assert!(control.holds().await);
        assert!(control.seen.lock().unwrap().is_some());
    }
}
