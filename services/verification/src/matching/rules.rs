//! Standing rules in memory, by host. Must not look at anything of a URL but host and path.

use std::cmp::Reverse;
use std::collections::HashMap;

use domain::Invalid;
use domain::url::{CanonicalUrl, DomainName};
use platform::sealed::{Keyring, Purpose, SealedError};
use uuid::Uuid;

use super::{Known, readable};
use crate::case::Finding;
use crate::error::Error;
use crate::store::rules::RuleRow;

/// Longest path prefix, in characters.
const MAX_PREFIX: usize = 500;

/// What a rule matches. It is kept sealed: a host on a rule is as telling as a URL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) host: DomainName,
    /// Empty for all, or begins with `/`.
    pub(crate) path_prefix: String,
}

impl Pattern {
    /// Reads what a person wrote.
    pub(crate) fn parse(host: &str, path_prefix: &str) -> Result<Self, Invalid> {
        if host.trim().is_empty() {
            return Err(Invalid::missing("rule.host"));
        }
        let host = DomainName::parse(host).map_err(|_| {
            Invalid::new(
                "host_malformed",
                "rule.host",
                "a rule names a host by its whole name of at least two labels, without scheme or path",
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
            .seal_provider(Purpose::Url, &place(version), rule, text.as_bytes())
            .into_bytes()
    }

    pub(crate) fn open(keyring: &Keyring, row: &RuleRow) -> Result<Self, Error> {
        let opened = keyring.open_provider(
            Purpose::Url,
            &place(row.version),
            row.rule_id,
            &row.sealed_match,
        )?;
        let (host, path_prefix) = opened
            .text()?
            .split_once('\n')
            .ok_or(SealedError::Malformed)?;
        Ok(Self::parse(host, path_prefix)?)
    }

    /// A prefix ends at a boundary: `/a` holds for `/a`, `/a/b` and `/a?b`, not for `/ab`.
    fn holds_for(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix(&self.path_prefix) else {
            return false;
        };
        self.path_prefix.is_empty()
            || self.path_prefix.ends_with('/')
            || rest.is_empty()
            || rest.starts_with(['/', '?'])
    }
}

/// Sealed values of a rule are bound to its version too, so that none can be put in another's place.
pub(crate) fn place(version: i32) -> String {
    format!("rule@{version}")
}

struct Standing {
    pattern: Pattern,
    known: Known,
    finding: Finding,
}

#[derive(Default)]
pub(super) struct Rules(HashMap<String, Vec<Standing>>);

impl Rules {
    pub(super) fn new(keyring: &Keyring, rows: &[RuleRow]) -> Self {
        let mut by_host: HashMap<String, Vec<Standing>> = HashMap::new();
        for row in rows {
            let entry = Pattern::open(keyring, row).and_then(|it| Ok((it, row.finding()?)));
            let Some((pattern, finding)) = readable(entry) else {
                continue;
            };
            let known = Known {
                finding,
                basis: format!("rule:{}@{}", row.rule_id, row.version),
                approvers: row
                    .approved_by
                    .into_iter()
                    .chain([row.proposed_by])
                    .collect(),
            };
            let standing = Standing {
                known,
                finding,
                pattern: pattern.clone(),
            };
            by_host
                .entry(pattern.host.reveal().to_owned())
                .or_default()
                .push(standing);
        }
        Self(by_host)
    }

    /// The rule that decides this URL, among those that are asked. Where several hold, one that is actionable comes before one that is not
    /// (missing what must go is worse than looking twice), then the longer host, then the longer path.
    pub(super) fn decide(
        &self,
        url: &CanonicalUrl,
        is_asked: impl Fn(&&Known) -> bool,
    ) -> Option<&Known> {
        if self.0.is_empty() {
            return None;
        }
        let path = url.reveal_path_and_query();
        url.host()
            .domain()?
            .ancestry()
            .filter_map(|host| self.0.get(host))
            .flatten()
            .filter(|rule| rule.pattern.holds_for(path) && is_asked(&&rule.known))
            .min_by_key(|rule| {
                (
                    !rule.finding.is_actionable(),
                    Reverse(rule.pattern.host.reveal().len()),
                    Reverse(rule.pattern.path_prefix.len()),
                    rule.known.basis.clone(),
                )
            })
            .map(|rule| &rule.known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_boundary() {
        let pattern = Pattern::parse("Host.Example", "/a").unwrap();
        for path in ["/a", "/a/b", "/a?b"] {
            assert!(pattern.holds_for(path), "{path}");
        }
        assert!(!pattern.holds_for("/ab"));
        assert!(Pattern::parse("host.example", "").unwrap().holds_for("/ab"));
    }

    #[test]
    fn a_rule_names_a_host_and_a_path() {
        for (host, path) in [
            ("", ""),
            ("https://host.example/", ""),
            ("example", ""),
            ("host.example", "a"),
            ("host.example", "/\u{7f}"),
        ] {
            assert!(Pattern::parse(host, path).is_err(), "{host:?} {path:?}");
        }
    }
}
