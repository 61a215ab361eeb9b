//! Errors: the only path from any failure to a gRPC status, a problem document or a retry.
//!
//! Each service's error enum converts into a [`Problem`], and nothing else decides what callers see. A
//! problem never contains a URL, a hash, a body or SQL text: its detail is a fixed sentence that says what
//! to do instead, and its code is stable, so that programs may branch on it.

mod database;
mod status;

use std::borrow::Cow;
use std::time::Duration;

use tonic::Code;

pub(crate) use status::status;

/// The kind of failure, as far as the caller's next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request can never succeed as it is.
    Invalid,
    /// It does not exist, or the caller has no access: the two are indistinguishable.
    NotFound,
    /// No credential, or an invalid one.
    Unauthenticated,
    /// A valid credential without this permission.
    Forbidden,
    /// It conflicts with what is already recorded (an idempotency key with another body).
    Conflict,
    /// Not possible in this state; may be possible later or after another step.
    FailedPrecondition,
    /// A quota or a bounded queue is full.
    Exhausted,
    /// A transient condition; the same request may be repeated.
    Unavailable,
    /// A fault on our side.
    Internal,
}

impl Kind {
    pub fn grpc(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::PermissionDenied,
            Self::Conflict => Code::AlreadyExists,
            Self::FailedPrecondition => Code::FailedPrecondition,
            Self::Exhausted => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    fn from_grpc(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid,
            Code::NotFound => Self::NotFound,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::Forbidden,
            Code::AlreadyExists | Code::Aborted => Self::Conflict,
            Code::FailedPrecondition => Self::FailedPrecondition,
            Code::ResourceExhausted => Self::Exhausted,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Self::Unavailable,
            Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
                Self::Internal
            }
        }
    }

    /// The code of a problem without a more specific one.
    fn default_code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::FailedPrecondition => "failed_precondition",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The detail of a problem without a more specific one.
    fn default_detail(self) -> &'static str {
        match self {
            Self::Invalid => "The request is invalid; check it against the API description.",
            Self::NotFound => "Not found, or you have no access to it; check the id.",
            Self::Unauthenticated => "Send a valid credential in the authorization header.",
            Self::Forbidden => {
                "Your credential does not include this permission; ask the hotline for it."
            }
            Self::Conflict => {
                "This conflicts with what is already recorded; read it and try again."
            }
            Self::FailedPrecondition => "This is not possible in the current state; read it again.",
            Self::Exhausted => {
                "Too many requests at once; send the same request again a little later."
            }
            Self::Unavailable => "Temporarily unavailable; send the same request again.",
            Self::Internal => "An internal error occurred; nothing you sent is at fault.",
        }
    }
}

/// A failure as callers may see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({code})")]
pub struct Problem {
    pub kind: Kind,
    /// Stable, in snake case.
    pub code: Cow<'static, str>,
    /// A sentence that a person can act on.
    pub detail: String,
    /// The path of the field at fault, such as `reports[3].url`.
    pub field: Option<String>,
    pub retry_after: Option<Duration>,
}

impl Problem {
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            detail: detail.into(),
            field: None,
            retry_after: None,
        }
    }

    /// A problem with the default code and detail of its kind.
    pub fn from_kind(kind: Kind) -> Self {
        Self::new(kind, kind.default_code(), kind.default_detail())
    }

    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.field = Some(path.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Whether the same request may succeed when it is sent again.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Exhausted | Kind::Unavailable)
    }
}

/// Whole seconds, rounded up, so that a caller that waits this long is never early.
pub(crate) fn seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}

/// An error with all its causes on one line, for an operator's terminal. Not for callers.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_round_trips_through_its_grpc_code() {
        for kind in [
            Kind::Invalid,
            Kind::NotFound,
            Kind::Unauthenticated,
            Kind::Forbidden,
            Kind::Conflict,
            Kind::FailedPrecondition,
            Kind::Exhausted,
            Kind::Unavailable,
            Kind::Internal,
        ] {
            assert_eq!(Kind::from_grpc(kind.grpc()), kind);
        }
    }
}
