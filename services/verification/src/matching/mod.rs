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
use uuid::Uuid;

use self::near::NearIndex;
use self::rules::Rules;
use crate::case::Finding;
use crate::error::Error;
use crate::store;

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
        }
    }

    /// What is approved now. The epoch is read first, so that what changes meanwhile is found by the next sweep.
    pub(crate) async fn current(&self, conn: &mut PgConnection) -> Result<Arc<Held>, Error> {
        let epoch = store::lists::epoch(conn).await?;
        let held = Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner));
        if held.epoch == epoch {
            return Ok(held);
        }
        let rules = Rules::new(&self.keyring, &store::rules::standing(conn).await?)?;
        let rows = store::lists::near(conn).await?;
        let mut hashes = Vec::with_capacity(rows.len());
        let mut near_known = Vec::with_capacity(rows.len());
        for row in rows {
            let opened = self.keyring.open_provider(
                Purpose::Hash,
                &list_place(&row.list, row.version),
                row.entry_id,
                &row.sealed_hash,
            )?;
            hashes.push(Pdq::from_octets(opened.array()?));
            near_known.push(Known {
                finding: row.finding()?,
                basis: format!("list:{}@{}", row.list, row.version),
                approvers: row.approvers,
            });
        }
        let held = Arc::new(Held {
            epoch,
            rules,
            near: NearIndex::new(hashes),
            near_known,
        });
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&held);
        Ok(held)
    }
}

/// What is known of each of these, by one look-up for all.
pub(crate) async fn known(
    conn: &mut PgConnection,
    held: &Held,
    marks: &[&Marks],
) -> Result<Vec<Option<Known>>, Error> {
    let tags: HashSet<&[u8]> = marks
        .iter()
        .flat_map(|marks| marks.tags.iter().map(<[u8; 32]>::as_slice))
        .collect();
    let tags: Vec<&[u8]> = tags.into_iter().collect();
    let mut by_tag: HashMap<Vec<u8>, Vec<Known>> = HashMap::new();
    for hash in store::lists::known_tags(conn, &tags).await? {
        by_tag.entry(hash.tag).or_default().push(Known {
            finding: hash.finding,
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
            exact
                .chain(near)
                .min_by_key(|known| list_rank(known))
                .or_else(|| held.rules.decide(marks.url.as_ref()?))
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
