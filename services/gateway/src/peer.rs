//! Whose request it is, as far as an address can tell: the peer, or whom a trusted proxy names.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The other end of the connection, put beside each request by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The address to count against: of IPv6 the /64, which is one subscriber's.
pub(crate) fn counted(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    subscriber(client(peer, headers, trusted))
}

/// Of IPv6 the /64, which is one subscriber's.
pub(crate) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Walks `X-Forwarded-For` from its end, as far as each hop is one of ours; what stands before that may be made up.
fn client(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_ours = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let mut client = peer.0.ip().to_canonical();
    let named = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|hop| hop.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()))
        .collect::<Vec<_>>();
    for hop in named.into_iter().rev() {
        if !is_ours(client) {
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

    fn counted_as(peer: &str, forwarded: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        counted(Peer(peer.parse().unwrap()), &headers, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_for_the_hop_before_it() {
        assert_eq!(counted_as("192.0.2.1:9", "198.51.100.7"), "192.0.2.1");
        assert_eq!(counted_as("10.1.1.1:9", "198.51.100.7"), "198.51.100.7");
        assert_eq!(
            counted_as("10.1.1.1:9", "203.0.113.9, 198.51.100.7, 10.2.2.2"),
            "198.51.100.7"
        );
        assert_eq!(counted_as("10.1.1.1:9", "no address"), "10.1.1.1");
        assert_eq!(counted_as("[2001:db8::1:2:3:4]:9", ""), "2001:db8::");
    }
}
