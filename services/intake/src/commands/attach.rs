//! Which case an item belongs to. A URL has one case for ever; whoever loses the race to open it joins the winner's.

use std::collections::{BTreeMap, HashMap};

use domain::id::CaseId;
use platform::sealed::{DataKey, Keyring, Tag, WrappedKey};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::error::Error;
use crate::store;
use crate::submission::Item;

/// The case of an item.
pub(super) struct Attached {
    pub case: CaseId,
    pub wrapped: WrappedKey,
    /// Absent for the item that opened the case: it is sealed already.
    pub key: Option<DataKey>,
}

/// Finds or opens the case of each item, and locks all of them, ascending. In the order of the items.
pub(super) async fn attach(
    conn: &mut PgConnection,
    keyring: &Keyring,
    items: &[&Item],
    now: OffsetDateTime,
) -> Result<Vec<Attached>, Error> {
    // By the current key's tag, ascending: the order in which every transaction inserts.
    let mut firsts: BTreeMap<[u8; 32], &Item> = BTreeMap::new();
    for item in items {
        firsts.entry(url_tag(item).bytes).or_insert(item);
    }
    let cases = resolve(conn, &firsts).await?;
    let opened: Vec<(CaseId, &WrappedKey)> = firsts
        .iter()
        .filter(|(tag, item)| cases.get(*tag) == Some(&item.fresh.case))
        .map(|(_, item)| (item.fresh.case, &item.fresh.wrapped))
        .collect();
    store::insert_cases(conn, &opened, now).await?;

    let mut ids: Vec<_> = cases.values().map(|case| case.uuid()).collect();
    ids.sort_unstable();
    let keys: HashMap<CaseId, WrappedKey> =
        store::lock_cases(conn, &ids).await?.into_iter().collect();
    items
        .iter()
        .map(|item| {
            let case = *cases.get(&url_tag(item).bytes).ok_or_else(|| lost(item))?;
            let wrapped = keys.get(&case).ok_or_else(|| lost(item))?.clone();
            let key = (case != item.fresh.case)
                .then(|| keyring.unwrap(case.uuid(), &wrapped))
                .transpose()?;
            Ok(Attached { case, wrapped, key })
        })
        .collect()
}

/// The case of each tag: known, taken now, or just taken by a neighbour.
async fn resolve(
    conn: &mut PgConnection,
    firsts: &BTreeMap<[u8; 32], &Item>,
) -> Result<HashMap<[u8; 32], CaseId>, Error> {
    let all: Vec<&Tag> = firsts.values().flat_map(|item| &item.tags).collect();
    let known: HashMap<[u8; 32], CaseId> =
        store::find_tags(conn, &all).await?.into_iter().collect();
    let mut missing = Vec::new();
    for item in firsts.values() {
        // A case found by the previous key's tag gets the current one's beside it.
        let case = item.tags.iter().find_map(|tag| known.get(&tag.bytes));
        let case = case.copied().unwrap_or(item.fresh.case);
        let new = item
            .tags
            .iter()
            .filter(|tag| !known.contains_key(&tag.bytes));
        missing.extend(new.map(|tag| (tag, case)));
    }
    if missing.is_empty() {
        return Ok(known);
    }
    missing.sort_unstable_by_key(|(tag, _)| tag.bytes);
    store::insert_tags(conn, &missing).await?;
    // A second look: `on conflict do nothing` says nothing about what a neighbour has just committed.
    Ok(store::find_tags(conn, &all).await?.into_iter().collect())
}

fn url_tag(item: &Item) -> &Tag {
    // The current key's; a keyring does not open without one.
    &item.tags[0]
}

fn lost(item: &Item) -> Error {
    Error::BadRow {
        table: "case_tag",
        column: "case_id",
        id: item.report.to_string(),
    }
}
