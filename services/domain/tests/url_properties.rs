//! Promises about all URLs: one canonical form whatever the spelling, nothing shown, nothing that panics.

use domain::url::{CanonicalUrl, ReportedUrl};
use proptest::prelude::*;

/// A URL in parts that may be spelled in many ways. Brackets in a path are left out: in a defanged URL they mean a dot.
#[derive(Debug, Clone)]
struct Parts {
    https: bool,
    host: String,
    port: Option<u16>,
    segments: Vec<String>,
    query: Option<String>,
}

impl Parts {
    fn plain(&self) -> String {
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

    /// The same but for one part: the scheme, the host, the port, the path or the query.
    fn with_another(mut self, part: usize) -> Self {
        match part {
            0 => self.https = !self.https,
            // No host of `parts` has two labels.
            1 => "another.test".clone_into(&mut self.host),
            2 => self.port = Some(self.port.map_or(1024, |port| port ^ 1)),
            3 => self.segments.push("another".to_owned()),
            _ => self.query = Some(self.query.map_or(String::new(), |query| query + "z")),
        }
        self
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    let label = "[a-z][a-z0-9]{0,8}|bücher[0-9]|日本[0-9]|xn--bcher-kva";
    let host = prop_oneof![
        4 => (label, label, prop_oneof!["test", "example", "invalid"])
            .prop_map(|(one, two, top)| format!("{one}.{two}.{top}")),
        1 => (0u8..=255).prop_map(|last| format!("203.0.113.{last}")),
    ];
    let port = proptest::option::of(1024u16..);
    // No space at the end: there it is white space around the URL, unless it is written as %20.
    let segment = "[a-zA-Z0-9~_ |^'()!$&+,;=:@é日-]{0,8}[a-z0-9_](\\.jpg)?|%2F|%C3%A9|%zz";
    let segments = proptest::collection::vec(segment, 0..4);
    let query = proptest::option::of("([a-z]=[a-zA-Z0-9~/? |^'é+-]{0,6}&){0,3}");
    (any::<bool>(), host, port, segments, query).prop_map(|(https, host, port, segments, query)| {
        Parts {
            https,
            host,
            port,
            segments,
            query: query.map(|query| format!("{query}z")),
        }
    })
}

#[derive(Debug, Clone)]
struct Respelling {
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

fn respelling() -> impl Strategy<Value = Respelling> {
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
            Respelling {
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

impl Respelling {
    fn spell(&self, parts: &Parts) -> String {
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
        let dots = ["", "/.", "/gone/..", "/%2E/%2e%2E"][self.dot_segment];
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

    /// Percent-encodes some of the characters that mean the same when encoded.
    fn encode(&self, target: &str) -> String {
        let same = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "~_ |^-.".contains(c);
        let in_encoding: Vec<bool> = target
            .char_indices()
            .map(|(at, _)| {
                target[..at].ends_with('%') || (at >= 2 && target.as_bytes()[at - 2] == b'%')
            })
            .collect();
        let mut spelled = String::new();
        for (index, c) in target.chars().enumerate() {
            let chosen = self.encode_every > 0 && index % self.encode_every == 0;
            if chosen && same(c) && !in_encoding[index] {
                for octet in c.to_string().bytes() {
                    let hex = if self.lower_hex {
                        format!("%{octet:02x}")
                    } else {
                        format!("%{octet:02X}")
                    };
                    spelled.push_str(&hex);
                }
            } else {
                spelled.push(c);
            }
        }
        spelled
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_spelling_of_a_url_is_the_same_url(parts in parts(), respelling in respelling()) {
        let plain = CanonicalUrl::parse(&parts.plain()).unwrap();
        let other = CanonicalUrl::parse(&respelling.spell(&parts)).unwrap();
        prop_assert_eq!(plain.reveal(), other.reveal());
    }

    #[test]
    fn a_canonical_url_is_its_own_canonical_form(parts in parts()) {
        let once = CanonicalUrl::parse(&parts.plain()).unwrap();
        let twice = CanonicalUrl::parse(once.reveal()).unwrap();
        prop_assert_eq!(once.reveal(), twice.reveal());
        prop_assert!(once == twice);
    }

    #[test]
    fn another_part_makes_another_url(one in parts(), part in 0usize..5) {
        let other = one.clone().with_another(part);
        let (one, other) = (CanonicalUrl::parse(&one.plain()).unwrap(), CanonicalUrl::parse(&other.plain()).unwrap());
        prop_assert_ne!(one.reveal(), other.reveal());
        prop_assert!(one != other);
    }

    #[test]
    fn a_url_is_never_shown(parts in parts()) {
        let reported = ReportedUrl::parse(&parts.plain()).unwrap();
        let url = reported.canonical();
        for shown in [format!("{reported:?}"), reported.to_string(), format!("{url:#?}"), url.to_string()] {
            prop_assert_eq!(shown, "<url>");
        }
        prop_assert_eq!(format!("{:?}", url.host()), "<host>");
    }

    #[test]
    fn no_text_panics_and_what_is_accepted_is_stable(text in ".{0,80}") {
        check_any(&text)?;
    }

    #[test]
    fn no_text_that_looks_like_a_url_panics(
        text in "(h(tt|xx|TT|\\*\\*)ps?)?(\\[?:\\]?)?[/\\\\]{0,3}[\\PC]{0,12}(\\[\\.\\]|\\.|[:@/?#%\\[\\] é。\u{ad}0-9x]){0,12}[\\PC]{0,20}"
    ) {
        check_any(&text)?;
    }

    #[test]
    fn any_path_and_query_is_stable(text in "([\\PC]|[%/.?#\\\\\\[\\]]|%[0-9a-fA-F]{2}|%2[eEfF]){0,40}") {
        check_any(&format!("https://site.test/{text}"))?;
    }
}

fn check_any(text: &str) -> Result<(), TestCaseError> {
    if let Ok(url) = CanonicalUrl::parse(text) {
        prop_assert!(url.reveal().is_ascii());
        prop_assert_eq!(CanonicalUrl::from_stored(url.reveal()), Ok(url.clone()));
        prop_assert!(!url.masked().contains(url.reveal()));
    }
    Ok(())
}
