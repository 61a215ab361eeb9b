//! The SQL of `hash_list` and `hash_entry`. No decisions.

use std::collections::HashMap;

use domain::enums::{Category, NotActionableReason};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::case_verdict;
use crate::case::CaseVerdict;
use crate::error::Error;

#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct HashListRow {
    pub(crate) list: String,
    pub(crate) version: i32,
    pub(crate) entries: i64,
    pub(crate) imported_by: Vec<Uuid>,
    pub(crate) approved_by: Option<Uuid>,
}

/// Locks the newest version of a list.
pub(crate) async fn lock_newest(
    conn: &mut PgConnection,
    list: &str,
) -> sqlx::Result<Option<HashListRow>> {
    sqlx::query_as(
        "-- lock_newest
        select list, version, entries, imported_by, approved_by from hash_list
        where list = $1 order by version desc limit 1 for update",
    )
    .bind(list)
    .fetch_optional(conn)
    .await
}

pub(crate) async fn lock_version(
    conn: &mut PgConnection,
    list: &str,
    version: i32,
) -> sqlx::Result<Option<HashListRow>> {
    sqlx::query_as(
        "-- lock_version
        select list, version, entries, imported_by, approved_by from hash_list
        where list = $1 and version = $2 for update",
    )
    .bind(list)
    .bind(version)
    .fetch_optional(conn)
    .await
}

/// Opens a version, unless a concurrent transaction has opened it.
pub(crate) async fn open_version(
    conn: &mut PgConnection,
    list: &str,
    version: i32,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- open_version
        insert into hash_list (list, version, entries, imported_by) values ($1, $2, 0, '{}')
        on conflict (list, version) do nothing",
    )
    .bind(list)
    .bind(version)
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds to the number of entries and to the importers.
pub(crate) async fn record_import(
    conn: &mut PgConnection,
    list: &str,
    version: i32,
    added: i64,
    by: Uuid,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- record_import
        update hash_list set entries = entries + $3,
            imported_by = case when $4 = any (imported_by) then imported_by else imported_by || $4 end
        where list = $1 and version = $2",
    )
    .bind(list)
    .bind(version)
    .bind(added)
    .bind(by)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn approve(
    conn: &mut PgConnection,
    list: &str,
    version: i32,
    by: Uuid,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- approve
        update hash_list set approved_by = $3, approved_at = $4
        where list = $1 and version = $2 and approved_by is null",
    )
    .bind(list)
    .bind(version)
    .bind(by)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<HashListRow>> {
    sqlx::query_as(
        "-- all_hash_lists
        select list, version, entries, imported_by, approved_by from hash_list order by list, version",
    )
    .fetch_all(conn)
    .await
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    tag: Vec<u8>,
    version: i32,
    category: Option<String>,
    reason: Option<String>,
}

/// For each tag, the newest version of the list that has it, and the verdict of that version.
pub(crate) async fn newest_entries(
    conn: &mut PgConnection,
    list: &str,
    tags: &[&[u8]],
) -> Result<HashMap<Vec<u8>, (i32, CaseVerdict)>, Error> {
    let rows: Vec<EntryRow> = sqlx::query_as(
        "-- newest_entries
        select distinct on (tag) tag, version, category, reason from hash_entry
        where list = $1 and tag = any ($2) order by tag, version desc",
    )
    .bind(list)
    .bind(tags)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let verdict = case_verdict(row.category.as_deref(), row.reason.as_deref())
                .ok_or_else(|| Error::bad_row("hash_entry", "category", list))?;
            Ok((row.tag, (row.version, verdict)))
        })
        .collect()
}

/// An entry, under one of the tags of its hash.
pub(crate) struct NewEntry {
    pub(crate) tag: [u8; 32],
    pub(crate) verdict: CaseVerdict,
    pub(crate) id: Uuid,
    pub(crate) sealed_hash: Option<Vec<u8>>,
}

