//! Hash lists: imported by one person, approved by another. Versions add up; a later one corrects an earlier one.

use std::collections::HashMap;

use domain::hash::Hash;
use platform::principal::Role;
use platform::sealed::Purpose;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::auth::Person;
use crate::case::Finding;
use crate::error::{Error, Refusal};
use crate::matching::{list_place, tags};
use crate::means::Means;
use crate::store;
use crate::store::lists::{ListRow, NewEntry};

/// One line of an import.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) hash: Hash,
    pub(crate) finding: Finding,
    /// Where it stood in the request.
    pub(crate) place: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) added: u32,
    pub(crate) known: u32,
    /// Places of lines that contradict another one in the same version.
    pub(crate) contradicting: Vec<usize>,
    pub(crate) version: i32,
}

/// Adds to the list's open version; what the list already says is known, not added.
pub(crate) async fn import(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    list: &str,
    lines: &[Line],
) -> Result<Imported, Error> {
    person.require_any([Role::Supervisor, Role::Analyst])?;
    let version = open_version(conn, list).await?;
    // By the tag under the current key: the order of the list, and one line for each hash.
    let mut wanted: HashMap<[u8; 32], (&Line, Vec<[u8; 32]>)> = HashMap::new();
    let mut imported = Imported {
        version,
        ..Imported::default()
    };
    for line in lines {
        let all = tags(&means.keyring, &line.hash);
        match wanted.get(&all[0]) {
            None => {
                wanted.insert(all[0], (line, all));
            }
            Some((other, _)) if other.finding == line.finding => imported.known += 1,
            Some(_) => imported.contradicting.push(line.place),
        }
    }
    let asked: Vec<&[u8]> = wanted
        .values()
        .flat_map(|(_, all)| all.iter().map(<[u8; 32]>::as_slice))
        .collect();
    let said = store::lists::entries_of(conn, list, &asked).await?;

    let mut entries = Vec::new();
    for (line, all) in wanted.into_values() {
        let before = all.iter().find_map(|tag| said.get(tag.as_slice()));
        match before {
            Some((_, finding)) if *finding == line.finding => imported.known += 1,
            Some((theirs, _)) if *theirs == version => imported.contradicting.push(line.place),
            Some(_) | None => {
                imported.added += 1;
                entries.extend(new_entries(means, list, version, line, &all));
            }
        }
    }
    imported.contradicting.sort_unstable();
    store::lists::insert_entries(conn, list, version, &entries).await?;
    let added = i64::from(imported.added);
    store::lists::count_in(conn, list, version, added, person.subject.uuid()).await?;
    Ok(imported)
}

/// Locks the version that is open, opening one where none is.
async fn open_version(conn: &mut PgConnection, list: &str) -> Result<i32, Error> {
    // The second look finds what a neighbour has opened at the same moment.
    for _ in 0..2 {
        let next = match store::lists::lock_newest(conn, list).await? {
            Some(newest) if newest.approved_by.is_none() => return Ok(newest.version),
            Some(newest) => newest.version + 1,
            None => 1,
        };
        store::lists::open_version(conn, list, next).await?;
    }
    match store::lists::lock_newest(conn, list).await? {
        Some(newest) if newest.approved_by.is_none() => Ok(newest.version),
        _ => Err(Error::Raced),
    }
}

fn new_entries(
    means: &Means,
    list: &str,
    version: i32,
    line: &Line,
    all: &[[u8; 32]],
) -> Vec<NewEntry> {
    all.iter()
        .map(|tag| {
            let id = Uuid::now_v7();
            let sealed_hash = match &line.hash {
                Hash::Pdq(pdq) => Some(
                    means
                        .keyring
                        .seal_provider(
                            Purpose::Hash,
                            &list_place(list, version),
                            id,
                            pdq.reveal_octets(),
                        )
                        .into_bytes(),
                ),
                Hash::Md5(_) | Hash::Sha1(_) | Hash::Sha256(_) => None,
            };
            NewEntry {
                tag: *tag,
                finding: line.finding,
                id,
                sealed_hash,
            }
        })
        .collect()
}

/// Lets a version decide that still has as many entries as were read: a version only grows. Approving it twice is once.
pub(crate) async fn approve(
    conn: &mut PgConnection,
    person: &Person,
    now: OffsetDateTime,
    list: &str,
    version: i32,
    entries: i64,
) -> Result<(), Error> {
    person.require(Role::Supervisor)?;
    let row: ListRow = store::lists::lock_version(conn, list, version)
        .await?
        .ok_or(Refusal::LIST_UNKNOWN)?;
    if row.entries != entries {
        return Err(Refusal::STALE.into());
    }
    if row.approved_by.is_some() {
        return Ok(());
    }
    let me = person.subject.uuid();
    if row.imported_by.contains(&me) {
        return Err(Refusal::OWN_LIST.into());
    }
    store::lists::approve(conn, list, version, me, now).await?;
    store::lists::next_epoch(conn).await?;
    Ok(())
}
