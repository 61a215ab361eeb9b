//! All SQL statements of intake. No decisions.

pub mod partner;
pub mod report;
pub mod submission;

use domain::id::CaseId;
use platform::sealed::{Tag, WrappedKey};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;

/// The tags that exist, with their cases.
pub async fn find_tags(
    conn: &mut PgConnection,
    tags: &[&Tag],
) -> sqlx::Result<Vec<([u8; 32], CaseId)>> {
    let bytes: Vec<&[u8]> = tags.iter().map(|tag| tag.bytes.as_slice()).collect();
    let rows = sqlx::query(
        "-- find_tags
        select tag, case_id from case_tag where tag = any($1)",
    )
    .bind(bytes)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let tag: Vec<u8> = row.try_get("tag")?;
            let tag = tag
                .try_into()
                .map_err(|_| sqlx::Error::Decode("case_tag.tag is not 32 octets".into()))?;
            Ok((tag, CaseId::new(row.try_get("case_id")?)))
        })
        .collect()
}

/// Inserts tags that do not exist yet. `rows` must be sorted by tag. A tag that a concurrent transaction has
/// inserted is left unchanged.
pub async fn insert_tags(conn: &mut PgConnection, rows: &[(&Tag, CaseId)]) -> sqlx::Result<()> {
    let keys: Vec<&str> = rows.iter().map(|(tag, _)| tag.key_id.as_str()).collect();
    let tags: Vec<&[u8]> = rows.iter().map(|(tag, _)| tag.bytes.as_slice()).collect();
    let cases: Vec<Uuid> = rows.iter().map(|(_, case)| case.uuid()).collect();
    sqlx::query(
        "-- insert_tags
        insert into case_tag (key_id, tag, case_id)
        select t.key_id, t.tag, t.case_id
        from unnest($1::text[], $2::bytea[], $3::uuid[]) with ordinality as t (key_id, tag, case_id, n)
        order by t.n
        on conflict do nothing",
    )
    .bind(keys)
    .bind(tags)
    .bind(cases)
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn insert_cases(
    conn: &mut PgConnection,
    cases: &[(CaseId, &WrappedKey)],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = cases.iter().map(|(id, _)| id.uuid()).collect();
    let keys: Vec<&[u8]> = cases.iter().map(|(_, key)| key.as_bytes()).collect();
    sqlx::query(
        "-- insert_cases
        insert into case_identity (id, wrapped_key, opened_at)
        select c.id, c.wrapped_key, $3
        from unnest($1::uuid[], $2::bytea[]) as c (id, wrapped_key)
        order by c.id",
    )
    .bind(ids)
    .bind(keys)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks cases in ascending order and returns their wrapped keys.
pub async fn lock_cases(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> Result<Vec<(CaseId, WrappedKey)>, Error> {
    let rows = sqlx::query(
        "-- lock_cases
        select id, wrapped_key from case_identity where id = any($1) order by id for update",
    )
    .bind(cases)
    .fetch_all(conn)
    .await?;
    rows.iter().map(case_key).collect()
}

/// The wrapped keys of cases, without a lock.
pub async fn case_keys(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> Result<Vec<(CaseId, WrappedKey)>, Error> {
    let rows = sqlx::query(
        "-- case_keys
        select id, wrapped_key from case_identity where id = any($1)",
    )
    .bind(cases)
    .fetch_all(conn)
    .await?;
    rows.iter().map(case_key).collect()
}

fn case_key(row: &PgRow) -> Result<(CaseId, WrappedKey), Error> {
    let id: Uuid = row.try_get("id")?;
    let key: Vec<u8> = row.try_get("wrapped_key")?;
    let key = WrappedKey::parse(key).map_err(|_| Error::BadRow {
        table: "case_identity",
        column: "wrapped_key",
        id: id.to_string(),
    })?;
    Ok((CaseId::new(id), key))
}

/// The outcomes of cases that have one.
pub async fn outcomes(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> Result<Vec<(CaseId, domain::enums::Outcome)>, Error> {
    let rows = sqlx::query(
        "-- outcomes
        select case_id, outcome from case_outcome where case_id = any($1)",
    )
    .bind(cases)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let id: Uuid = row.try_get("case_id")?;
            let outcome: &str = row.try_get("outcome")?;
            let outcome = outcome.parse().map_err(|_| Error::BadRow {
                table: "case_outcome",
                column: "outcome",
                id: id.to_string(),
            })?;
            Ok((CaseId::new(id), outcome))
        })
        .collect()
}

/// Writes the outcomes of cases; each case must occur once.
pub async fn upsert_outcomes(
    conn: &mut PgConnection,
    outcomes: &[(CaseId, domain::enums::Outcome, OffsetDateTime)],
) -> sqlx::Result<()> {
    let cases: Vec<Uuid> = outcomes.iter().map(|(case, ..)| case.uuid()).collect();
    let names: Vec<&str> = outcomes
        .iter()
        .map(|(_, outcome, _)| outcome.as_str())
        .collect();
    let times: Vec<OffsetDateTime> = outcomes.iter().map(|(.., at)| *at).collect();
    sqlx::query(
        "-- upsert_outcomes
        insert into case_outcome (case_id, outcome, changed_at)
        select o.case_id, o.outcome, o.changed_at
        from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as o (case_id, outcome, changed_at)
        order by o.case_id
        on conflict (case_id) do update set outcome = excluded.outcome, changed_at = excluded.changed_at",
    )
    .bind(cases)
    .bind(names)
    .bind(times)
    .execute(conn)
    .await?;
    Ok(())
}
