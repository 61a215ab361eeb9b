//! Delivery of messages: each one waits as a row; a worker claims it, sends it and records the outcome.
//!
//! Nothing leaves the process between begin and commit. A message whose outcome is unknown is sent again
//! under the same id. Must not decide what a message contains or who receives it: the commands insert and
//! remove the rows.

mod breaker;
mod channels;
mod checkpoint;
mod claim;
pub mod document;
mod endpoint_slots;
mod grpc;
pub mod link;
mod queue;
mod record;
mod retry;
pub mod return_address;
mod store;
mod worker;

use std::time::Duration;

use serde::Deserialize;

use breaker::Breaker;
use retry::RetryPolicy;

pub(crate) use channels::DeliveryOutcome;
pub use channels::mail::TlsMode;
pub(crate) use channels::webhook::WebhookTarget;
pub use channels::{MailSender, MailSettings, WebhookSender};
pub use checkpoint::LatestCheckpoint;
pub(crate) use grpc::delivery_to_proto;
pub(crate) use queue::{NewDelivery, PendingDelivery, attempts, cancel, enqueue, pending};
pub use store::{AttemptQuery, list_attempts};
pub(crate) use store::{AttemptRecord, count_test_deliveries, drop_attempts, insert_attempts};
pub use worker::{DeliveryDeps, DeliveryWorker};

/// Settings of the delivery worker.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverySettings {
    /// Maximum concurrent attempts per endpoint.
    pub each: u32,
    /// Maximum concurrent attempts in total.
    pub all: u32,
    /// Maximum messages claimed in one transaction.
    pub batch: u32,
    /// Timeout of one attempt, in seconds.
    pub timeout_seconds: u64,
    /// Longest wait between two polls for due messages, in milliseconds; a wake-up shortens it.
    pub poll_millis: u64,
    pub retry: RetryPolicy,
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
            retry: RetryPolicy::default(),
            breaker: Breaker::default(),
        }
    }
}

impl DeliverySettings {
    /// Timeout of one attempt, at least one second.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.max(1))
    }
}
