//! Matching against approved hash lists (exactly, or by distance for PDQ hashes) and approved rules by host.
//! What a match does to a case is decided by the lifecycle.
//!
//! If sources disagree, a list wins over a rule, because it identifies the material itself and not only its
//! location. Among lists, actionable wins over not actionable, then the more severe category: leaving illegal
//! material online is worse than an unnecessary second assessment.

mod pdq_index;
pub(crate) mod rules;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use domain::enums::Category;
use domain::hash::{Hash, Pdq};
use domain::url::CanonicalUrl;
use platform::sealed::{Keyring, Purpose, TagPurpose};
use sqlx::PgConnection;
use tokio::sync::Mutex;

use self::pdq_index::PdqIndex;
use self::rules::RuleIndex;
use crate::case::{CaseVerdict, VerdictWithBasis};
use crate::error::Error;
use crate::store;
use crate::store::hash_lists::PdqEntryRow;
use crate::store::rules::RuleRow;

/// What a case is matched by.
#[derive(Default)]
pub(crate) struct MatchKeys {
    pub(crate) tags: Vec<[u8; 32]>,
    pub(crate) pdq: Vec<Pdq>,
    pub(crate) url: Option<CanonicalUrl>,
    /// Bases that were wrong about the case; they do not match it again.
    pub(crate) withdrawn_bases: Vec<String>,
}

impl MatchKeys {
    pub(crate) fn add(&mut self, keyring: &Keyring, hashes: &[Hash]) {
        for hash in hashes {
            self.tags.extend(tags(keyring, hash));
            if let Hash::Pdq(pdq) = hash {
                self.pdq.push(*pdq);
            }
        }
    }
}

/// The tags of a hash under every index key in use, the current key first.
pub(crate) fn tags(keyring: &Keyring, hash: &Hash) -> Vec<[u8; 32]> {
    let mut value = hash.kind().as_str().as_bytes().to_vec();
    value.push(0);
    value.extend_from_slice(hash.reveal_octets());
    keyring
        .tags(TagPurpose::Hash, &value)
        .into_iter()
        .map(|tag| tag.bytes)
        .collect()
}

/// To which sealed hashes of a list version are bound.
pub(crate) fn list_seal_scope(list: &str, version: i32) -> String {
    format!("list/{list}@{version}")
}

/// The approved rules and PDQ hashes in memory. Loaded again when `matching_version` has grown.
pub(crate) struct MatchIndexCache {
    keyring: Arc<Keyring>,
    index: RwLock<Arc<MatchIndex>>,
    /// Held while one task loads the index; the others wait for its result.
    loading: Mutex<()>,
}

/// The rules and PDQ hashes that were approved at a matching version. The other hashes are looked up in the
/// database.
#[derive(Default)]
pub(crate) struct MatchIndex {
    pub(crate) version: i64,
    rules: RuleIndex,
    pdq: PdqIndex,
    pdq_verdicts: Vec<VerdictWithBasis>,
}

impl MatchIndexCache {
    pub(crate) fn new(keyring: Arc<Keyring>) -> Self {
        Self {
            keyring,
            index: RwLock::default(),
            loading: Mutex::default(),
        }
    }

    /// What is approved now. The version is read first, so that a concurrent change is found by the next
    /// timer round. To be called before any case is locked.
    ///
    /// # Errors
    ///
    /// Only database errors: an unreadable entry must not block the other entries, nor any report.
    pub(crate) async fn current(&self, conn: &mut PgConnection) -> sqlx::Result<Arc<MatchIndex>> {
        let version = store::matching_version::current(conn).await?;
        if let Some(index) = self.cached(version) {
            return Ok(index);
        }
        let _loading = self.loading.lock().await;
        if let Some(index) = self.cached(version) {
            return Ok(index);
        }
        let rules = store::rules::in_force(conn).await?;
        let pdq_entries = store::hash_lists::pdq_entries(conn).await?;
        let index = Arc::new(MatchIndex::load(
            &self.keyring,
            version,
            &rules,
            pdq_entries,
        ));
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&index);
        Ok(index)
    }

    /// The cached index, if it is not older than this version.
    fn cached(&self, version: i64) -> Option<Arc<MatchIndex>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        (index.version >= version).then(|| Arc::clone(&index))
    }
}

