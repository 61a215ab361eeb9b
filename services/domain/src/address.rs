//! Which IP addresses a report may name: those anyone on the internet can reach, and the documentation ranges of synthetic data.
//! Pure tables. Must not resolve a name, and does not replace the guard of the connector, which judges what a name resolved to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// True when the address is globally reachable (IANA special-purpose registries, RFC 6890 and its successors).
///
/// A documentation address is not: see [`is_documentation`]. An IPv6 form that carries an IPv4 address (mapped, NAT64, 6to4)
/// is judged by the address it carries.
pub fn is_public(ip: IpAddr) -> bool {
    match carried(ip) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// True in 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 (RFC 5737), 2001:db8::/32 (RFC 3849) and 3fff::/20 (RFC 9637).
pub fn is_documentation(ip: IpAddr) -> bool {
    match carried(ip) {
        IpAddr::V4(v4) => matches!(
            v4.octets(),
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _]
        ),
        IpAddr::V6(v6) => matches!(
            v6.segments(),
            [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..]
        ),
    }
}

/// The IPv4 address a connection would really go to, when the IPv6 address only wraps one.
fn carried(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let wrapped = match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some((high, low))
        }
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    wrapped.map_or(ip, |(high, low)| {
        IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
    })
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    !matches!(
        ip.octets(),
        [0 | 10 | 127 | 224..=255, ..]    // this network, private, loopback; multicast, reserved, broadcast
            | [100, 64..=127, ..]         // shared address space of carriers (RFC 6598)
            | [169, 254, ..]              // link-local
            | [172, 16..=31, ..]          // private
            | [192, 0, 0 | 2, _]          // protocol assignments, documentation
            | [192, 88, 99, _]            // 6to4 relays, withdrawn (RFC 7526)
            | [192, 168, ..]              // private
            | [198, 18..=19, ..]          // benchmarks (RFC 2544)
            | [198, 51, 100, _]           // documentation
            | [203, 0, 113, _] // documentation
    )
}

/// Only 2000::/3 is global unicast. Inside it 2001::/23 (Teredo, ORCHID, benchmarks: no web host lives there) and the
/// documentation ranges are not public. Loopback, unspecified, IPv4-compatible, ULA, link-local and multicast lie outside it.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let global_unicast = segments[0] & 0xe000 == 0x2000;
    global_unicast
        && !matches!(segments, [0x2001, 0..=0x01ff, ..])
        && !is_documentation(IpAddr::V6(ip))
}
