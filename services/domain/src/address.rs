//! The IP addresses that a reported URL may contain: public ones, and the documentation ranges of synthetic
//! data.
//!
//! This does not replace `platform::connector::address`, which checks the addresses that a name resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// True when the address is globally reachable (IANA special-purpose registries, RFC 6890 and its
/// successors).
///
/// False for a documentation address (see [`is_documentation`]) and for every IPv6 address that embeds an
/// IPv4 address (mapped, NAT64, 6to4): the connector refuses those, so a removal could never be confirmed by
/// checks.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// True for addresses in 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 (RFC 5737), 2001:db8::/32 (RFC 3849)
/// and 3fff::/20 (RFC 9637).
pub fn is_documentation(ip: IpAddr) -> bool {
    match ip {
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

/// Only 2000::/3 is global unicast. Within it 2001::/23 (Teredo, ORCHID, benchmarks: not used by web hosts),
/// 2002::/16 (6to4) and the documentation ranges are not public. Loopback, unspecified, mapped,
/// IPv4-compatible, NAT64, ULA, link-local and multicast addresses are outside it.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let global_unicast = segments[0] & 0xe000 == 0x2000;
    global_unicast
        && !matches!(segments, [0x2001, 0..=0x01ff, ..] | [0x2002, ..])
        && !is_documentation(IpAddr::V6(ip))
}
