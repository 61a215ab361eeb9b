//! Conversions between protobuf types and domain types.

use proto::v1;
use time::{Duration, OffsetDateTime};

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

/// The protobuf form of a duration.
pub fn duration(length: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: length.whole_seconds(),
        nanos: length.subsec_nanoseconds(),
    }
}

/// Parses a duration.
///
/// # Errors
/// `duration_malformed` if the nanoseconds are a second or more, or have another sign than the seconds.
pub fn parse_duration(field: &str, length: &prost_types::Duration) -> Result<Duration, Invalid> {
    let nanos = Duration::nanoseconds(length.nanos.into());
    let parsed = Duration::seconds(length.seconds).saturating_add(nanos);
    if duration(parsed) == *length {
        return Ok(parsed);
    }
    Err(Invalid::new(
        "duration_malformed",
        field,
        format!("`{field}` is not a duration; send its seconds, and nanoseconds of the same sign"),
    ))
}

/// The seconds of a duration, for people; 0 if it is absent.
pub fn seconds(length: Option<&prost_types::Duration>) -> f64 {
    length.map_or(0.0, |length| {
        length.seconds as f64 + f64::from(length.nanos) / 1e9
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_one_form() {
        for millis in [0, 1, 999, 1_500, -1_500, 604_800_000] {
            let length = Duration::milliseconds(millis);
            assert_eq!(parse_duration("overlap", &duration(length)), Ok(length));
        }
        for (seconds, nanos) in [(1, -1), (-1, 1), (0, 1_000_000_000), (i64::MAX, i32::MAX)] {
            let malformed = prost_types::Duration { seconds, nanos };
            let refused = parse_duration("overlap", &malformed).unwrap_err();
            assert_eq!(refused.code, "duration_malformed", "{seconds} {nanos}");
        }
        assert!((seconds(Some(&duration(Duration::milliseconds(1_500)))) - 1.5).abs() < 1e-9);
    }
}
