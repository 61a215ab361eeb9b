//! The rules in force, in memory, by host. A rule matches only host and path of a URL.

use std::cmp::Reverse;
use std::collections::HashMap;

use domain::Invalid;
use domain::url::{CanonicalUrl, DomainName};
use platform::sealed::{Keyring, Purpose, SealedError};
use uuid::Uuid;

use super::readable_or_alarm;
use crate::case::VerdictWithBasis;
use crate::error::Error;
use crate::store::rules::RuleRow;

/// Longest path prefix, in characters.
const MAX_PREFIX: usize = 500;

/// What a rule matches. Stored sealed, because a host of a rule is as sensitive as a URL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RulePattern {
    pub(crate) host: DomainName,
    /// Empty for all paths; otherwise begins with `/`.
    pub(crate) path_prefix: String,
}

impl RulePattern {
    /// Parses what a person entered.
    pub(crate) fn parse(host: &str, path_prefix: &str) -> Result<Self, Invalid> {
        if host.trim().is_empty() {
            return Err(Invalid::missing("rule.host"));
        }
        let host = DomainName::parse(host).map_err(|_| {
            Invalid::new(
                "host_malformed",
                "rule.host",
                "a rule needs the complete name of a host, with at least two labels and without scheme or path",
            )
        })?;
        let prefix = path_prefix.trim();
        let fits = prefix.is_empty()
            || (prefix.starts_with('/') && prefix.len() <= MAX_PREFIX && prefix.is_ascii());
        if !fits || prefix.chars().any(char::is_control) {
            return Err(Invalid::new(
                "path_prefix_malformed",
                "rule.path_prefix",
                "a path prefix begins with `/` and has at most 500 ASCII characters, percent-encoded as in a URL",
            ));
        }
        Ok(Self {
            host,
            path_prefix: prefix.to_owned(),
        })
    }

    pub(crate) fn seal(&self, keyring: &Keyring, rule: Uuid, version: i32) -> Vec<u8> {
        let text = format!("{}\n{}", self.host.reveal(), self.path_prefix);
        keyring
            .seal_provider(
                Purpose::Url,
                &rule_seal_scope(version),
                rule,
                text.as_bytes(),
            )
            .into_bytes()
    }

    pub(crate) fn open(keyring: &Keyring, row: &RuleRow) -> Result<Self, Error> {
        let opened = keyring.open_provider(
            Purpose::Url,
            &rule_seal_scope(row.version),
            row.rule_id,
            &row.sealed_match,
        )?;
        let (host, path_prefix) = opened
            .text()?
            .split_once('\n')
            .ok_or(SealedError::Malformed)?;
        Ok(Self::parse(host, path_prefix)?)
    }

    /// A prefix ends at a boundary: `/a` matches `/a`, `/a/b` and `/a?b`, but not `/ab`.
    fn matches_path(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix(&self.path_prefix) else {
            return false;
        };
        self.path_prefix.is_empty()
            || self.path_prefix.ends_with('/')
            || rest.is_empty()
            || rest.starts_with(['/', '?'])
    }
}

/// To which sealed values of a rule version are bound, so that none can be replaced by that of another
/// version.
pub(crate) fn rule_seal_scope(version: i32) -> String {
    format!("rule@{version}")
}

struct ActiveRule {
    pattern: RulePattern,
    decides: VerdictWithBasis,
}

/// The rules in force, by host.
#[derive(Default)]
pub(super) struct RuleIndex(HashMap<String, Vec<ActiveRule>>);

impl RuleIndex {
    pub(super) fn new(keyring: &Keyring, rows: &[RuleRow]) -> Self {
        let mut by_host: HashMap<String, Vec<ActiveRule>> = HashMap::new();
        for row in rows {
            let entry = RulePattern::open(keyring, row)
                .and_then(|pattern| Ok((pattern, row.case_verdict()?)));
            let Some((pattern, verdict)) = readable_or_alarm(entry) else {
                continue;
            };
            let decides = VerdictWithBasis {
                verdict,
                basis: format!("rule:{}@{}", row.rule_id, row.version),
                approvers: row
                    .approved_by
                    .into_iter()
                    .chain([row.proposed_by])
                    .collect(),
            };
            by_host
                .entry(pattern.host.reveal().to_owned())
                .or_default()
                .push(ActiveRule { pattern, decides });
        }
        Self(by_host)
    }

    /// The verdict of the rules on this URL, among the trusted ones. If several rules match, an actionable
    /// one wins over another one (see the module's header), then the longer host, then the longer path
    /// prefix.
    pub(super) fn decide(
        &self,
        url: &CanonicalUrl,
        is_trusted: impl Fn(&&VerdictWithBasis) -> bool,
    ) -> Option<&VerdictWithBasis> {
        if self.0.is_empty() {
            return None;
        }
        let path = url.reveal_path_and_query();
        url.host()
            .domain()?
            .ancestry()
            .filter_map(|host| self.0.get(host))
            .flatten()
            .filter(|rule| rule.pattern.matches_path(path) && is_trusted(&&rule.decides))
            .min_by_key(|rule| {
                (
                    !rule.decides.verdict.is_actionable(),
                    Reverse(rule.pattern.host.reveal().len()),
                    Reverse(rule.pattern.path_prefix.len()),
                    rule.decides.basis.clone(),
                )
            })
            .map(|rule| &rule.decides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_boundary() {
        let pattern = RulePattern::parse("Host.Example", "/a").unwrap();
        for path in ["/a", "/a/b", "/a?b"] {
            assert!(pattern.matches_path(path), "{path}");
        }
        assert!(!pattern.matches_path("/ab"));
        assert!(
            RulePattern::parse("host.example", "")
                .unwrap()
                .matches_path("/ab")
        );
    }

    #[test]
    fn a_rule_needs_a_host_name_and_an_absolute_path_prefix() {
        for (host, path) in [
            ("", ""),
            ("https://host.example/", ""),
            ("example", ""),
            ("host.example", "a"),
            ("host.example", "/\u{7f}"),
        ] {
            assert!(RulePattern::parse(host, path).is_err(), "{host:?} {path:?}");
        }
    }
}
