//! Invalid URLs and the error of each. Every error code is produced by one of them.

use std::collections::BTreeSet;

use domain::url::{CanonicalUrl, MAX_URL, ReportedUrl, UrlError};

/// Invalid URLs with the expected error.
fn invalid_urls() -> Vec<(String, UrlError)> {
    use UrlError as E;
    let label = |length| "a".repeat(length);
    let long_path = format!("https://site.test/{}", "a".repeat(MAX_URL));
    let too_long_when_encoded = format!("https://site.test/{}", "ü".repeat(MAX_URL / 4));
    let mut urls = vec![
        (long_path, E::TooLong),
        (too_long_when_encoded, E::TooLong),
        (" ".repeat(MAX_URL + 1), E::TooLong),
        (format!("https://{}.test/", label(64)), E::LabelTooLong),
        (format!("https://{}/", label(120)), E::LabelTooLong),
        (
            format!("https://{}test/", format!("{}.", label(63)).repeat(4)),
            E::HostTooLong,
        ),
        (format!("http://{}.onion/", label(55)), E::OnionInvalid),
        (format!("http://{}1.onion/", label(55)), E::OnionInvalid),
    ];
    let fixed = [
        ("", E::Empty),
        (" \t\n\u{feff}\u{200b}", E::Empty),
        ("<>", E::Empty),
        ("https://site.test/a https://site.test/b", E::SeveralUrls),
        (
            "https://site.test/a\r\nhxxp://site[.]test/b",
            E::SeveralUrls,
        ),
        ("https://site.test/a\0", E::ControlCharacter),
        ("https://site.test/a\0b", E::ControlCharacter),
        ("https://site.test/a\u{2028}b", E::ControlCharacter),
        ("https://site.test/a\u{85}b", E::ControlCharacter),
        ("https://site.test/a\u{7f}", E::ControlCharacter),
        ("not a url", E::NotAUrl),
        ("site.test/a", E::NotAUrl),
        ("site.test:8080/a", E::NotAUrl),
        ("//site.test/a", E::NotAUrl),
        ("://site.test/a", E::NotAUrl),
        ("http", E::NotAUrl),
        ("a b: c", E::NotAUrl),
        ("ftp://files.example/x", E::SchemeNotAllowed),
        ("javascript:alert(1)", E::SchemeNotAllowed),
        ("mailto:abuse@x.example", E::SchemeNotAllowed),
        ("data:text/html,hi", E::SchemeNotAllowed),
        ("httpx://site.test/", E::SchemeNotAllowed),
        ("view-source:https://site.test/", E::SchemeNotAllowed),
        ("https://", E::NoHost),
        ("https:", E::NoHost),
        ("https://?q", E::NoHost),
        ("https://#f", E::NoHost),
        ("https://:443/", E::NoHost),
        ("https://./", E::NoHost),
        ("https://user@site.test/", E::UserInformation),
        ("https://user:secret@site.test/", E::UserInformation),
        ("https://@site.test/", E::UserInformation),
        ("https://site.test@198.51.100.1/", E::UserInformation),
        ("https://site.test:0/", E::PortInvalid),
        ("https://site.test:65536/", E::PortInvalid),
        ("https://site.test:8a/", E::PortInvalid),
        ("http://exa mple.test/a", E::HostInvalid),
        ("http://exa%20mple.test/a", E::HostInvalid),
        ("http://exa%00mple.test/a", E::HostInvalid),
        ("http://exa*mple.test/a", E::HostInvalid),
        ("http://exa(mple.test/a", E::HostInvalid),
        ("http://site[.test/a", E::HostInvalid),
        (r"http://img.site\.test/a", E::HostInvalid),
        ("http://xn--a.test/", E::HostInvalid),
        ("http://xn--bcher-kvaa--.test/", E::HostInvalid),
        ("http://user＠site.test/", E::HostInvalid),
        ("http://[::1", E::HostInvalid),
        ("http://[2001:db8::g]/", E::HostInvalid),
        ("http://[fe80::1%25eth0]/", E::HostInvalid),
        ("http://203.0.113.256/", E::HostInvalid),
        ("http://1.2.3.4.5/", E::HostInvalid),
        ("http://site..test/", E::LabelEmpty),
        ("http://.site.test/", E::LabelEmpty),
        ("http://site.test../", E::LabelEmpty),
        ("http://site。。test/", E::LabelEmpty),
        ("http://intranet-7/x", E::SingleLabel),
        ("http://test./x", E::SingleLabel),
        ("http://localhost/x", E::PrivateName),
        ("http://LOCALHOST.:8080/x", E::PrivateName),
        ("http://ⓛocalhost/x", E::PrivateName),
        ("http://a.localhost/x", E::PrivateName),
        ("http://printer.local/", E::PrivateName),
        ("http://vault.corp.internal/", E::PrivateName),
        ("http://nas.home.arpa/", E::PrivateName),
        ("http://router.lan/", E::PrivateName),
        ("http://facebookcorewwwi.onion/", E::OnionInvalid),
        ("http://a.b.onion/", E::OnionInvalid),
    ];
    urls.extend(fixed.map(|(text, error)| (text.to_owned(), error)));
    let private_hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "１２７.0.0.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::7f00:1]",
        "[::8.8.8.8]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b::8.8.8.8]",
        "[2002:808:808::1]",
        "[::ffff:192.0.2.1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2002:a00:1::1]",
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
        "[100::1]",
        "[fc00::1]",
        "[fd12:3456::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[4000::1]",
    ];
    urls.extend(private_hosts.map(|host| (format!("http://{host}/latest"), E::PrivateAddress)));
    urls
}

#[test]
fn each_invalid_url_has_the_expected_error() {
    for (text, expected) in invalid_urls() {
        let label: String = text.chars().take(60).collect();
        assert_eq!(
            CanonicalUrl::parse(&text).err(),
            Some(expected),
            "{label:?}"
        );
        assert_eq!(ReportedUrl::parse(&text).err(), Some(expected), "{label:?}");
    }
}

#[test]
fn every_error_occurs_and_has_a_unique_code() {
    let mut occurred: BTreeSet<_> = invalid_urls().into_iter().map(|(_, error)| error).collect();
    occurred.insert(CanonicalUrl::from_stored("x").unwrap_err());
    assert_eq!(occurred, BTreeSet::from(UrlError::ALL));
    let codes: BTreeSet<_> = UrlError::ALL.into_iter().map(UrlError::code).collect();
    assert_eq!(codes.len(), UrlError::ALL.len());
    for error in UrlError::ALL {
        let invalid = error.into_invalid("reports[3].url");
        assert_eq!(
            (
                invalid.code,
                invalid.field.as_str(),
                invalid.detail.as_str()
            ),
            (error.code(), "reports[3].url", error.detail())
        );
        assert!(error.detail().ends_with('.') && !error.to_string().ends_with('.'));
    }
}

#[test]
fn the_longest_url_is_accepted() {
    let start = "https://site.test/";
    let longest = format!("{start}{}", "a".repeat(MAX_URL - start.len()));
    assert!(CanonicalUrl::parse(&longest).is_ok());
    let label = "a".repeat(63);
    let host = format!("{label}.{label}.{label}.{}.test", "a".repeat(56));
    assert_eq!(host.len(), 253);
    assert!(CanonicalUrl::parse(&format!("https://{host}./")).is_ok());
}