impl MatchIndex {
    fn load(
        keyring: &Keyring,
        version: i64,
        rules: &[RuleRow],
        pdq_entries: Vec<PdqEntryRow>,
    ) -> Self {
        let mut hashes = Vec::with_capacity(pdq_entries.len());
        let mut pdq_verdicts = Vec::with_capacity(pdq_entries.len());
        for row in pdq_entries {
            let Some((hash, verdict)) = readable_or_alarm(open(keyring, &row)) else {
                continue;
            };
            hashes.push(hash);
            pdq_verdicts.push(VerdictWithBasis {
                verdict,
                basis: format!("list:{}@{}", row.list, row.version),
                approvers: row.approvers,
            });
        }
        Self {
            version,
            rules: RuleIndex::new(keyring, rules),
            pdq: PdqIndex::new(hashes),
            pdq_verdicts,
        }
    }
}

fn open(keyring: &Keyring, row: &PdqEntryRow) -> Result<(Pdq, CaseVerdict), Error> {
    let scope = list_seal_scope(&row.list, row.version);
    let opened = keyring.open_provider(Purpose::Hash, &scope, row.entry_id, &row.sealed_hash)?;
    Ok((Pdq::from_octets(opened.array()?), row.case_verdict()?))
}

/// Raises an alarm for a rule or list entry that cannot be read; it then decides nothing.
fn readable_or_alarm<T>(entry: Result<T, Error>) -> Option<T> {
    entry
        .inspect_err(|error| {
            tracing::error!(alarm = "list_or_rule_unreadable", %error, error.code = error.code(), "a rule or a list entry cannot be read and decides nothing");
        })
        .ok()
}

/// The verdict of lists and rules on each of these, with one query for all.
pub(crate) async fn find_matches(
    conn: &mut PgConnection,
    index: &MatchIndex,
    keys: &[&MatchKeys],
) -> sqlx::Result<Vec<Option<VerdictWithBasis>>> {
    let tags: HashSet<&[u8]> = keys
        .iter()
        .flat_map(|keys| keys.tags.iter().map(<[u8; 32]>::as_slice))
        .collect();
    let tags: Vec<&[u8]> = tags.into_iter().collect();
    let mut by_tag: HashMap<Vec<u8>, Vec<VerdictWithBasis>> = HashMap::new();
    for entry in store::hash_lists::match_tags(conn, &tags).await? {
        let Some(verdict) = readable_or_alarm(entry.case_verdict()) else {
            continue;
        };
        by_tag.entry(entry.tag).or_default().push(VerdictWithBasis {
            verdict,
            basis: format!("list:{}@{}", entry.list, entry.version),
            approvers: entry.approvers,
        });
    }
    Ok(keys
        .iter()
        .map(|keys| {
            let exact = keys
                .tags
                .iter()
                .filter_map(|tag| by_tag.get(tag.as_slice()))
                .flatten();
            let near = keys
                .pdq
                .iter()
                .flat_map(|pdq| index.pdq.find_near(pdq))
                .map(|position| &index.pdq_verdicts[position]);
            let is_trusted =
                |matched: &&VerdictWithBasis| !keys.withdrawn_bases.contains(&matched.basis);
            exact
                .chain(near)
                .filter(is_trusted)
                .min_by_key(|matched| list_rank(matched))
                .or_else(|| index.rules.decide(keys.url.as_ref()?, is_trusted))
                .cloned()
        })
        .collect())
}

/// Orders the matches of lists; the lowest wins.
fn list_rank(matched: &VerdictWithBasis) -> (bool, Option<Category>, &str) {
    (
        !matched.verdict.is_actionable(),
        matched.verdict.category(),
        &matched.basis,
    )
}
