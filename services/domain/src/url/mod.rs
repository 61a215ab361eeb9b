//! Reported URLs and their canonical form, which identifies a case.
//!
//! A URL is never shown by `Debug`, `Display`, serde or an error; only methods named `reveal…` expose it.
//! Nothing here opens a connection or resolves a name.
//!
//! Parsing drops surrounding white space and invisible characters, and tabs and line breaks inside; refangs
//! the text; parses it with the WHATWG parser and UTS-46 host processing; checks the host; and normalizes it
//! by RFC 3986 section 6.2. Scheme, host, non-default port, path and query identify a case. `http` and
//! `https` differ. The fragment and a trailing dot of the host are ignored. An empty query (`/x?`) differs
//! from none (`/x`), as RFC 3986 section 6.2.3 requires; so do `+` and `%20`, and `%2F` and `/`.

mod error;
mod host;
mod normalize;
mod refang;

use std::fmt;

pub use error::UrlError;
pub use host::{DomainName, Host};

/// Longest URL in bytes, as reported and in canonical form. RFC 9112 section 3 recommends that servers
/// support request lines of at least 8,000 octets, and common servers have a limit near that.
pub const MAX_URL: usize = 8 * 1024;

/// The scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A URL exactly as it was reported, with its canonical form. The reported text is evidence and is stored,
/// sealed, with the report.
#[derive(Clone, PartialEq, Eq)]
pub struct ReportedUrl {
    text: String,
    canonical: CanonicalUrl,
}

impl ReportedUrl {
    /// # Errors
    /// The reason why the text is not a valid URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Ok(Self {
            canonical: CanonicalUrl::parse(text)?,
            text: text.to_owned(),
        })
    }

    pub const fn canonical(&self) -> &CanonicalUrl {
        &self.canonical
    }

    /// The text as it was reported.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

/// The canonical URL, which identifies a case. ASCII; two URLs are the same if and only if their texts are
/// equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalUrl {
    text: String,
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    /// Offset of the path in `text`.
    path_start: usize,
}

impl CanonicalUrl {
    /// Parses a reported URL.
    ///
    /// # Errors
    /// The reason why the text is not a valid URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        let trimmed = strip_surroundings(text);
        if trimmed.is_empty() {
            return Err(UrlError::Empty);
        }
        if refang::has_several(trimmed) {
            return Err(UrlError::SeveralUrls);
        }
        // Mail clients and terminals break long URLs; browsers and the WHATWG parser drop the breaks.
        let joined = trimmed.replace(['\t', '\r', '\n'], "");
        if joined.contains(is_forbidden) {
            return Err(UrlError::ControlCharacter);
        }
        let refanged = refang::refang(&joined)?;
        match &refanged.rest[..refanged.authority] {
            "" => return Err(UrlError::NoHost),
            authority if authority.contains('@') => return Err(UrlError::UserInformation),
            _ => {}
        }
        let parsed = ::url::Url::parse(&format!("{}://{}", refanged.scheme.name(), refanged.rest))
            .map_err(from_parse_error)?;
        Self::from_parsed(refanged.scheme, &parsed)
    }

    /// Parses a stored canonical URL.
    ///
    /// # Errors
    /// `UrlError::NotCanonical` for any other text: the row is damaged.
    pub fn from_stored(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
            .ok()
            .filter(|url| url.text == text)
            .ok_or(UrlError::NotCanonical)
    }

    /// The scheme.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, unless it is the default of the scheme.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// True for a Tor onion service, whose host attribution cannot find.
    pub fn is_onion(&self) -> bool {
        self.host.domain().is_some_and(DomainName::is_onion)
    }

    /// The URL as text.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Path and query: the request target of RFC 9112 section 3.2.1.
    pub fn reveal_path_and_query(&self) -> &str {
        &self.text[self.path_start..]
    }

    /// The URL for staff who may see the host but not the material: defanged and without its path, such as
    /// `hxxps://img.site[.]example/…`. An internationalised host stays in A-labels, so that similar names
    /// differ.
    pub fn masked(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "hxxp",
            Scheme::Https => "hxxps",
        };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = match self.reveal_path_and_query() {
            "/" => "/",
            _ => "/…",
        };
        format!("{scheme}://{}{port}{path}", self.host.defanged())
    }

    fn from_parsed(scheme: Scheme, parsed: &::url::Url) -> Result<Self, UrlError> {
        let host = Host::from_parsed(&parsed.host().ok_or(UrlError::NoHost)?)?;
        let port = parsed.port();
        if port == Some(0) {
            return Err(UrlError::PortInvalid);
        }
        let mut text = format!("{}://{}", scheme.name(), host.reveal());
        if let Some(port) = port {
            text.push(':');
            text.push_str(&port.to_string());
        }
        let path_start = text.len();
        text.push_str(&normalize::path(parsed.path()));
        if let Some(query) = parsed.query() {
            text.push('?');
            text.push_str(&normalize::query(query));
        }
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        Ok(Self {
            text,
            scheme,
            host,
            port,
            path_start,
        })
    }
}

/// Implements `Debug` and `Display` without showing the URL.
macro_rules! redact {
    ($($name:ty),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("<url>")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("<url>")
            }
        }
    )*};
}

redact!(ReportedUrl, CanonicalUrl);

/// Removes what surrounds a copied URL: white space, invisible characters, and one pair of the delimiters of
/// RFC 3986 appendix C.
fn strip_surroundings(text: &str) -> &str {
    let text = text.trim_matches(is_blank);
    let inner = [('<', '>'), ('"', '"')]
        .into_iter()
        .find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    inner.map_or(text, |inner| inner.trim_matches(is_blank))
}

/// White space and invisible format characters: soft hyphen, zero-width and bidirectional marks, word joiner,
/// BOM.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

/// Characters that no URL contains and that browsers do not drop.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn from_parse_error(error: ::url::ParseError) -> UrlError {
    use ::url::ParseError;
    match error {
        ParseError::EmptyHost => UrlError::NoHost,
        ParseError::InvalidPort => UrlError::PortInvalid,
        ParseError::IdnaError
        | ParseError::InvalidIpv4Address
        | ParseError::InvalidIpv6Address
        | ParseError::InvalidDomainCharacter => UrlError::HostInvalid,
        ParseError::Overflow => UrlError::TooLong,
        _ => UrlError::NotAUrl,
    }
}
