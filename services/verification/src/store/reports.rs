//! The SQL of `report` and `report_tag`. No decisions.

use std::collections::HashSet;

use domain::id::{CaseId, ReportId};
use sqlx::PgConnection;
use uuid::Uuid;

/// A report as it is kept.
pub(crate) struct NewReport<'a> {
    pub(crate) id: ReportId,
    pub(crate) case: CaseId,
    /// Kept where it has a hash that is matched by nearness.
    pub(crate) sealed_item: Option<&'a [u8]>,
}

/// Which of these have been heard already.
pub(crate) async fn known(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashSet<Uuid>> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "-- known
        select report_id from report where report_id = any ($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().collect())
}

pub(crate) async fn insert(conn: &mut PgConnection, reports: &[NewReport<'_>]) -> sqlx::Result<()> {
    if reports.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- insert
        insert into report (report_id, case_id, withdrawn, sealed_item)
        select n.report_id, n.case_id, false, n.sealed_item
        from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as n (report_id, case_id, sealed_item)
        order by n.report_id",
    )
    .bind(reports.iter().map(|r| r.id.uuid()).collect::<Vec<_>>())
    .bind(reports.iter().map(|r| r.case.uuid()).collect::<Vec<_>>())
    .bind(reports.iter().map(|r| r.sealed_item).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn insert_tags(
    conn: &mut PgConnection,
    tags: &[(Uuid, [u8; 32])],
) -> sqlx::Result<()> {
    if tags.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- insert_tags
        insert into report_tag (case_id, tag)
        select distinct n.case_id, n.tag from unnest($1::uuid[], $2::bytea[]) as n (case_id, tag)
        order by n.case_id, n.tag
        on conflict do nothing",
    )
    .bind(tags.iter().map(|(case, _)| *case).collect::<Vec<_>>())
    .bind(
        tags.iter()
            .map(|(_, tag)| tag.as_slice())
            .collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The tags of these cases.
pub(crate) async fn tags_of(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> sqlx::Result<Vec<(Uuid, Vec<u8>)>> {
    sqlx::query_as(
        "-- tags_of
        select case_id, tag from report_tag where case_id = any ($1)",
    )
    .bind(cases)
    .fetch_all(conn)
    .await
}

/// The sealed items of these cases' reports that have a hash matched by nearness: (case, report, item).
pub(crate) async fn near_items_of(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> sqlx::Result<Vec<(Uuid, Uuid, Vec<u8>)>> {
    sqlx::query_as(
        "-- near_items_of
        select case_id, report_id, sealed_item from report
        where case_id = any ($1) and sealed_item is not null",
    )
    .bind(cases)
    .fetch_all(conn)
    .await
}

/// Marks reports as withdrawn. Returns the cases of those that were not before, one entry for each report.
pub(crate) async fn withdraw(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "-- withdraw
        update report set withdrawn = true where report_id = any ($1) and not withdrawn returning case_id",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}
