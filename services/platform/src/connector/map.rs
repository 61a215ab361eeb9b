//! The connector map: redirects host names and networks to loopback addresses, so that tests and the demo
//! reach simulated hosts. In production a role refuses to start if its map is not empty.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// One entry of the configuration. `from` is `host.example`, `*.example` or `203.0.113.0/24`, optionally with
/// `:port` (an IPv6 network in brackets then); `to` is a loopback address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapEntry {
    pub from: String,
    pub to: SocketAddr,
}

/// Why a map entry is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    #[error("a connector map may only contain loopback addresses as targets")]
    NotLoopback,
    #[error(
        "a connector map entry is a host, `*.` and a domain, or a network, each with an optional port"
    )]
    Malformed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    Exact(String),
    Subdomains(String),
}

/// Addresses of simulated hosts. The most specific name applies; an entry with a port precedes one without.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Vec<MapEntry>")]
pub struct ConnectorMap {
    names: HashMap<(Name, Option<u16>), SocketAddr>,
    networks: Vec<(IpNet, Option<u16>, SocketAddr)>,
}

impl ConnectorMap {
    /// True if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.networks.is_empty()
    }

    /// Adds an entry, such as `("*.host.test:443", 127.0.0.1:9443)`. A later entry replaces an equal earlier
    /// one.
    ///
    /// # Errors
    /// `NotLoopback` or `Malformed`.
    pub fn insert(&mut self, from: &str, to: SocketAddr) -> Result<(), MapError> {
        if !to.ip().is_loopback() {
            return Err(MapError::NotLoopback);
        }
        if let Ok(network) = IpNet::from_str(from) {
            self.networks.push((network, None, to));
            return Ok(());
        }
        let (host, port) = split_port(from)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Some(network) = network(bare) {
            self.networks.push((network, port, to));
        } else if is_name(host.strip_prefix("*.").unwrap_or(host)) {
            let host = host.to_ascii_lowercase();
            let name = match host.strip_prefix("*.") {
                Some(domain) => Name::Subdomains(domain.to_owned()),
                None => Name::Exact(host),
            };
            self.names.insert((name, port), to);
        } else {
            return Err(MapError::Malformed);
        }
        Ok(())
    }

    /// The mapped address of a name, or `None` if DNS is to be used. The name is lower case, without a
    /// trailing dot.
    pub(super) fn lookup_name(&self, name: &str, port: u16) -> Option<SocketAddr> {
        if self.names.is_empty() {
            return None;
        }
        let parents = name
            .match_indices('.')
            .map(|(dot, _)| Name::Subdomains(name[dot + 1..].to_owned()));
        std::iter::once(Name::Exact(name.to_owned()))
            .chain(parents)
            .find_map(|name| {
                let with_port = (name, Some(port));
                let exact = self.names.get(&with_port);
                exact
                    .or_else(|| self.names.get(&(with_port.0, None)))
                    .copied()
            })
    }

    /// The mapped address of an IP address, or `None` if it is not mapped. The longest prefix applies.
    pub(super) fn lookup_address(&self, address: IpAddr, port: u16) -> Option<SocketAddr> {
        self.networks
            .iter()
            .filter(|(network, at, _)| network.contains(&address) && at.is_none_or(|at| at == port))
            .max_by_key(|(network, at, _)| (network.prefix_len(), at.is_some()))
            .map(|(_, _, to)| *to)
    }
}

impl TryFrom<Vec<MapEntry>> for ConnectorMap {
    type Error = MapError;

    fn try_from(entries: Vec<MapEntry>) -> Result<Self, MapError> {
        let mut map = Self::default();
        for entry in entries {
            map.insert(&entry.from, entry.to)?;
        }
        Ok(map)
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), MapError> {
    match text.rsplit_once(':') {
        // An IPv6 address without brackets contains colons itself.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let port = port.parse().map_err(|_| MapError::Malformed)?;
            Ok((host, Some(port)))
        }
        _ => Ok((text, None)),
    }
}

fn network(text: &str) -> Option<IpNet> {
    let address = || IpAddr::from_str(text).map(IpNet::from);
    IpNet::from_str(text).or_else(|_| address()).ok()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn the_most_specific_name_and_the_longest_prefix_apply() {
        let mut map = ConnectorMap::default();
        assert!(map.is_empty());
        for (from, port) in [
            ("*.test", 1),
            ("*.host.test", 2),
            ("a.host.test", 3),
            ("a.host.test:443", 4),
            ("203.0.113.0/24", 5),
            ("203.0.113.7", 6),
            ("203.0.113.7:8080", 7),
            ("[2001:db8::/32]:443", 8),
        ] {
            map.insert(from, loopback(port)).unwrap();
        }
        assert!(!map.is_empty());
        assert_eq!(map.lookup_name("x.test", 80), Some(loopback(1)));
        assert_eq!(map.lookup_name("b.host.test", 80), Some(loopback(2)));
        assert_eq!(map.lookup_name("a.host.test", 80), Some(loopback(3)));
        assert_eq!(map.lookup_name("a.host.test", 443), Some(loopback(4)));
        assert_eq!(
            map.lookup_name("test", 80),
            None,
            "a wildcard entry applies to subdomains only"
        );
        assert_eq!(map.lookup_name("xtest", 80), None);
        let address = |text: &str, port| map.lookup_address(text.parse().unwrap(), port);
        assert_eq!(address("203.0.113.1", 80), Some(loopback(5)));
        assert_eq!(address("203.0.113.7", 80), Some(loopback(6)));
        assert_eq!(address("203.0.113.7", 8080), Some(loopback(7)));
        assert_eq!(address("2001:db8::9", 443), Some(loopback(8)));
        assert_eq!(address("2001:db8::9", 80), None);
    }

    #[test]
    fn a_map_accepts_only_loopback_targets() {
        let mut map = ConnectorMap::default();
        let public = "198.51.100.1:80".parse().unwrap();
        assert_eq!(map.insert("a.test", public), Err(MapError::NotLoopback));
        for from in ["", "*.", "a b", "a.test:x", "a.test:70000", "http://a.test"] {
            assert_eq!(
                map.insert(from, loopback(1)),
                Err(MapError::Malformed),
                "{from}"
            );
        }
        assert!(map.is_empty());
    }
}
