//! The host of a URL: a name that the public DNS (or Tor) can hold, or an address the internet can reach.
//! Must not resolve anything, and `Debug` does not show it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::UrlError;
use crate::address;

/// RFC 1035 section 2.3.4: a label has at most 63 octets; a name in text, without its last dot, 253.
const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 253;

/// Names that by their registration (RFC 6761, 6762, 8375; ICANN for `internal`) or by long use never leave a private network.
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

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    Domain(DomainName),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
}

impl Host {
    /// The address, when the URL names one.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Domain(_) => None,
            Self::Ipv4(ip) => Some(IpAddr::V4(*ip)),
            Self::Ipv6(ip) => Some(IpAddr::V6(*ip)),
        }
    }

    pub const fn domain(&self) -> Option<&DomainName> {
        match self {
            Self::Domain(name) => Some(name),
            Self::Ipv4(_) | Self::Ipv6(_) => None,
        }
    }

    /// As it stands in a URL: an IPv6 address in brackets, in the form of RFC 5952.
    pub fn reveal(&self) -> String {
        match self {
            Self::Domain(name) => name.0.clone(),
            Self::Ipv4(ip) => ip.to_string(),
            Self::Ipv6(ip) => format!("[{ip}]"),
        }
    }

    /// For people: readable, and not to be clicked on.
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

    /// Takes the host as the WHATWG parser (with UTS-46) left it: lower case, ASCII, numeric IPv4 forms already an address.
    pub(super) fn judge(host: &::url::Host<&str>) -> Result<Self, UrlError> {
        let judged = match host {
            ::url::Host::Domain(name) => Self::Domain(DomainName::judge(name)?),
            ::url::Host::Ipv4(ip) => Self::Ipv4(*ip),
            ::url::Host::Ipv6(ip) => Self::Ipv6(*ip),
        };
        match judged.ip() {
            Some(ip) if !address::is_public(ip) && !address::is_documentation(ip) => {
                Err(UrlError::PrivateAddress)
            }
            _ => Ok(judged),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<host>")
    }
}

/// A name of at least two labels, in ASCII (A-labels), lower case, without a trailing dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

impl DomainName {
    /// Reads a name on its own, as a provider's directory entry holds it: any case, U-labels or A-labels.
    pub fn parse(name: &str) -> Result<Self, UrlError> {
        match ::url::Host::parse(name.trim()) {
            Ok(::url::Host::Domain(ascii)) => Self::judge(&ascii),
            Ok(_) | Err(_) => Err(UrlError::HostInvalid),
        }
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True for the name itself and every name below it.
    pub fn is_within(&self, parent: &Self) -> bool {
        is_within(&self.0, &parent.0)
    }

    /// The name, then each name above it that still has two labels: the order of a longest-match look-up.
    pub fn ancestry(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.0.as_str()), |name| {
            name.split_once('.')
                .map(|(_, parent)| parent)
                .filter(|parent| parent.contains('.'))
        })
    }

    pub fn is_onion(&self) -> bool {
        is_within(&self.0, "onion")
    }

    fn judge(ascii: &str) -> Result<Self, UrlError> {
        let name = ascii.strip_suffix('.').unwrap_or(ascii);
        if name.is_empty() {
            return Err(UrlError::NoHost);
        }
        name.split('.').try_for_each(judge_label)?;
        if name.len() > MAX_NAME {
            return Err(UrlError::HostTooLong);
        }
        if PRIVATE_NAMES.iter().any(|private| is_within(name, private)) {
            return Err(UrlError::PrivateName);
        }
        let Some((below, top)) = name.rsplit_once('.') else {
            return Err(UrlError::SingleLabel);
        };
        if top == "onion" && !is_onion_v3(below) {
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

/// Letters, digits and hyphens (RFC 1123 section 2.1) and the underscore, which hosts use though they should not. Hyphens at
/// either end are let through: names with them are served.
fn judge_label(label: &str) -> Result<(), UrlError> {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    match label.len() {
        0 => Err(UrlError::LabelEmpty),
        length if length > MAX_LABEL => Err(UrlError::LabelTooLong),
        _ if label.bytes().all(fits) => Ok(()),
        _ => Err(UrlError::HostInvalid),
    }
}

fn is_within(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

/// Tor rendezvous specification version 3, "Encoding onion addresses": 56 characters of base32, sub-domains allowed before them.
fn is_onion_v3(below: &str) -> bool {
    let key = below.rsplit_once('.').map_or(below, |(_, key)| key);
    key.len() == 56
        && key
            .bytes()
            .all(|octet| matches!(octet, b'a'..=b'z' | b'2'..=b'7'))
}
