//! Hash lists: imported by one person, approved by another. A later version adds to and corrects the earlier
//! ones.

use std::collections::HashMap;

use domain::hash::Hash;
use platform::principal::Role;
use platform::sealed::Purpose;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::auth::Person;
use crate::case::CaseVerdict;
use crate::context::CommandContext;
use crate::error::{CommandRefusal, Error};
use crate::matching::{list_seal_scope, tags};
use crate::store;
use crate::store::hash_lists::{HashListRow, NewEntry};

/// One entry of an import.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImportEntry {
    pub(crate) hash: Hash,
    pub(crate) verdict: CaseVerdict,
    /// Its index in the request.
    pub(crate) index: usize,
}

#[derive(Debug, Default)]
pub(crate) struct ImportResult {
    pub(crate) added: u32,
    pub(crate) known: u32,
    /// Indexes of entries that contradict another one in the same version.
    pub(crate) contradicting: Vec<usize>,
    pub(crate) version: i32,
}

/// Adds to the open version of the list. An entry that the list already contains is counted as known and not
/// added.
pub(crate) async fn import(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    list: &str,
    entries: &[ImportEntry],
) -> Result<ImportResult, Error> {
    person.require_any([Role::Supervisor, Role::Analyst])?;
    let version = open_version(conn, list).await?;
    // By the tag under the current key: one entry for each hash.
    let mut wanted: HashMap<[u8; 32], (&ImportEntry, Vec<[u8; 32]>)> = HashMap::new();
    let mut imported = ImportResult {
        version,
        ..ImportResult::default()
    };
    for entry in entries {
        let tags = tags(&context.keyring, &entry.hash);
        match wanted.get(&tags[0]) {
            None => {
                wanted.insert(tags[0], (entry, tags));
            }
            Some((other, _)) if other.verdict == entry.verdict => imported.known += 1,
            Some(_) => imported.contradicting.push(entry.index),
        }
    }
    let wanted_tags: Vec<&[u8]> = wanted
        .values()
        .flat_map(|(_, tags)| tags.iter().map(<[u8; 32]>::as_slice))
        .collect();
    let known = store::hash_lists::newest_entries(conn, list, &wanted_tags).await?;

    let mut new = Vec::new();
    for (entry, tags) in wanted.into_values() {
        let existing = tags.iter().find_map(|tag| known.get(tag.as_slice()));
        match existing {
            Some((_, verdict)) if *verdict == entry.verdict => imported.known += 1,
            Some((in_version, _)) if *in_version == version => {
                imported.contradicting.push(entry.index);
            }
            Some(_) | None => {
                imported.added += 1;
                new.extend(new_entries(context, list, version, entry, &tags));
            }
        }
    }
    imported.contradicting.sort_unstable();
    store::hash_lists::insert_entries(conn, list, version, &new).await?;
    let added = i64::from(imported.added);
    store::hash_lists::record_import(conn, list, version, added, person.subject.uuid()).await?;
    Ok(imported)
}

/// Locks the open version, after opening one if there is none.
async fn open_version(conn: &mut PgConnection, list: &str) -> Result<i32, Error> {
    // The second attempt finds a version that a concurrent transaction has opened.
    for _ in 0..2 {
        let next = match store::hash_lists::lock_newest(conn, list).await? {
            Some(newest) if newest.approved_by.is_none() => return Ok(newest.version),
            Some(newest) => newest.version + 1,
            None => 1,
        };
        store::hash_lists::open_version(conn, list, next).await?;
    }
    match store::hash_lists::lock_newest(conn, list).await? {
        Some(newest) if newest.approved_by.is_none() => Ok(newest.version),
        _ => Err(Error::Concurrent),
    }
}

fn new_entries(
    context: &CommandContext,
    list: &str,
    version: i32,
    entry: &ImportEntry,
    tags: &[[u8; 32]],
) -> Vec<NewEntry> {
    tags.iter()
        .map(|tag| {
            let id = Uuid::now_v7();
            let sealed_hash = match &entry.hash {
                Hash::Pdq(pdq) => Some(
                    context
                        .keyring
                        .seal_provider(
                            Purpose::Hash,
                            &list_seal_scope(list, version),
                            id,
                            pdq.reveal_octets(),
                        )
                        .into_bytes(),
                ),
                Hash::Md5(_) | Hash::Sha1(_) | Hash::Sha256(_) => None,
            };
            NewEntry {
                tag: *tag,
                verdict: entry.verdict,
                id,
                sealed_hash,
            }
        })
        .collect()
}

/// Puts a version into force, if it still has as many entries as the approver read: a version only grows.
/// Repeating the call has no further effect.
pub(crate) async fn approve(
    conn: &mut PgConnection,
    person: &Person,
    now: OffsetDateTime,
    list: &str,
    version: i32,
    entries: i64,
) -> Result<(), Error> {
    person.require(Role::Supervisor)?;
    let row: HashListRow = store::hash_lists::lock_version(conn, list, version)
        .await?
        .ok_or(CommandRefusal::LIST_UNKNOWN)?;
    if row.entries != entries {
        return Err(CommandRefusal::LIST_CHANGED.into());
    }
    if row.approved_by.is_some() {
        return Ok(());
    }
    let me = person.subject.uuid();
    if row.imported_by.contains(&me) {
        return Err(CommandRefusal::OWN_LIST.into());
    }
    store::hash_lists::approve(conn, list, version, me, now).await?;
    store::matching_version::advance(conn).await?;
    Ok(())
}
