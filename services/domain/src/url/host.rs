//! The host of a URL: a name that can exist in the public DNS or in Tor, or a public IP address.
//!
//! Names are not resolved here, and `Debug` does not show them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::UrlError;
use crate::address;

/// Longest label in octets (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;
/// Longest name as text, in octets, without its trailing dot (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// Top-level names that exist only in private networks, by registration (RFC 6761, 6762, 8375; ICANN for
/// `internal`) or by long-standing use.
const PRIVATE_NAMES: [&str; 10] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "intranet",
    "private",
    "lan",
    "home",
    "corp",
];

/// The host of a URL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    Domain(DomainName),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
}

impl Host {
    /// The IP address, if the host is one.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Domain(_) => None,
            Self::Ipv4(ip) => Some(IpAddr::V4(*ip)),
            Self::Ipv6(ip) => Some(IpAddr::V6(*ip)),
        }
    }

    /// The domain name, if the host is one.
    pub const fn domain(&self) -> Option<&DomainName> {
        match self {
            Self::Domain(name) => Some(name),
            Self::Ipv4(_) | Self::Ipv6(_) => None,
        }
    }

    /// The host as written in a URL: an IPv6 address in brackets, in the form of RFC 5952.
    pub fn reveal(&self) -> String {
        match self {
            Self::Domain(name) => name.0.clone(),
            Self::Ipv4(ip) => ip.to_string(),
            Self::Ipv6(ip) => format!("[{ip}]"),
        }
    }

    /// The host for display: readable, but not a working link.
    pub fn defanged(&self) -> String {
        match self {
            Self::Ipv6(ip) => format!("[{}]", ip.to_string().replacen(':', "[:]", 1)),
            Self::Domain(_) | Self::Ipv4(_) => {
                let text = self.reveal();
                match text.rsplit_once('.') {
                    Some((front, last)) => format!("{front}[.]{last}"),
                    None => text,
                }
            }
        }
    }

    /// Checks the host that the WHATWG parser (with UTS-46) returned: lower-case ASCII, numeric IPv4 forms as
    /// addresses.
    pub(super) fn from_parsed(host: &::url::Host<&str>) -> Result<Self, UrlError> {
        let host = match host {
            ::url::Host::Domain(name) => Self::Domain(DomainName::from_ascii(name)?),
            ::url::Host::Ipv4(ip) => Self::Ipv4(*ip),
            ::url::Host::Ipv6(ip) => Self::Ipv6(*ip),
        };
        match host.ip() {
            Some(ip) if !address::is_public(ip) && !address::is_documentation(ip) => {
                Err(UrlError::PrivateAddress)
            }
            _ => Ok(host),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<host>")
    }
}

/// A domain name of at least two labels: ASCII (A-labels), lower case, without a trailing dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

impl DomainName {
    /// Parses a name outside a URL, such as one of a provider's domains: any case, U-labels or A-labels.
    ///
    /// # Errors
    /// The reason why the name is not a valid public host.
    pub fn parse(name: &str) -> Result<Self, UrlError> {
        match ::url::Host::parse(name.trim()) {
            Ok(::url::Host::Domain(ascii)) => Self::from_ascii(&ascii),
            Ok(_) | Err(_) => Err(UrlError::HostInvalid),
        }
    }

    /// The name as text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True if the name is `parent` or a subdomain of it.
    pub fn is_within(&self, parent: &Self) -> bool {
        is_within(&self.0, &parent.0)
    }

    /// The name, then each parent that still has at least two labels: the order of a longest-match lookup.
    pub fn ancestry(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.0.as_str()), |name| {
            name.split_once('.')
                .map(|(_, parent)| parent)
                .filter(|parent| parent.contains('.'))
        })
    }

    /// True for a Tor onion service.
    pub fn is_onion(&self) -> bool {
        is_within(&self.0, "onion")
    }

    fn from_ascii(ascii: &str) -> Result<Self, UrlError> {
        let name = ascii.strip_suffix('.').unwrap_or(ascii);
        if name.is_empty() {
            return Err(UrlError::NoHost);
        }
        name.split('.').try_for_each(check_label)?;
        if name.len() > MAX_NAME {
            return Err(UrlError::HostTooLong);
        }
        if PRIVATE_NAMES.iter().any(|private| is_within(name, private)) {
            return Err(UrlError::PrivateName);
        }
        let Some((subdomain, top)) = name.rsplit_once('.') else {
            return Err(UrlError::SingleLabel);
        };
        if top == "onion" && !is_onion_v3(subdomain) {
            return Err(UrlError::OnionInvalid);
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<host>")
    }
}

/// Accepts letters, digits and hyphens (RFC 1123 section 2.1), and the underscore and leading or trailing
/// hyphens, which occur in practice.
fn check_label(label: &str) -> Result<(), UrlError> {
    let is_allowed = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    match label.len() {
        0 => Err(UrlError::LabelEmpty),
        length if length > MAX_LABEL => Err(UrlError::LabelTooLong),
        _ if label.bytes().all(is_allowed) => Ok(()),
        _ => Err(UrlError::HostInvalid),
    }
}

fn is_within(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|subdomain| subdomain.is_empty() || subdomain.ends_with('.'))
}

/// Tor rendezvous specification version 3, "Encoding onion addresses": 56 characters of base32, optionally
/// with subdomains.
fn is_onion_v3(name: &str) -> bool {
    let key = name.rsplit_once('.').map_or(name, |(_, key)| key);
    key.len() == 56
        && key
            .bytes()
            .all(|octet| matches!(octet, b'a'..=b'z' | b'2'..=b'7'))
}
