//! Reading the replies of intake and dispatch: timestamps, and the error for a reply that is malformed.

use platform::error::{Kind, Problem};
use time::format_description::well_known::Rfc3339;

/// A timestamp in RFC 3339; `None` if it is absent.
pub(crate) fn rfc3339(at: Option<&prost_types::Timestamp>) -> Result<Option<String>, Problem> {
    let Some(at) = at else {
        return Ok(None);
    };
    domain::wire::time("at", at)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .map(Some)
        .ok_or_else(malformed_response)
}

/// A timestamp in RFC 3339 that must be present.
pub(crate) fn rfc3339_required(at: Option<&prost_types::Timestamp>) -> Result<String, Problem> {
    rfc3339(at)?.ok_or_else(malformed_response)
}

/// For a reply of intake or dispatch with an unknown enum value or a missing part. The caller's request is
/// not at fault.
pub(crate) fn malformed_response() -> Problem {
    tracing::error!(
        alarm = "response_malformed",
        "a reply of intake or dispatch is malformed"
    );
    Problem::from_kind(Kind::Internal)
}
