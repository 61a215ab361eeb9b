//! Properties of all URLs: every variation of a URL has the same canonical form, no URL is shown, no text
//! panics.

use domain::url::{CanonicalUrl, ReportedUrl};
use proptest::prelude::*;

/// The parts of a URL. Paths contain no brackets, because in a defanged URL they mark a dot.
#[derive(Debug, Clone)]
struct UrlParts {
    https: bool,
    host: String,
    port: Option<u16>,
    segments: Vec<String>,
    query: Option<String>,
}

impl UrlParts {
    fn text(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}{}", self.scheme(), self.host, self.target())
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    fn target(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}"));
        format!("/{}{}", self.segments.join("/"), query.unwrap_or_default())
    }

    /// The same URL with one part changed: scheme, host, port, path or query.
    fn with_changed(mut self, part: usize) -> Self {
        match part {
            0 => self.https = !self.https,
            // Every host that `parts` generates has three labels or is an address.
            1 => "another.test".clone_into(&mut self.host),
            2 => self.port = Some(self.port.map_or(1024, |port| port ^ 1)),
            3 => self.segments.push("another".to_owned()),
            _ => self.query = Some(self.query.map_or(String::new(), |query| query + "z")),
        }
        self
    }
}

fn parts() -> impl Strategy<Value = UrlParts> {
    let label = "[a-z][a-z0-9]{0,8}|bücher[0-9]|日本[0-9]|xn--bcher-kva";
    let host = prop_oneof![
        4 => (label, label, prop_oneof!["test", "example", "invalid"])
            .prop_map(|(one, two, top)| format!("{one}.{two}.{top}")),
        1 => (0u8..=255).prop_map(|last| format!("203.0.113.{last}")),
    ];
    let port = proptest::option::of(1024u16..);
    // No space at the end, where it would be white space around the URL.
    let segment = "[a-zA-Z0-9~_ |^'()!$&+,;=:@é日-]{0,8}[a-z0-9_](\\.jpg)?|%2F|%C3%A9|%zz";
    let segments = proptest::collection::vec(segment, 0..4);
    let query = proptest::option::of("([a-z]=[a-zA-Z0-9~/? |^'é+-]{0,6}&){0,3}");
    (any::<bool>(), host, port, segments, query).prop_map(|(https, host, port, segments, query)| {
        UrlParts {
            https,
            host,
            port,
            segments,
            query: query.map(|query| format!("{query}z")),
        }
    })
}

#[derive(Debug, Clone)]
struct UrlVariation {
    upper: bool,
    name_default_port: bool,
    trailing_dot: bool,
    fragment: bool,
    dot_segment: usize,
    encode_every: usize,
    lower_hex: bool,
    defang: usize,
    surround: usize,
}

fn variation() -> impl Strategy<Value = UrlVariation> {
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (flags, 0usize..4, 0usize..4, 0usize..5, 0usize..4).prop_map(
        |(
            (upper, name_default_port, trailing_dot, fragment, lower_hex),
            dot_segment,
            encode_every,
            defang,
            surround,
        )| {
            UrlVariation {
                upper,
                name_default_port,
                trailing_dot,
                fragment,
                dot_segment,
                encode_every,
                lower_hex,
                defang,
                surround,
            }
        },
    )
}

impl UrlVariation {
    fn apply(&self, parts: &UrlParts) -> String {
        let mut host = parts.host.clone();
        if self.trailing_dot {
            host.push('.');
        }
        let mut scheme = parts.scheme().to_owned();
        if self.upper {
            host = host.to_uppercase();
            scheme = scheme.to_uppercase();
        }
        let (scheme, separator, dot) = match self.defang {
            1 => (scheme.replace("tt", "xx").replace("TT", "XX"), "://", "[.]"),
            2 => (scheme, "[:]//", "(.)"),
            3 => (scheme.replace("tt", "xx"), "[://]", " [dot] "),
            4 => (scheme, "://", "。"),
            _ => (scheme, "://", "."),
        };
        let port = match parts.port {
            Some(port) => format!(":{port}"),
            None if self.name_default_port && parts.https => ":443".to_owned(),
            None if self.name_default_port => ":80".to_owned(),
            None => String::new(),
        };
        let dots = ["", "/.", "/dir/..", "/%2E/%2e%2E"][self.dot_segment];
        let fragment = if self.fragment { "#top [1]" } else { "" };
        let host = host.replace('.', dot);
        let target = self.encode(&parts.target());
        let (before, after) = [
            ("", ""),
            ("  ", "\t\r\n"),
            ("\u{feff}", "\u{200b}"),
            ("<", ">"),
        ][self.surround];
        format!("{before}{scheme}{separator}{host}{port}{dots}{target}{fragment}{after}")
    }

