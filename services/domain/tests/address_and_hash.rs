//! Public and documentation addresses, and parsing and comparison of hashes.

use std::net::IpAddr;

use domain::address::{is_documentation, is_public};
use domain::hash::{Hash, HashError, HashKind, PDQ_MATCH_DISTANCE, Pdq, Sha256};

#[test]
fn addresses_are_public_documentation_or_neither() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let public = [
        "8.8.8.8",
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1",
        "2a00:1450::1",
    ];
    for address in public {
        assert!(
            is_public(ip(address)) && !is_documentation(ip(address)),
            "{address}"
        );
    }
    let documentation = [
        "192.0.2.1",
        "198.51.100.255",
        "203.0.113.0",
        "2001:db8::1",
        "2001:db8:ffff::1",
        "3fff::1",
    ];
    for address in documentation {
        assert!(
            is_documentation(ip(address)) && !is_public(ip(address)),
            "{address}"
        );
    }
    let neither = [
        "0.0.0.0",
        "127.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "169.254.0.1",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.1",
        "192.88.99.1",
        "198.19.255.255",
        "224.0.0.0",
        "255.255.255.255",
        "::",
        "::1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "2002:c0a8:1::1",
        // Forms that embed or tunnel an IPv4 address.
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "::ffff:192.0.2.1",
        "64:ff9b::203.0.113.9",
        "2001::1",
        "2001:1ff::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "ff0e::1",
        "5f00::1",
    ];
    for address in neither {
        assert!(
            !is_public(ip(address)) && !is_documentation(ip(address)),
            "{address}"
        );
    }
}

#[test]
fn a_hash_is_parsed_from_hex_in_either_case() {
    for &kind in HashKind::ALL {
        let text = "aB".repeat(kind.octets());
        let hash = Hash::parse(kind, &format!(" {text}\n")).unwrap();
        assert_eq!(hash.kind(), kind);
        assert_eq!(hash.reveal_hex(), text.to_lowercase());
        assert_eq!(hash.reveal_octets(), vec![0xab; kind.octets()]);
    }
}

#[test]
fn a_text_of_the_wrong_length_or_with_other_characters_is_not_a_hash() {
    for &kind in HashKind::ALL {
        let digits = kind.octets() * 2;
        for length in [0, digits - 2, digits - 1, digits + 1, digits + 2] {
            let refused = Hash::parse(kind, &"a".repeat(length));
            assert_eq!(refused, Err(HashError::Length(kind)), "{length}");
        }
        for stray in ["g", "-", " ", "é", "\0"] {
            let refused = Hash::parse(kind, &format!("a{stray}{}", "a".repeat(digits)));
            assert_eq!(refused, Err(HashError::NotHex(kind)), "{stray:?}");
        }
    }
}

#[test]
fn pdq_hashes_match_up_to_a_distance_of_31_bits() {
    let base = Pdq::from_octets([0x5a; 32]);
    let flipped = |bits: usize| {
        let mut octets = *base.reveal_octets();
        (0..bits).for_each(|bit| octets[bit / 8] ^= 1 << (bit % 8));
        Pdq::from_octets(octets)
    };
    assert_eq!(base.distance(&base), 0);
    assert_eq!(base.distance(&flipped(256)), 256);
    assert_eq!(flipped(31).distance(&base), PDQ_MATCH_DISTANCE);
    assert!(base.is_match(&flipped(31)) && !base.is_match(&flipped(32)));
}

#[test]
fn a_hash_is_never_shown() {
    let hash = Sha256::parse(&"0f".repeat(32)).unwrap();
    assert_eq!(format!("{hash:?}"), "<sha256>");
    assert_eq!(format!("{:?}", Some(Hash::from(hash))), "Some(<sha256>)");
}
