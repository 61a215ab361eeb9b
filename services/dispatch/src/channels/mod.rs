//! The ways in which a notice leaves: one attempt each, and what is known after it.
//! Must not decide when to try again, and must not write anything anywhere.

pub mod mail;
pub mod webhook;
mod xarf;

use std::time::Duration;

pub use mail::{Mail, MailSettings, Parcel, Place};
pub use webhook::Webhook;

/// What one attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it.
    Delivered,
    /// This channel is over for this provider. Stable: `gone`, `mailbox_unavailable`.
    Unreachable(&'static str),
    Failed(Failure),
}

/// An attempt that is to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Stable, for records and metrics.
    pub code: &'static str,
    /// The other side asked for so much quiet.
    pub retry_after: Option<Duration>,
    /// It may have arrived all the same.
    pub in_doubt: bool,
    /// The provider's endpoint is at fault, not something of ours.
    pub endpoint: bool,
}

impl Outcome {
    /// Why it was not delivered; a stable code.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Delivered => None,
            Self::Unreachable(code) => Some(code),
            Self::Failed(failure) => Some(failure.code),
        }
    }
}

impl Failure {
    /// The provider's endpoint did not take it.
    pub fn of_endpoint(code: &'static str, in_doubt: bool) -> Self {
        Self {
            code,
            retry_after: None,
            in_doubt,
            endpoint: true,
        }
    }

    /// The provider's endpoint is not at fault; the message did not leave.
    pub fn ours(code: &'static str) -> Self {
        Self {
            code,
            retry_after: None,
            in_doubt: false,
            endpoint: false,
        }
    }
}
