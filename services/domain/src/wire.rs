//! Conversions between protobuf types and domain types.

use proto::v1;
use time::OffsetDateTime;

use crate::Invalid;

/// The protobuf form of a time.
pub fn timestamp(at: OffsetDateTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.unix_timestamp(),
        nanos: at.nanosecond().cast_signed(),
    }
}

/// Parses a time between the years 1970 and 2200.
///
/// # Errors
/// `time_malformed`.
pub fn time(field: &str, at: &prost_types::Timestamp) -> Result<OffsetDateTime, Invalid> {
    let malformed = || {
        Invalid::new(
            "time_malformed",
            field,
            format!("`{field}` is not a time; send RFC 3339, for example 2026-03-01T12:00:00Z"),
        )
    };
    let nanos = u32::try_from(at.nanos)
        .ok()
        .filter(|n| *n < 1_000_000_000)
        .ok_or_else(malformed)?;
    let whole = OffsetDateTime::from_unix_timestamp(at.seconds).map_err(|_| malformed())?;
    // Other years are typing errors, and Postgres and JSON readers disagree about them.
    let at = whole
        .replace_nanosecond(nanos)
        .ok()
        .filter(|at| (1970..=2200).contains(&at.year()))
        .ok_or_else(malformed)?;
    Ok(at)
}

/// As [`time`], for a required field.
///
/// # Errors
/// `field_missing` or `time_malformed`.
pub fn required_time(
    field: &str,
    at: Option<&prost_types::Timestamp>,
) -> Result<OffsetDateTime, Invalid> {
    time(field, at.ok_or_else(|| Invalid::missing(field))?)
}

impl From<Invalid> for v1::ItemProblem {
    fn from(invalid: Invalid) -> Self {
        Self {
            code: invalid.code.to_owned(),
            detail: invalid.detail,
            field: invalid.field,
        }
    }
}
