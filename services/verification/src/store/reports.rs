//! The SQL of `report` and `report_tag`. No decisions.

use std::collections::HashSet;

use domain::id::{CaseId, ReportId};
use sqlx::PgConnection;
use uuid::Uuid;

/// A report that has been counted into its case.
pub(crate) struct CountedReport<'a> {
    pub(crate) id: ReportId,
    pub(crate) case: CaseId,
    /// Stored only if the report has a PDQ hash.
    pub(crate) sealed_content: Option<&'a [u8]>,
}

/// Which of these have been counted already.
pub(crate) async fn counted(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashSet<Uuid>> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "-- counted
        select report_id from report where report_id = any ($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().collect())
}

pub(crate) async fn insert(
    conn: &mut PgConnection,
    reports: &[CountedReport<'_>],
) -> sqlx::Result<()> {
    if reports.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- insert_reports
        insert into report (report_id, case_id, withdrawn, sealed_content)
        select n.report_id, n.case_id, false, n.sealed_content
        from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as n (report_id, case_id, sealed_content)
        order by n.report_id",
    )
    .bind(reports.iter().map(|r| r.id.uuid()).collect::<Vec<_>>())
    .bind(reports.iter().map(|r| r.case.uuid()).collect::<Vec<_>>())
    .bind(reports.iter().map(|r| r.sealed_content).collect::<Vec<_>>())
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

/// The tags of these cases, as (case, tag).
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

/// The sealed contents of these cases' reports with a PDQ hash, as (case, report, sealed content).
pub(crate) async fn contents_with_pdq(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> sqlx::Result<Vec<(Uuid, Uuid, Vec<u8>)>> {
    sqlx::query_as(
        "-- contents_with_pdq
        select case_id, report_id, sealed_content from report
        where case_id = any ($1) and sealed_content is not null",
    )
    .bind(cases)
    .fetch_all(conn)
    .await
}

/// Marks reports as withdrawn. Returns the case of each report that was not withdrawn before.
pub(crate) async fn withdraw(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "-- withdraw
        update report set withdrawn = true where report_id = any ($1) and not withdrawn returning case_id",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}
