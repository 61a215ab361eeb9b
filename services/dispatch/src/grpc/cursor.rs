//! Page cursors: opaque to callers, parsed strictly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Invalid;
use time::OffsetDateTime;
use uuid::Uuid;

/// Maximum length of an encoded cursor, in bytes.
const MAX_LENGTH: usize = 200;
/// Maximum digits of a position, so that every position fits an `i64`.
const MAX_DIGITS: usize = 18;

/// Cursor after a position: digits, so that the OpenAPI document can give a pattern for it.
pub(crate) fn encode_position(position: i64) -> String {
    position.to_string()
}

pub(crate) fn decode_position(text: &str) -> Result<i64, Invalid> {
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.len() <= MAX_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(malformed)
}

/// Cursor after a row that is ordered by time and id.
pub(crate) fn encode_row(at: OffsetDateTime, id: Uuid) -> String {
    let micros = at.unix_timestamp_nanos() / 1000;
    URL_SAFE_NO_PAD.encode(format!("{micros}:{id}"))
}

pub(crate) fn decode_row(text: &str) -> Result<Option<(OffsetDateTime, Uuid)>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    let decoded = decode_text(text)?;
    let (micros, id) = decoded.split_once(':').ok_or_else(malformed)?;
    let micros: i64 = micros.parse().map_err(|_| malformed())?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .ok()
        .filter(|at| (1970..=2200).contains(&at.year()))
        .ok_or_else(malformed)?;
    Ok(Some((at, id.parse().map_err(|_| malformed())?)))
}

/// Cursor after a name.
pub(crate) fn encode_name(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

pub(crate) fn decode_name(text: &str) -> Result<String, Invalid> {
    if text.is_empty() {
        return Ok(String::new());
    }
    decode_text(text)
}

fn decode_text(text: &str) -> Result<String, Invalid> {
    if text.len() > MAX_LENGTH {
        return Err(malformed());
    }
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(malformed)
}

fn malformed() -> Invalid {
    Invalid::new(
        "page_token_malformed",
        "page_token",
        "`page_token` is not valid; send the `next_page_token` of the previous page, or omit it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn encoded_cursors_can_be_decoded_and_other_text_is_refused() {
        let (at, id) = (
            datetime!(2026-03-01 12:00:00.123456 UTC),
            Uuid::from_u128(9),
        );
        assert_eq!(decode_row(&encode_row(at, id)), Ok(Some((at, id))));
        assert_eq!(decode_position(&encode_position(17)), Ok(17));
        assert_eq!(
            decode_name(&encode_name("amber-host")).as_deref(),
            Ok("amber-host")
        );
        for bad in [
            "a",
            "!!",
            "LTE",
            "-5",
            "1234567890123456789",
            &"A".repeat(500),
        ] {
            assert!(
                decode_position(bad).is_err() && decode_row(bad).is_err(),
                "{bad}"
            );
        }
    }
}
