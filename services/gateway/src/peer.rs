//! The client's address: the peer of the connection, or the address that a trusted proxy reports.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The other end of the connection; the server adds it to each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The address that a client's requests are counted under: an IPv4 address, or an IPv6 /64.
pub(crate) fn rate_limit_key(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    subscriber_network(client(peer, headers, trusted))
}

/// An IPv4 address, or the /64 of an IPv6 address: one subscriber usually holds a whole /64.
pub(crate) fn subscriber_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Walks `X-Forwarded-For` from its end as long as the hop is a trusted proxy; the entries before that may be
/// forged.
fn client(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let mut client = peer.0.ip().to_canonical();
    let hops = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|hop| hop.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()))
        .collect::<Vec<_>>();
    for hop in hops.into_iter().rev() {
        if !is_trusted(client) {
            break;
        }
        match hop {
            Ok(ip) => client = ip,
            Err(_) => break,
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(peer: &str, forwarded: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        rate_limit_key(Peer(peer.parse().unwrap()), &headers, &trusted).to_string()
    }

    #[test]
    fn x_forwarded_for_is_used_only_as_far_as_trusted_proxies_wrote_it() {
        assert_eq!(key_of("192.0.2.1:9", "198.51.100.7"), "192.0.2.1");
        assert_eq!(key_of("10.1.1.1:9", "198.51.100.7"), "198.51.100.7");
        assert_eq!(
            key_of("10.1.1.1:9", "203.0.113.9, 198.51.100.7, 10.2.2.2"),
            "198.51.100.7"
        );
        assert_eq!(key_of("10.1.1.1:9", "no address"), "10.1.1.1");
        assert_eq!(key_of("[2001:db8::1:2:3:4]:9", ""), "2001:db8::");
    }
}
