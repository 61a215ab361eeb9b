//! The SQL of `second_opinion`. No decisions.

use domain::id::{CaseId, Subject};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::array_text;

/// An act that confirmed or contradicted the verdict before it.
#[derive(Debug, Clone)]
pub(crate) struct SecondOpinion {
    pub(crate) case_act: Uuid,
    pub(crate) case: CaseId,
    /// second, review, withdrawal or undo.
    pub(crate) kind: &'static str,
    pub(crate) first_by: Vec<Uuid>,
    pub(crate) first: &'static str,
    pub(crate) second_by: Subject,
    pub(crate) second: &'static str,
    pub(crate) agreed: bool,
    pub(crate) at: OffsetDateTime,
}

pub(crate) async fn insert(
    conn: &mut PgConnection,
    opinions: &[SecondOpinion],
) -> sqlx::Result<()> {
    if opinions.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- insert_second_opinions
        insert into second_opinion (case_act_id, case_id, kind, first_by, first, second_by, second, agreed, at)
        select n.case_act_id, n.case_id, n.kind, n.first_by::uuid[], n.first, n.second_by, n.second, n.agreed, n.at
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::boolean[],
            $9::timestamptz[]) as n (case_act_id, case_id, kind, first_by, first, second_by, second, agreed, at)
        order by n.case_act_id",
    )
    .bind(opinions.iter().map(|o| o.case_act).collect::<Vec<_>>())
    .bind(opinions.iter().map(|o| o.case.uuid()).collect::<Vec<_>>())
    .bind(opinions.iter().map(|o| o.kind).collect::<Vec<_>>())
    .bind(opinions.iter().map(|o| array_text(&o.first_by)).collect::<Vec<_>>())
    .bind(opinions.iter().map(|o| o.first).collect::<Vec<_>>())
    .bind(opinions.iter().map(|o| o.second_by.uuid()).collect::<Vec<_>>())
    .bind(opinions.iter().map(|o| o.second).collect::<Vec<_>>())
    .bind(opinions.iter().map(|o| o.agreed).collect::<Vec<_>>())
    .bind(opinions.iter().map(|o| o.at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// A second opinion that contradicted the first verdict.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct DisagreementRow {
    pub(crate) case_act_id: Uuid,
    pub(crate) case_id: Uuid,
    pub(crate) kind: String,
    pub(crate) first_by: Vec<Uuid>,
    pub(crate) first: String,
    pub(crate) second_by: Uuid,
    pub(crate) second: String,
    pub(crate) at: OffsetDateTime,
}

/// A page of disagreements, the newest first, after the given one.
pub(crate) async fn disagreements(
    conn: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<DisagreementRow>> {
    sqlx::query_as(
        "-- disagreements
        select case_act_id, case_id, kind, first_by, first, second_by, second, at
        from second_opinion
        where not agreed and ($1::uuid is null or case_act_id < $1)
        order by case_act_id desc limit $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Second opinions since a time, as (kind, agreed, disagreed).
pub(crate) async fn counts(
    conn: &mut PgConnection,
    since: OffsetDateTime,
) -> sqlx::Result<Vec<(String, i64, i64)>> {
    sqlx::query_as(
        "-- second_opinion_counts
        select kind, count(*) filter (where agreed), count(*) filter (where not agreed)
        from second_opinion where at > $1 group by kind order by kind",
    )
    .bind(since)
    .fetch_all(conn)
    .await
}
