//! Reported URLs and the canonical form that is a case's identity. Parsed here or nowhere.
//! Must not open a connection, resolve a name, or let a URL into `Debug`, `Display`, serde or an error; `reveal` names every exit.
//!
//! The way of a text: white space and invisible characters around it and tabs and line breaks inside are dropped, it is refanged,
//! read by the WHATWG parser with UTS-46 host processing, judged, and respelled by RFC 3986 section 6.2. Scheme, host, non-default port, path and query make the
//! identity. `http` and `https` are two. The fragment and a trailing dot of the host do not count. An empty query (`/x?`) and
//! none (`/x`) are two, as RFC 3986 section 6.2.3 has it; so are `+` and `%20`, and `%2F` and `/`.

mod error;
mod host;
mod refang;
mod spelling;

use std::fmt;

pub use error::UrlError;
pub use host::{DomainName, Host};

/// Longest URL in bytes, as sent and in canonical form. RFC 9112 section 3 asks for request lines of at least 8,000 octets, and
/// common servers stop near that.
pub const MAX_URL: usize = 8 * 1024;

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

/// What a reporter sent, letter by letter, with what it means. The spelling is evidence: it is kept sealed beside the report.
#[derive(Clone, PartialEq, Eq)]
pub struct ReportedUrl {
    spelling: String,
    canonical: CanonicalUrl,
}

impl ReportedUrl {
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Ok(Self {
            canonical: CanonicalUrl::parse(text)?,
            spelling: text.to_owned(),
        })
    }

    pub const fn canonical(&self) -> &CanonicalUrl {
        &self.canonical
    }

    pub fn into_canonical(self) -> CanonicalUrl {
        self.canonical
    }

    /// The spelling as it was sent.
    pub fn reveal(&self) -> &str {
        &self.spelling
    }
}

/// The identity of a case: ASCII, two equal texts are one URL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalUrl {
    text: String,
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    path_begins: usize,
}

impl CanonicalUrl {
    /// Reads any spelling.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        let bare = bare(text);
        if bare.is_empty() {
            return Err(UrlError::Empty);
        }
        if refang::has_several(bare) {
            return Err(UrlError::SeveralUrls);
        }
        // Mail and terminals break a long URL; browsers drop the breaks, and so does the WHATWG parser.
        let whole = bare.replace(['\t', '\r', '\n'], "");
        if whole.contains(is_out_of_place) {
            return Err(UrlError::ControlCharacter);
        }
        let refanged = refang::refang(&whole)?;
        match &refanged.rest[..refanged.authority] {
            "" => return Err(UrlError::NoHost),
            authority if authority.contains('@') => return Err(UrlError::UserInformation),
            _ => {}
        }
        let parsed = ::url::Url::parse(&format!("{}://{}", refanged.scheme.name(), refanged.rest))
            .map_err(refusal)?;
        Self::spell(refanged.scheme, &parsed)
    }

    /// Reads back what [`Self::reveal`] gave: anything but the canonical form is a damaged row.
    pub fn from_stored(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
            .ok()
            .filter(|url| url.text == text)
            .ok_or(UrlError::NotCanonical)
    }

    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, when it is not the scheme's own.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// A hidden service has no hosting provider that an address could name.
    pub fn is_onion(&self) -> bool {
        self.host.domain().is_some_and(DomainName::is_onion)
    }

    /// The whole text.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// From the first `/` after the authority: the request target of RFC 9112 section 3.2.1.
    pub fn reveal_path_and_query(&self) -> &str {
        &self.text[self.path_begins..]
    }

    /// For staff who may see where, but not what: `hxxps://img.site[.]example/…`. A host in another script stays in its A-labels,
    /// so that look-alikes are told apart.
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

    fn spell(scheme: Scheme, parsed: &::url::Url) -> Result<Self, UrlError> {
        let host = Host::judge(&parsed.host().ok_or(UrlError::NoHost)?)?;
        let port = parsed.port();
        if port == Some(0) {
            return Err(UrlError::PortInvalid);
        }
        let mut text = format!("{}://{}", scheme.name(), host.reveal());
        if let Some(port) = port {
            text.push(':');
            text.push_str(&port.to_string());
        }
        let path_begins = text.len();
        text.push_str(&spelling::path(parsed.path()));
        if let Some(query) = parsed.query() {
            text.push('?');
            text.push_str(&spelling::query(query));
        }
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        Ok(Self {
            text,
            scheme,
            host,
            port,
            path_begins,
        })
    }
}

/// What both types show instead of themselves.
macro_rules! hidden {
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

hidden!(ReportedUrl, CanonicalUrl);

/// Drops what surrounds a copied URL: white space, invisible characters, and one pair of the delimiters of RFC 3986 appendix C.
fn bare(text: &str) -> &str {
    let text = text.trim_matches(surrounds);
    let inner = [('<', '>'), ('"', '"')]
        .into_iter()
        .find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    inner.map_or(text, |inner| inner.trim_matches(surrounds))
}

/// White space, and format characters that nobody sees: soft hyphen, zero-width and bidirectional marks, word joiner, BOM.
fn surrounds(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

/// What no browser drops and no URL holds.
fn is_out_of_place(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn refusal(error: ::url::ParseError) -> UrlError {
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
