//! Whether the machine's resolver can be trusted when it reports that a name does not exist.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one successful lookup proves that the resolver works.
const VALID_FOR: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(5);

/// The control name (one that always resolves), and when it last did.
pub(super) struct ResolverCheck {
    control_name: Option<String>,
    last_success: Mutex<Option<Instant>>,
}

impl ResolverCheck {
    pub(super) fn new(control_name: Option<String>) -> Self {
        Self {
            control_name,
            last_success: Mutex::default(),
        }
    }

    /// Resolves the control name, unless it just resolved. Without a control name the resolver is never
    /// trusted.
    pub(super) async fn is_trusted(&self) -> bool {
        let Some(name) = &self.control_name else {
            return false;
        };
        let last = *self.lock();
        if last.is_some_and(|at| at.elapsed() < VALID_FOR) {
            return true;
        }
        let lookup = tokio::net::lookup_host((name.as_str(), 0));
        let result = tokio::time::timeout(TIMEOUT, lookup).await;
        let resolved =
            result.is_ok_and(|found| found.is_ok_and(|mut found| found.next().is_some()));
        *self.lock() = resolved.then(Instant::now);
        resolved
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.last_success
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_resolver_is_trusted_only_while_the_control_name_resolves() {
        assert!(!ResolverCheck::new(None).is_trusted().await);
        let unknown = ResolverCheck::new(Some("nothing.invalid".into()));
        assert!(!unknown.is_trusted().await);
        let known = ResolverCheck::new(Some("localhost".into()));
        assert!(known.is_trusted().await);
        assert!(known.last_success.lock().unwrap().is_some());
    }
}
