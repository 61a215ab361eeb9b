//! Normalizes the percent-encoding of a path or query: RFC 3986 section 6.2.2, applied to the WHATWG parser's
//! output.
//!
//! Anything that a server could distinguish stays as it is: case, order, `+`, encoded delimiters and empty
//! segments.

use std::fmt::Write as _;

/// Normalizes a path from which the WHATWG parser has removed dot segments and replaced `\` by `/`.
pub(super) fn path(text: &str) -> String {
    normalize(text, |octet| is_pchar(octet) || octet == b'/')
}

/// Normalizes a query. Browsers always send `'` as `%27` in a query (WHATWG URL, special-query percent-encode
/// set), so both forms are the same URL. In a path they send it unencoded, so `'` and `%27` differ.
pub(super) fn query(text: &str) -> String {
    normalize(text, |octet| {
        (is_pchar(octet) && octet != b'\'') || matches!(octet, b'/' | b'?')
    })
}

/// Applies RFC 3986:
/// - an encoded unreserved character is decoded (6.2.2.2); any other keeps its encoding, in upper case
///   (6.2.2.1);
/// - an octet that is not allowed here is encoded (2.1); the WHATWG parser leaves `|`, `^`, `[` and `]`
///   unencoded;
/// - a `%` that does not start an encoding is data and becomes `%25` (2.4).
fn normalize(text: &str, is_allowed: impl Fn(u8) -> bool) -> String {
    let mut normalized = String::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let Some((&octet, after)) = left.split_first() {
        left = after;
        let (value, encoded) = match (octet, after) {
            (b'%', [high, low, rest @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                left = rest;
                (nibble(*high) << 4 | nibble(*low), true)
            }
            _ => (octet, false),
        };
        if is_unreserved(value) || (!encoded && is_allowed(value)) {
            normalized.push(char::from(value));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(normalized, "%{value:02X}");
        }
    }
    normalized
}

/// Unreserved characters, RFC 3986 section 2.3.
const fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

/// Characters of a path segment, RFC 3986 section 3.3.
const fn is_pchar(octet: u8) -> bool {
    is_unreserved(octet)
        || matches!(
            octet,
            b'!' | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

/// The value of a hexadecimal digit.
const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