pub(crate) async fn insert_entries(
    conn: &mut PgConnection,
    list: &str,
    version: i32,
    entries: &[NewEntry],
) -> sqlx::Result<()> {
    sqlx::query(
        "-- insert_entries
        insert into hash_entry (tag, list, version, category, reason, entry_id, sealed_hash)
        select n.tag, $1, $2, n.category, n.reason, n.entry_id, n.sealed_hash
        from unnest($3::bytea[], $4::text[], $5::text[], $6::uuid[], $7::bytea[])
            as n (tag, category, reason, entry_id, sealed_hash)
        order by n.tag",
    )
    .bind(list)
    .bind(version)
    .bind(entries.iter().map(|e| e.tag.as_slice()).collect::<Vec<_>>())
    .bind(
        entries
            .iter()
            .map(|e| e.verdict.category().map(Category::as_str))
            .collect::<Vec<_>>(),
    )
    .bind(
        entries
            .iter()
            .map(|e| e.verdict.reason().map(NotActionableReason::as_str))
            .collect::<Vec<_>>(),
    )
    .bind(entries.iter().map(|e| e.id).collect::<Vec<_>>())
    .bind(
        entries
            .iter()
            .map(|e| e.sealed_hash.as_deref())
            .collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The verdict of an approved version on a tag.
#[derive(sqlx::FromRow)]
pub(crate) struct TagMatchRow {
    pub(crate) tag: Vec<u8>,
    pub(crate) list: String,
    pub(crate) version: i32,
    category: Option<String>,
    reason: Option<String>,
    /// Subjects who approved or imported the version.
    pub(crate) approvers: Vec<Uuid>,
}

impl TagMatchRow {
    pub(crate) fn case_verdict(&self) -> Result<CaseVerdict, Error> {
        case_verdict(self.category.as_deref(), self.reason.as_deref())
            .ok_or_else(|| Error::bad_row("hash_entry", "category", &self.list))
    }
}

/// The verdicts of the approved lists on these tags. Of each list, the newest approved version that has the
/// tag counts.
pub(crate) async fn match_tags(
    conn: &mut PgConnection,
    tags: &[&[u8]],
) -> sqlx::Result<Vec<TagMatchRow>> {
    if tags.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "-- match_tags
        select distinct on (e.tag, e.list) e.tag, e.list, e.version, e.category, e.reason,
            l.approved_by || l.imported_by as approvers
        from unnest($1::bytea[]) as t (tag)
        join hash_entry e on e.tag = t.tag
        join hash_list l on l.list = e.list and l.version = e.version and l.approved_by is not null
        order by e.tag, e.list, e.version desc",
    )
    .bind(tags)
    .fetch_all(conn)
    .await
}

#[derive(sqlx::FromRow)]
pub(crate) struct PdqEntryRow {
    pub(crate) list: String,
    pub(crate) version: i32,
    pub(crate) category: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) entry_id: Uuid,
    pub(crate) sealed_hash: Vec<u8>,
    pub(crate) approvers: Vec<Uuid>,
}

impl PdqEntryRow {
    pub(crate) fn case_verdict(&self) -> Result<CaseVerdict, Error> {
        case_verdict(self.category.as_deref(), self.reason.as_deref())
            .ok_or_else(|| Error::bad_row("hash_entry", "category", self.entry_id))
    }
}

/// The approved entries with a PDQ hash. Of each list, the newest approved version that has the hash counts.
pub(crate) async fn pdq_entries(conn: &mut PgConnection) -> sqlx::Result<Vec<PdqEntryRow>> {
    sqlx::query_as(
        "-- pdq_entries
        select distinct on (e.tag, e.list) e.list, e.version, e.category, e.reason, e.entry_id, e.sealed_hash,
            l.approved_by || l.imported_by as approvers
        from hash_entry e
        join hash_list l on l.list = e.list and l.version = e.version and l.approved_by is not null
        where e.sealed_hash is not null
        order by e.tag, e.list, e.version desc",
    )
    .fetch_all(conn)
    .await
}
