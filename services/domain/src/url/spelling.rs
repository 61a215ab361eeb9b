//! One spelling for every path and query: RFC 3986 section 6.2.2 on top of what the WHATWG parser leaves open.
//! Must not change what a server could tell apart: case, order, `+`, encoded delimiters and empty segments stay.

use std::fmt::Write as _;

/// The path, after the WHATWG parser removed dot segments and turned `\` into `/`.
pub(super) fn path(text: &str) -> String {
    respell(text, |octet| is_pchar(octet) || octet == b'/')
}

/// The query. `'` is a sub-delimiter, but browsers always send it as `%27` (WHATWG, special-query percent-encode set), so that
/// both spellings are one; in a path they send it as it is and `'` and `%27` stay two.
pub(super) fn query(text: &str) -> String {
    respell(text, |octet| {
        (is_pchar(octet) && octet != b'\'') || matches!(octet, b'/' | b'?')
    })
}

/// - an encoded unreserved character is decoded (6.2.2.2), any other keeps its encoding, in upper case (6.2.2.1);
/// - an octet that RFC 3986 does not allow here is encoded (2.1), though the WHATWG parser leaves some: `|`, `^`, `[`, `]`;
/// - a `%` that begins no encoding is itself data, `%25` (2.4).
fn respell(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut spelled = String::with_capacity(text.len());
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
        if is_unreserved(value) || (!encoded && stays(value)) {
            spelled.push(char::from(value));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(spelled, "%{value:02X}");
        }
    }
    spelled
}

/// RFC 3986 section 2.3.
const fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 3.3.
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

/// `digit` is a hexadecimal digit.
const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
