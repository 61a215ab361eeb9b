//! The delivery channels that push messages (webhook, mail): each makes one attempt and returns its outcome.
//! Must not decide on retries, and must not store anything.

pub mod mail;
pub mod webhook;
mod xarf;

use std::time::Duration;

pub use mail::{HostLookup, MailSender, MailSettings, OutgoingMail};
pub use webhook::WebhookSender;

/// Outcome of one delivery attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver accepted the message.
    Delivered,
    /// The provider cannot be reached by this channel any more. Stable codes: `gone`, `mailbox_unavailable`.
    Unreachable(&'static str),
    Failed(Failure),
}

/// A failed attempt that will be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Stable code, for records and metrics.
    pub code: &'static str,
    /// The delay that the receiver asked for (Retry-After).
    pub retry_after: Option<Duration>,
    /// The message may have arrived nevertheless.
    pub in_doubt: bool,
    /// The failure counts against the provider's endpoint.
    pub endpoint_fault: bool,
}

impl DeliveryOutcome {
    /// Stable code of why the message was not delivered.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Delivered => None,
            Self::Unreachable(code) => Some(code),
            Self::Failed(failure) => Some(failure.code),
        }
    }
}

impl Failure {
    /// The provider's endpoint failed.
    pub fn endpoint_fault(code: &'static str, in_doubt: bool) -> Self {
        Self {
            code,
            retry_after: None,
            in_doubt,
            endpoint_fault: true,
        }
    }

    /// The message was not sent, for a reason that does not count against the provider's endpoint.
    pub fn not_endpoint(code: &'static str) -> Self {
        Self {
            code,
            retry_after: None,
            in_doubt: false,
            endpoint_fault: false,
        }
    }
}
