//! Reads JSON bodies, queries, forms and path segments. Refusals name the field and never repeat its value.

mod body;
mod fields;
mod json;
mod partial;

pub(crate) use body::{Form, Json, JsonWithDigest};
pub(crate) use fields::{Fields, NoQuery, Query, Segment};
pub(crate) use json::{element, external_id};
pub(crate) use partial::PartialList;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Invalid;
use serde::de::Unexpected;
use serde::{Deserialize as _, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

const EARLIEST: OffsetDateTime = datetime!(1970-01-01 0:00 UTC);
const LATEST: OffsetDateTime = datetime!(2200-12-31 0:00 UTC);

/// Parses a time in RFC 3339.
pub(crate) fn time(field: &str, text: &str) -> Result<prost_types::Timestamp, Invalid> {
    let at = OffsetDateTime::parse(text.trim(), &Rfc3339).map_err(|_| {
        Invalid::new(
            "time_malformed",
            field,
            format!("`{field}` is not a time; send RFC 3339, for example 2026-03-01T12:00:00Z"),
        )
    })?;
    // No deadline lies beyond these; a later time means "without an end".
    let at = at.clamp(EARLIEST, LATEST);
    let at = domain::wire::timestamp(at);
    domain::wire::time(field, &at)?;
    Ok(at)
}

/// Deserializes a whole number that may be written as `1.0`, which is an integer by JSON Schema (draft
/// 2020-12, validation, section 6.1.1).
pub(crate) fn whole_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let integer = number.as_u64().or_else(|| {
        let float = number.as_f64()?;
        let fits = float.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&float);
        fits.then_some(float as u64)
    });
    integer
        .and_then(|integer| u32::try_from(integer).ok())
        .map(Some)
        .ok_or_else(|| {
            serde::de::Error::invalid_type(Unexpected::Other("another number"), &"a whole number")
        })
}

pub(crate) fn base64(field: &str, text: &str) -> Result<Vec<u8>, Invalid> {
    if text.is_empty() {
        return Err(Invalid::missing(field));
    }
    STANDARD.decode(text).map_err(|_| {
        Invalid::new(
            "base64_malformed",
            field,
            format!(
                "`{field}` is not standard base64 with padding; copy it from the notice unchanged"
            ),
        )
    })
}
