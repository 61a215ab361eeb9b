//! Undoes what people do to a URL so that nobody clicks on it (`hxxps[:]//img[.]site[.]example`), and what mail and spreadsheets
//! put around it. Splits off the scheme and the authority on the way. Must not judge a host or touch a path that was not defanged.

use super::{Scheme, UrlError};

/// A URL in two pieces, ready for the WHATWG parser as `scheme://rest`.
pub(super) struct Refanged {
    pub(super) scheme: Scheme,
    pub(super) rest: String,
    /// Octets of `rest` before the path, query or fragment.
    pub(super) authority: usize,
}

/// Longest first, in lower case. The plain spellings lead the way; the others are the defanged forms in use.
const SCHEMES: [(&str, Scheme, bool); 10] = [
    ("https", Scheme::Https, false),
    ("hxxps", Scheme::Https, true),
    ("hxtps", Scheme::Https, true),
    ("htxps", Scheme::Https, true),
    ("h**ps", Scheme::Https, true),
    ("http", Scheme::Http, false),
    ("hxxp", Scheme::Http, true),
    ("hxtp", Scheme::Http, true),
    ("htxp", Scheme::Http, true),
    ("h**p", Scheme::Http, true),
];

const SEPARATORS: [(&str, bool); 6] = [
    ("[://]", true),
    ("[:/]", true),
    (":[//]", true),
    ("[:]", true),
    ("(:)", true),
    (":", false),
];

const DOTS: [&str; 6] = ["[.]", "(.)", "{.}", "[dot]", "(dot)", "{dot}"];

/// `text` is trimmed already.
pub(super) fn refang(text: &str) -> Result<Refanged, UrlError> {
    let Some((scheme, mut defanged, after)) = split_scheme(text) else {
        return Err(without_http(text));
    };
    // As browsers do ("special authority ignore slashes state"): `http:host`, `http:/host` and `http:\\host` all name a host.
    let rest = after.trim_start_matches(['/', '\\']);
    let (authority, tail) = split_authority(rest);
    // `a.b\.test` is either a defanged dot or a path: a guess could name an innocent host.
    if tail.starts_with("\\.") {
        return Err(UrlError::HostInvalid);
    }
    // `site.example[/]path`: the bracket belongs to the defanged slash.
    let (authority, tail) = match (authority.strip_suffix('['), tail.strip_prefix("/]")) {
        (Some(authority), Some(tail)) => {
            defanged = true;
            (authority, format!("/{tail}"))
        }
        _ => (authority, tail.to_owned()),
    };
    let host = plain_authority(authority);
    defanged |= host != authority;
    // Tools that defang the whole URL bracket the dots of the path too; in any other URL brackets in a path are the site's own.
    let tail = if defanged {
        tail.replace("[.]", ".")
    } else {
        tail
    };
    Ok(Refanged {
        scheme,
        authority: host.len(),
        rest: host + &tail,
    })
}

/// True when another word of the text begins a URL: two URLs in one cell would become one wrong address.
pub(super) fn has_several(text: &str) -> bool {
    text.split_whitespace().skip(1).any(|word| {
        split_scheme(word)
            .is_some_and(|(_, _, after)| !after.trim_start_matches(['/', '\\']).is_empty())
    })
}

fn split_scheme(text: &str) -> Option<(Scheme, bool, &str)> {
    SCHEMES.iter().find_map(|&(name, scheme, defanged)| {
        let head = text.get(..name.len())?;
        if !head.eq_ignore_ascii_case(name) {
            return None;
        }
        let tail = &text[name.len()..];
        SEPARATORS.iter().find_map(|&(separator, bracketed)| {
            let after = tail.strip_prefix(separator)?;
            Some((scheme, defanged || bracketed, after))
        })
    })
}

/// RFC 3986 section 3.1 says what a scheme looks like. One with a dot is a host whose scheme was left out (`site.example:81/x`).
fn without_http(text: &str) -> UrlError {
    let Some((scheme, _)) = text.split_once(':') else {
        return UrlError::NotAUrl;
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-'));
    if is_scheme {
        UrlError::SchemeNotAllowed
    } else {
        UrlError::NotAUrl
    }
}

fn split_authority(rest: &str) -> (&str, &str) {
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    rest.split_at(end)
}

/// Replaces each defanged dot, with the spaces around it, and each `[:]` before a port. An IPv6 literal holds none of these.
fn plain_authority(authority: &str) -> String {
    let mut plain = String::with_capacity(authority.len());
    let mut left = authority;
    while let Some(first) = left.chars().next() {
        if let Some(after) = DOTS.iter().find_map(|dot| strip_ignoring_case(left, dot)) {
            plain.truncate(plain.trim_end_matches(' ').len());
            plain.push('.');
            left = after.trim_start_matches(' ');
        } else if let Some(after) = left.strip_prefix("[:]") {
            plain.push(':');
            left = after;
        } else {
            plain.push(first);
            left = &left[first.len_utf8()..];
        }
    }
    plain
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}
