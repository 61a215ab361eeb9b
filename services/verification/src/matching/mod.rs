//! What is known already: hashes on approved lists, exactly or (PDQ) nearly, and approved rules by host.
//! Must not decide what a match does to a case; that is the lifecycle's.
//!
//! Where sources disagree: a list knows the very material and wins over a rule, which knows only where it lies.
//! Among lists, actionable wins over not actionable, then the severer category: missing what must go is worse than
//! looking twice.

mod near;
pub(crate) mod rules;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use domain::hash::{Hash, Pdq};
use domain::url::CanonicalUrl;
use platform::sealed::{Keyring, Purpose, TagPurpose};
use sqlx::PgConnection;
use tokio::sync::Mutex;
use uuid::Uuid;

use self::near::NearIndex;
use self::rules::Rules;
use crate::case::Finding;
use crate::error::Error;
use crate::store;
use crate::store::lists::NearRow;
use crate::store::rules::RuleRow;

/// What a list or a rule says, and who stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) finding: Finding,
    /// `list:<name>@<version>` or `rule:<id>@<version>`.
    pub(crate) basis: String,
    pub(crate) approvers: Vec<Uuid>,
}

/// What a case is matched by.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) tags: Vec<[u8; 32]>,
    pub(crate) near: Vec<Pdq>,
    pub(crate) url: Option<CanonicalUrl>,
    /// Bases that were wrong about the case: they are not asked again.
    pub(crate) withdrawn: Vec<String>,
}

impl Marks {
    pub(crate) fn add(&mut self, keyring: &Keyring, hashes: &[Hash]) {
        for hash in hashes {
            self.tags.extend(tags(keyring, hash));
            if let Hash::Pdq(pdq) = hash {
                self.near.push(*pdq);
            }
        }
    }
}

/// The tags of a hash, under every index key in use.
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

/// Where a list's sealed hash belongs.
pub(crate) fn list_place(list: &str, version: i32) -> String {
    format!("list/{list}@{version}")
}

/// The approved rules and near-matched hashes in memory, read again when another process or this one approves some.
pub(crate) struct Library {
    keyring: Arc<Keyring>,
    held: RwLock<Arc<Held>>,
    /// Held by whoever reads them again; the others wait for what they read.
    reading: Mutex<()>,
}

/// What was approved at some epoch.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) epoch: i64,
    rules: Rules,
    near: NearIndex,
    near_known: Vec<Known>,
}

impl Library {
    pub(crate) fn new(keyring: Arc<Keyring>) -> Self {
        Self {
            keyring,
            held: RwLock::default(),
            reading: Mutex::default(),
        }
    }

    /// What is approved now. The epoch is read first, so that what changes meanwhile is found by the next sweep. To be
    /// asked before any case is locked. It can fail by the database alone: one entry that cannot be read must not keep
    /// the others from deciding, nor any report from being heard.
    pub(crate) async fn current(&self, conn: &mut PgConnection) -> sqlx::Result<Arc<Held>> {
        let epoch = store::lists::epoch(conn).await?;
        if let Some(held) = self.at(epoch) {
            return Ok(held);
        }
        let _alone = self.reading.lock().await;
        if let Some(held) = self.at(epoch) {
            return Ok(held);
        }
        let rules = store::rules::standing(conn).await?;
        let near = store::lists::near(conn).await?;
        let held = Arc::new(Held::read(&self.keyring, epoch, &rules, near));
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&held);
        Ok(held)
    }

    /// What is held, where it is not older.
    fn at(&self, epoch: i64) -> Option<Arc<Held>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        (held.epoch >= epoch).then(|| Arc::clone(&held))
    }
}

impl Held {
    fn read(keyring: &Keyring, epoch: i64, rules: &[RuleRow], near: Vec<NearRow>) -> Self {
        let mut hashes = Vec::with_capacity(near.len());
        let mut near_known = Vec::with_capacity(near.len());
        for row in near {
            let Some((hash, finding)) = readable(open(keyring, &row)) else {
                continue;
            };
            hashes.push(hash);
            near_known.push(Known {
                finding,
                basis: format!("list:{}@{}", row.list, row.version),
                approvers: row.approvers,
            });
        }
        Self {
            epoch,
            rules: Rules::new(keyring, rules),
            near: NearIndex::new(hashes),
            near_known,
        }
    }
}

fn open(keyring: &Keyring, row: &NearRow) -> Result<(Pdq, Finding), Error> {
    let place = list_place(&row.list, row.version);
    let opened = keyring.open_provider(Purpose::Hash, &place, row.entry_id, &row.sealed_hash)?;
    Ok((Pdq::from_octets(opened.array()?), row.finding()?))
}

/// An entry of a list or a rule that can be read; another one is alarmed and decides nothing.
fn readable<T>(entry: Result<T, Error>) -> Option<T> {
    entry
        .inspect_err(|error| {
            tracing::error!(alarm = "knowledge_unreadable", %error, error.code = error.code(), "a rule or an entry of a list decides nothing");
        })
        .ok()
}

/// What is known of each of these, by one look-up for all.
pub(crate) async fn known(
    conn: &mut PgConnection,
    held: &Held,
    marks: &[&Marks],
) -> sqlx::Result<Vec<Option<Known>>> {
    let tags: HashSet<&[u8]> = marks
        .iter()
        .flat_map(|marks| marks.tags.iter().map(<[u8; 32]>::as_slice))
        .collect();
    let tags: Vec<&[u8]> = tags.into_iter().collect();
    let mut by_tag: HashMap<Vec<u8>, Vec<Known>> = HashMap::new();
    for hash in store::lists::known_tags(conn, &tags).await? {
        let Some(finding) = readable(hash.finding()) else {
            continue;
        };
        by_tag.entry(hash.tag).or_default().push(Known {
            finding,
            basis: format!("list:{}@{}", hash.list, hash.version),
            approvers: hash.approvers,
        });
    }
    Ok(marks
        .iter()
        .map(|marks| {
            let exact = marks
                .tags
                .iter()
                .filter_map(|tag| by_tag.get(tag.as_slice()))
                .flatten();
            let near = marks
                .near
                .iter()
                .flat_map(|pdq| held.near.near(pdq))
                .map(|place| &held.near_known[place]);
            let is_asked = |known: &&Known| !marks.withdrawn.contains(&known.basis);
            exact
                .chain(near)
                .filter(is_asked)
                .min_by_key(|known| list_rank(known))
                .or_else(|| held.rules.decide(marks.url.as_ref()?, is_asked))
                .cloned()
        })
        .collect())
}

fn list_rank(known: &Known) -> (bool, Option<domain::word::Category>, &str) {
    (
        !known.finding.is_actionable(),
        known.finding.category(),
        &known.basis,
    )
}
