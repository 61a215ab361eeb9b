//! Refangs a URL: restores one that was written so that it is not a working link
//! (`hxxps[:]//img[.]site[.]example`), and splits off its scheme and authority.
//!
//! A path is changed only if the rest of the URL is defanged. The host is not checked here.

use super::{Scheme, UrlError};

/// A refanged URL, ready for the WHATWG parser as `scheme://rest`.
pub(super) struct Refanged {
    pub(super) scheme: Scheme,
    pub(super) rest: String,
    /// Length of the authority at the start of `rest`, in octets.
    pub(super) authority: usize,
}

/// Schemes in lower case, the longer first, and whether the form is defanged. These are the defanged forms in
/// use.
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

/// What separates the scheme from the rest, and whether the form is defanged.
const SEPARATORS: [(&str, bool); 6] = [
    ("[://]", true),
    ("[:/]", true),
    (":[//]", true),
    ("[:]", true),
    ("(:)", true),
    (":", false),
];

/// Defanged dots.
const DOTS: [&str; 6] = ["[.]", "(.)", "{.}", "[dot]", "(dot)", "{dot}"];

/// Refangs `text`, which must be trimmed.
pub(super) fn refang(text: &str) -> Result<Refanged, UrlError> {
    let Some((scheme, mut defanged, after)) = split_scheme(text) else {
        return Err(scheme_error(text));
    };
    // As in browsers (WHATWG URL, "special authority ignore slashes state"), `http:host`, `http:/host` and
    // `http:\\host` all have a host.
    let rest = after.trim_start_matches(['/', '\\']);
    let (authority, tail) = split_authority(rest);
    // `a.b\.test` is ambiguous (defanged dot or path), and the wrong reading could name an innocent host.
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
    let host = refang_authority(authority);
    defanged |= host != authority;
    // Tools that defang a whole URL also bracket the dots of the path. In other URLs, brackets in a path
    // belong to it.
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

/// True if another word of the text starts a URL: two URLs in one field would otherwise become one wrong URL.
pub(super) fn has_several(text: &str) -> bool {
    text.split_whitespace().skip(1).any(|token| {
        split_scheme(token)
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

/// The error for a text that does not start with http or https. A scheme (RFC 3986 section 3.1) with a dot is
/// a host whose scheme was omitted (`site.example:81/x`).
fn scheme_error(text: &str) -> UrlError {
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

/// Replaces each defanged dot, with the spaces around it, and each `[:]` before a port. An IPv6 literal
/// contains none of these.
fn refang_authority(authority: &str) -> String {
    let mut refanged = String::with_capacity(authority.len());
    let mut rest = authority;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = DOTS.iter().find_map(|dot| strip_ignoring_case(rest, dot)) {
            refanged.truncate(refanged.trim_end_matches(' ').len());
            refanged.push('.');
            rest = after.trim_start_matches(' ');
        } else if let Some(after) = rest.strip_prefix("[:]") {
            refanged.push(':');
            rest = after;
        } else {
            refanged.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    refanged
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}