    /// Percent-encodes some of the characters that are equivalent in both forms.
    fn encode(&self, target: &str) -> String {
        let is_equivalent =
            |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "~_ |^-.".contains(c);
        let in_encoding: Vec<bool> = target
            .char_indices()
            .map(|(at, _)| {
                target[..at].ends_with('%') || (at >= 2 && target.as_bytes()[at - 2] == b'%')
            })
            .collect();
        let mut encoded = String::new();
        for (index, c) in target.chars().enumerate() {
            let chosen = self.encode_every > 0 && index % self.encode_every == 0;
            if chosen && is_equivalent(c) && !in_encoding[index] {
                for octet in c.to_string().bytes() {
                    let hex = if self.lower_hex {
                        format!("%{octet:02x}")
                    } else {
                        format!("%{octet:02X}")
                    };
                    encoded.push_str(&hex);
                }
            } else {
                encoded.push(c);
            }
        }
        encoded
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_variation_of_a_url_has_the_same_canonical_form(parts in parts(), variation in variation()) {
        let original = CanonicalUrl::parse(&parts.text()).unwrap();
        let varied = CanonicalUrl::parse(&variation.apply(&parts)).unwrap();
        prop_assert_eq!(original.reveal(), varied.reveal());
    }

    #[test]
    fn a_canonical_url_is_its_own_canonical_form(parts in parts()) {
        let canonical = CanonicalUrl::parse(&parts.text()).unwrap();
        let parsed_again = CanonicalUrl::parse(canonical.reveal()).unwrap();
        prop_assert_eq!(canonical.reveal(), parsed_again.reveal());
        prop_assert!(canonical == parsed_again);
    }

    #[test]
    fn urls_with_one_different_part_differ(parts in parts(), part in 0usize..5) {
        let url = CanonicalUrl::parse(&parts.text()).unwrap();
        let changed = CanonicalUrl::parse(&parts.with_changed(part).text()).unwrap();
        prop_assert_ne!(url.reveal(), changed.reveal());
        prop_assert!(url != changed);
    }

    #[test]
    fn a_url_is_never_shown(parts in parts()) {
        let reported = ReportedUrl::parse(&parts.text()).unwrap();
        let url = reported.canonical();
        for shown in [format!("{reported:?}"), reported.to_string(), format!("{url:#?}"), url.to_string()] {
            prop_assert_eq!(shown, "<url>");
        }
        prop_assert_eq!(format!("{:?}", url.host()), "<host>");
    }

    #[test]
    fn no_text_panics_and_accepted_urls_are_stable(text in ".{0,80}") {
        check_text(&text)?;
    }

    #[test]
    fn no_text_similar_to_a_url_panics(
        text in "(h(tt|xx|TT|\\*\\*)ps?)?(\\[?:\\]?)?[/\\\\]{0,3}[\\PC]{0,12}(\\[\\.\\]|\\.|[:@/?#%\\[\\] é。\u{ad}0-9x]){0,12}[\\PC]{0,20}"
    ) {
        check_text(&text)?;
    }

    #[test]
    fn any_path_and_query_is_stable(text in "([\\PC]|[%/.?#\\\\\\[\\]]|%[0-9a-fA-F]{2}|%2[eEfF]){0,40}") {
        check_text(&format!("https://site.test/{text}"))?;
    }
}

/// If the text is a valid URL, its canonical form is ASCII and stable, and is not part of its masked form.
fn check_text(text: &str) -> Result<(), TestCaseError> {
    if let Ok(url) = CanonicalUrl::parse(text) {
        prop_assert!(url.reveal().is_ascii());
        prop_assert_eq!(CanonicalUrl::from_stored(url.reveal()), Ok(url.clone()));
        prop_assert!(!url.masked().contains(url.reveal()));
    }
    Ok(())
}
