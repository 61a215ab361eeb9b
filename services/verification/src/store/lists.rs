//! The SQL of hash lists and of the epoch of approved knowledge. No decisions.

use std::collections::HashMap;

use domain::word::{Category, NotActionableReason};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::finding;
use crate::case::Finding;
use crate::error::Error;

/// How often the approved lists and rules have changed.
pub(crate) async fn epoch(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "-- epoch
        select epoch from knowledge",
    )
    .fetch_one(conn)
    .await
}

/// Says that the approved lists or rules change in this transaction.
pub(crate) async fn next_epoch(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        "-- next_epoch
        update knowledge set epoch = epoch + 1",
    )
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ListRow {
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
) -> sqlx::Result<Option<ListRow>> {
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
) -> sqlx::Result<Option<ListRow>> {
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

/// Opens a version; it is there already when somebody else has just opened it.
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

/// Counts what was added and by whom.
pub(crate) async fn count_in(
    conn: &mut PgConnection,
    list: &str,
    version: i32,
    added: i64,
    by: Uuid,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- count_in
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

pub(crate) async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<ListRow>> {
    sqlx::query_as(
        "-- all
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

/// What the newest version that has each tag says of it, and which version that is.
pub(crate) async fn entries_of(
    conn: &mut PgConnection,
    list: &str,
    tags: &[&[u8]],
) -> Result<HashMap<Vec<u8>, (i32, Finding)>, Error> {
    let rows: Vec<EntryRow> = sqlx::query_as(
        "-- entries_of
        select distinct on (tag) tag, version, category, reason from hash_entry
        where list = $1 and tag = any ($2) order by tag, version desc",
    )
    .bind(list)
    .bind(tags)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let finding = finding(row.category.as_deref(), row.reason.as_deref())
                .ok_or_else(|| Error::bad_row("hash_entry", "category", list))?;
            Ok((row.tag, (row.version, finding)))
        })
        .collect()
}

/// An entry under one of its tags.
pub(crate) struct NewEntry {
    pub(crate) tag: [u8; 32],
    pub(crate) finding: Finding,
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
            .map(|e| e.finding.category().map(Category::as_str))
            .collect::<Vec<_>>(),
    )
    .bind(
        entries
            .iter()
            .map(|e| e.finding.reason().map(NotActionableReason::as_str))
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

/// What an approved version says of a hash.
#[derive(sqlx::FromRow)]
pub(crate) struct KnownRow {
    pub(crate) tag: Vec<u8>,
    pub(crate) list: String,
    pub(crate) version: i32,
    category: Option<String>,
    reason: Option<String>,
    /// Who approved the version, and who imported it.
    pub(crate) approvers: Vec<Uuid>,
}

impl KnownRow {
    pub(crate) fn finding(&self) -> Result<Finding, Error> {
        finding(self.category.as_deref(), self.reason.as_deref())
            .ok_or_else(|| Error::bad_row("hash_entry", "category", &self.list))
    }
}

/// What the approved versions of all lists say of these tags; the newest of each list speaks.
pub(crate) async fn known_tags(
    conn: &mut PgConnection,
    tags: &[&[u8]],
) -> sqlx::Result<Vec<KnownRow>> {
    if tags.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "-- known_tags
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
pub(crate) struct NearRow {
    pub(crate) list: String,
    pub(crate) version: i32,
    pub(crate) category: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) entry_id: Uuid,
    pub(crate) sealed_hash: Vec<u8>,
    pub(crate) approvers: Vec<Uuid>,
}

impl NearRow {
    pub(crate) fn finding(&self) -> Result<Finding, Error> {
        finding(self.category.as_deref(), self.reason.as_deref())
            .ok_or_else(|| Error::bad_row("hash_entry", "category", self.entry_id))
    }
}

/// The hashes of approved versions that are matched by nearness, each as its list's newest approved version has it.
pub(crate) async fn near(conn: &mut PgConnection) -> sqlx::Result<Vec<NearRow>> {
    sqlx::query_as(
        "-- near
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
