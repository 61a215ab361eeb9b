//! Reading what came in: JSON, queries, forms and path segments, with refusals that say where and never what.

mod body;
mod fields;
mod json;
mod partial;

pub(crate) use body::{Digested, Form, Json};
pub(crate) use fields::{Fields, NoQuery, Query, Segment};
pub(crate) use json::{element, external_id};
pub(crate) use partial::Partial;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Invalid;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time on the wire, from RFC 3339.
pub(crate) fn time(field: &str, text: &str) -> Result<prost_types::Timestamp, Invalid> {
    let at = OffsetDateTime::parse(text.trim(), &Rfc3339).map_err(|_| {
        Invalid::new(
            "time_malformed",
            field,
            format!("`{field}` is not a time; send RFC 3339, for example 2026-03-01T12:00:00Z"),
        )
    })?;
    let at = domain::wire::timestamp(at);
    domain::wire::time(field, &at)?;
    Ok(at)
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
                "`{field}` is not standard base64 with padding; send it as it came in the notice"
            ),
        )
    })
}
