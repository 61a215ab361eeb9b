//! The canonical form of reported URLs, which URLs are the same and which differ, and the parts of a
//! canonical URL.

use std::net::{Ipv4Addr, Ipv6Addr};

use domain::url::{CanonicalUrl, DomainName, Host, ReportedUrl, Scheme, UrlError};

fn canonical(text: &str) -> CanonicalUrl {
    CanonicalUrl::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn reported_urls_have_the_expected_canonical_form() {
    let onion = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion";
    let rows = [
        // Scheme, slashes and port.
        ("HTTPS://Img.Site.TEST/A", "https://img.site.test/A"),
        ("https://site.test", "https://site.test/"),
        ("https://site.test?q", "https://site.test/?q"),
        ("http:site.test/a", "http://site.test/a"),
        ("http:/site.test/a", "http://site.test/a"),
        ("http:///site.test/a", "http://site.test/a"),
        (r"http:\\site.test\a\b", "http://site.test/a/b"),
        ("https://site.test:443/a", "https://site.test/a"),
        ("https://site.test:00443/a", "https://site.test/a"),
        ("https://site.test:/a", "https://site.test/a"),
        ("http://site.test:443/a", "http://site.test:443/a"),
        ("https://site.test:80/a", "https://site.test:80/a"),
        ("https://site.test:65535/a", "https://site.test:65535/a"),
        // Surrounding characters.
        (
            " \t\r\nhttps://site.test/a\u{a0}\u{3000}\n",
            "https://site.test/a",
        ),
        (
            "\u{feff}\u{200b}https://site.test/a\u{2060}\u{ad}",
            "https://site.test/a",
        ),
        ("<https://site.test/a>", "https://site.test/a"),
        // Line breaks inside, as mail clients and terminals insert them.
        ("https://si\nte.test/a", "https://site.test/a"),
        ("ht\ttps://site.test/a", "https://site.test/a"),
        ("hxxps://site[.]test/a\r\n/b\t?c", "https://site.test/a/b?c"),
        ("\" https://site.test/a \"", "https://site.test/a"),
        // Defanged.
        ("hxxps://site[.]test/a", "https://site.test/a"),
        ("hXXp://site(.)test/a", "http://site.test/a"),
        ("h**p://site{.}test/a", "http://site.test/a"),
        ("htxps://site[dot]test/a", "https://site.test/a"),
        ("hxtp://site(DOT)test/a", "http://site.test/a"),
        ("https[:]//site.test/a", "https://site.test/a"),
        ("https[://]site.test/a", "https://site.test/a"),
        ("https:[//]site.test/a", "https://site.test/a"),
        ("https(:)//site.test/a", "https://site.test/a"),
        (
            "hxxps://img [.] site [dot] test/a",
            "https://img.site.test/a",
        ),
        ("hxxps://site[.]test[:]8080/a", "https://site.test:8080/a"),
        ("hxxps://site[.]test[/]a", "https://site.test/a"),
        ("hxxps://203[.]0[.]113[.]5/a", "https://203.0.113.5/a"),
        (
            "hxxps[://]site[.]test/a[.]jpg?f=b[.]c",
            "https://site.test/a.jpg?f=b.c",
        ),
        ("https://site.test/a[.]jpg", "https://site.test/a%5B.%5Djpg"),
        ("hxxps://[2001:db8::1]/a", "https://[2001:db8::1]/a"),
        // Host.
        ("https://site.test./a", "https://site.test/a"),
        ("https://site.test.:443/a", "https://site.test/a"),
        ("https://site。test/a", "https://site.test/a"),
        ("https://site．test。/a", "https://site.test/a"),
        ("https://site｡test/a", "https://site.test/a"),
        ("https://ｓｉｔｅ.test/a", "https://site.test/a"),
        ("https://si\u{ad}te.test/a", "https://site.test/a"),
        ("https://si\u{200b}te.test/a", "https://site.test/a"),
        ("https://%73ite%2etest/a", "https://site.test/a"),
        ("https://BÜCHER.test/a", "https://xn--bcher-kva.test/a"),
        (
            "https://bu\u{308}cher.test/a",
            "https://xn--bcher-kva.test/a",
        ),
        (
            "https://XN--Bcher-KVA.test/a",
            "https://xn--bcher-kva.test/a",
        ),
        ("https://faß.test/a", "https://xn--fa-hia.test/a"),
        ("https://pаypal.test/a", "https://xn--pypal-4ve.test/a"), // the second letter is Cyrillic
        ("https://my_cam.site.test/a", "https://my_cam.site.test/a"),
        ("https://-a-.site.test/a", "https://-a-.site.test/a"),
        // Addresses.
        ("https://203.0.113.5./a", "https://203.0.113.5/a"),
        ("https://3405803781/a", "https://203.0.113.5/a"),
        ("https://0xcb007105/a", "https://203.0.113.5/a"),
        ("https://0313.0.0161.05/a", "https://203.0.113.5/a"),
        ("https://203.0.28933/a", "https://203.0.113.5/a"),
        ("https://２０３.0.113.5/a", "https://203.0.113.5/a"),
        (
            "https://[2001:DB8:0:0:0:0:0:1]:443/a",
            "https://[2001:db8::1]/a",
        ),
        (
            "https://[2001:db8::192.0.2.1]/a",
            "https://[2001:db8::c000:201]/a",
        ),
        // Path.
        (
            "https://site.test/./a/../b/%2e/c/%2E%2e/d",
            "https://site.test/b/d",
        ),
        ("https://site.test/../../a", "https://site.test/a"),
        ("https://site.test/a/..", "https://site.test/"),
        ("https://site.test//a///b/", "https://site.test//a///b/"),
        (
            "https://site.test/%7ejo/%41%2d%5f",
            "https://site.test/~jo/A-_",
        ),
        ("https://site.test/a b", "https://site.test/a%20b"),
        ("https://site.test/a%20b", "https://site.test/a%20b"),
        (
            "https://site.test/größe",
            "https://site.test/gr%C3%B6%C3%9Fe",
        ),
        (
            "https://site.test/gr%c3%b6%c3%9fe",
            "https://site.test/gr%C3%B6%C3%9Fe",
        ),
        (
            "https://site.test/a|b^c[d]`e{f}\"<>",
            "https://site.test/a%7Cb%5Ec%5Bd%5D%60e%7Bf%7D%22%3C%3E",
        ),
        (
            "https://site.test/a%7cb%5ec%5bd%5d",
            "https://site.test/a%7Cb%5Ec%5Bd%5D",
        ),
        (
            "https://site.test/100%/%zz/%4",
            "https://site.test/100%25/%25zz/%254",
        ),
        ("https://site.test/a%00%0a", "https://site.test/a%00%0A"),
        (
            "https://site.test/it's;v=1,2@x:y",
            "https://site.test/it's;v=1,2@x:y",
        ),
        // Query and fragment.
        (
            "https://site.test/?q=%7Eiris&x=",
            "https://site.test/?q=~iris&x=",
        ),
        (
            "https://site.test/?q=a b|c[]^`{}",
            "https://site.test/?q=a%20b%7Cc%5B%5D%5E%60%7B%7D",
        ),
        ("https://site.test/?q='a'", "https://site.test/?q=%27a%27"),
        (
            "https://site.test/?u=https://x.test/?y",
            "https://site.test/?u=https://x.test/?y",
        ),
        (r"https://site.test/?q=a\b", "https://site.test/?q=a%5Cb"),
        ("https://site.test/?q=a/../b", "https://site.test/?q=a/../b"),
        ("https://site.test/?q=ü", "https://site.test/?q=%C3%BC"),
        ("https://site.test/a#x?y", "https://site.test/a"),
        ("https://site.test/a#", "https://site.test/a"),
        ("https://site.test/?#x", "https://site.test/?"),
        (
            &format!("http://WWW.{}/a", onion.to_uppercase()),
            &format!("http://www.{onion}/a"),
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(canonical(text).reveal(), expected, "{text:?}");
        assert!(CanonicalUrl::from_stored(expected).is_ok(), "{expected:?}");
    }
}

#[test]
fn urls_that_a_server_can_distinguish_differ() {
    let rows = [
        ("http://site.test/a", "https://site.test/a"),
        ("https://site.test/a", "https://site.test/A"),
        ("https://site.test/a", "https://site.test/a/"),
        ("https://site.test/a", "https://site.test//a"),
        ("https://site.test/a", "https://site.test/a?"),
        ("https://site.test/a", "https://site.test:8443/a"),
        ("https://site.test/a", "https://www.site.test/a"),
        ("https://site.test/a/b", "https://site.test/a%2Fb"),
        ("https://site.test/a'", "https://site.test/a%27"),
        ("https://site.test/a;", "https://site.test/a%3B"),
        ("https://site.test/a?b", "https://site.test/a%3Fb"),
        ("https://site.test/a?q=A", "https://site.test/a?q=a"),
        ("https://site.test/a?q=+", "https://site.test/a?q=%20"),
        ("https://site.test/a?q=+", "https://site.test/a?q=%2B"),
        ("https://site.test/a?q=1&r=2", "https://site.test/a?r=2&q=1"),
        ("https://site.test/a?q=1", "https://site.test/a?q=1&"),
        ("https://site.test/%25zz", "https://site.test/%2525zz"),
        ("https://fass.test/", "https://faß.test/"),
    ];
    for (left, right) in rows {
        assert!(canonical(left) != canonical(right), "{left:?} {right:?}");
    }
}

#[test]
fn a_canonical_url_has_the_expected_parts() {
    let url = canonical("hxxps://img[.]site[.]test:8443/a/b?c#d");
    assert_eq!(url.scheme(), Scheme::Https);
    assert_eq!(url.port(), Some(8443));
    assert_eq!(url.reveal_path_and_query(), "/a/b?c");
    assert_eq!(url.host().domain().unwrap().reveal(), "img.site.test");
    assert!(url.host().ip().is_none() && !url.is_onion());

    let url = canonical("http://198.51.100.7");
    assert_eq!(url.port(), None);
    assert_eq!(url.reveal_path_and_query(), "/");
    assert!(*url.host() == Host::Ipv4(Ipv4Addr::new(198, 51, 100, 7)));

    let url = canonical("http://[2001:db8::7]:81/x");
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
    assert!(*url.host() == Host::Ipv6(ip));
    assert_eq!(url.reveal_path_and_query(), "/x");

    let onion = format!("http://{}.onion/", "a".repeat(56));
    assert!(canonical(&onion).is_onion());
}

#[test]
fn a_masked_url_shows_the_host_but_not_the_path() {
    let rows = [
        ("https://img.site.test/a/b?c", "hxxps://img.site[.]test/…"),
        ("http://site.test:81/?q", "hxxp://site[.]test:81/…"),
        ("http://site.test/", "hxxp://site[.]test/"),
        ("http://203.0.113.5/a", "hxxp://203.0.113[.]5/…"),
        ("https://[2001:db8::1]/a", "hxxps://[2001[:]db8::1]/…"),
        ("https://bücher.test/a", "hxxps://xn--bcher-kva[.]test/…"),
    ];
    for (text, masked) in rows {
        assert_eq!(canonical(text).masked(), masked);
    }
}

#[test]
fn the_reported_text_is_kept_unchanged() {
    let sent = "  hxxps://Site[.]test/a#b\t";
    let reported = ReportedUrl::parse(sent).unwrap();
    assert_eq!(reported.reveal(), sent);
    assert_eq!(reported.canonical().reveal(), "https://site.test/a");
}

#[test]
fn a_stored_url_that_is_not_canonical_is_refused() {
    for text in [
        "https://Site.test/a",
        "https://site.test",
        " https://site.test/",
        "x",
        "",
    ] {
        assert_eq!(
            CanonicalUrl::from_stored(text),
            Err(UrlError::NotCanonical),
            "{text:?}"
        );
    }
}

#[test]
fn a_domain_name_contains_its_subdomains() {
    let name = |text| DomainName::parse(text).unwrap();
    let image = name("Img.EU.Site.test.");
    assert_eq!(image.reveal(), "img.eu.site.test");
    assert!(image.is_within(&name("site.test")) && image.is_within(&image));
    assert!(!name("mysite.test").is_within(&name("site.test")));
    assert!(!name("site.test").is_within(&image));
    let ancestry: Vec<_> = image.ancestry().collect();
    assert_eq!(ancestry, ["img.eu.site.test", "eu.site.test", "site.test"]);
    assert_eq!(name("bücher.test").reveal(), "xn--bcher-kva.test");
    for invalid in [
        "",
        "site",
        "203.0.113.5",
        "a b.test",
        "a..test",
        "https://site.test",
    ] {
        assert!(DomainName::parse(invalid).is_err(), "{invalid:?}");
    }
}
