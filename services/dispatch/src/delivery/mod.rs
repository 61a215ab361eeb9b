//! Handing messages over: what is to be sent lies in rows; a courier claims it, sends it, and records what came of it.
//!
//! Nothing leaves the process between begin and commit. An outcome that is not known is sent again under the same id.
//! Must not decide what a message is or who gets it: that is the commands', which put rows here and take them away.

mod claim;
mod courier;
mod lanes;
mod queue;
mod record;
mod store;

use std::time::Duration;

use serde::Deserialize;

use crate::breaker::Breaker;
use crate::retry::Retry;

pub use courier::{Courier, Parts};
pub use queue::{NewDelivery, Pending, attempts, cancel, enqueue, pending};

/// How a courier works.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverySettings {
    /// Messages on their way to one endpoint at once.
    pub each: u32,
    /// Messages on their way at once.
    pub all: u32,
    /// Messages claimed at once.
    pub batch: u32,
    /// For one attempt, seconds.
    pub timeout_seconds: u64,
    /// Looked for work at least so often, milliseconds; it is also told when there is some.
    pub poll_millis: u64,
    pub retry: Retry,
    pub breaker: Breaker,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            each: 32,
            all: 2048,
            batch: 256,
            timeout_seconds: 10,
            poll_millis: 200,
            retry: Retry::default(),
            breaker: Breaker::default(),
        }
    }
}

impl DeliverySettings {
    /// For one attempt.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.max(1))
    }
}
