//! Cursors of pages: opaque to callers, read strictly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Invalid;
use time::OffsetDateTime;
use uuid::Uuid;

const LONGEST: usize = 200;
/// Of a position; as many always fit.
const DIGITS: usize = 18;

/// After a position: digits, so that the API's document can say which cursors there are.
pub(super) fn of_number(position: i64) -> String {
    position.to_string()
}

pub(super) fn number(text: &str) -> Result<i64, Invalid> {
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.len() <= DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(bad)
}

/// After a row by time and id.
pub(super) fn of_row(at: OffsetDateTime, id: Uuid) -> String {
    let micros = at.unix_timestamp_nanos() / 1000;
    URL_SAFE_NO_PAD.encode(format!("{micros}:{id}"))
}

pub(super) fn row(text: &str) -> Result<Option<(OffsetDateTime, Uuid)>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    let plain = plain(text)?;
    let (micros, id) = plain.split_once(':').ok_or_else(bad)?;
    let micros: i64 = micros.parse().map_err(|_| bad())?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .ok()
        .filter(|at| (1970..=2200).contains(&at.year()))
        .ok_or_else(bad)?;
    Ok(Some((at, id.parse().map_err(|_| bad())?)))
}

/// After a name.
pub(super) fn of_name(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

pub(super) fn name(text: &str) -> Result<String, Invalid> {
    if text.is_empty() {
        return Ok(String::new());
    }
    plain(text)
}

fn plain(text: &str) -> Result<String, Invalid> {
    if text.len() > LONGEST {
        return Err(bad());
    }
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(bad)
}

fn bad() -> Invalid {
    Invalid::new(
        "cursor_malformed",
        "page.cursor",
        "`page.cursor` is not one of ours; send `next_cursor` of the page before, or nothing",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn cursors_come_back_and_nothing_else_is_taken() {
        let (at, id) = (
            datetime!(2026-03-01 12:00:00.123456 UTC),
            Uuid::from_u128(9),
        );
        assert_eq!(row(&of_row(at, id)), Ok(Some((at, id))));
        assert_eq!(number(&of_number(17)), Ok(17));
        assert_eq!(name(&of_name("amber-host")).as_deref(), Ok("amber-host"));
        for bad in [
            "a",
            "!!",
            "LTE",
            "-5",
            "1234567890123456789",
            &"A".repeat(500),
        ] {
            assert!(number(bad).is_err() && row(bad).is_err(), "{bad}");
        }
    }
}
