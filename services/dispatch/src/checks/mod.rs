//! Checks whether a URL is still online: content-blind HTTP requests for URLs under removal or under watch.
//!
//! Requests headers only, follows no redirect, and reads, stores and forwards no byte of a body. Must not
//! draw conclusions: the commands decide what several checks mean together.

mod host_slots;
mod http_check;
mod queue;
mod resolver_check;
mod worker;

use std::time::Duration;

use serde::Deserialize;

pub(crate) use queue::{cancel, schedule};
pub use worker::CheckWorker;

/// Settings of the check worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckSettings {
    /// Maximum concurrent checks per provider, or per registrable domain where no provider is known.
    pub each: u32,
    /// Maximum concurrent checks in total.
    pub all: u32,
    /// Maximum cases claimed in one transaction.
    pub batch: u32,
    /// Timeout of one request, in seconds.
    pub timeout_seconds: u64,
    /// Interval of polls for due checks, in milliseconds.
    pub poll_millis: u64,
    /// A name that always resolves, best with a trailing dot. A host whose name does not exist counts as
    /// offline only while this name resolves; without it never, because a disconnected resolver finds no name
    /// at all.
    pub control_name: Option<String>,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            each: 32,
            all: 256,
            batch: 500,
            timeout_seconds: 10,
            poll_millis: 200,
            control_name: None,
        }
    }
}

impl CheckSettings {
    /// Timeout of one request, at least one second.
    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.max(1))
    }
}
