//! The SQL of second looks. No decisions.

use domain::id::{CaseId, Subject};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::array_text;

/// What a second look said of the verdict before it.
#[derive(Debug, Clone)]
pub(crate) struct SecondLook {
    /// The act that it came with.
    pub(crate) judgement: Uuid,
    pub(crate) case: CaseId,
    pub(crate) look: &'static str,
    pub(crate) first_by: Vec<Uuid>,
    pub(crate) first: &'static str,
    pub(crate) second_by: Subject,
    pub(crate) second: &'static str,
    pub(crate) agreed: bool,
    pub(crate) at: OffsetDateTime,
}

pub(crate) async fn record(conn: &mut PgConnection, looks: &[SecondLook]) -> sqlx::Result<()> {
    if looks.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- record_looks
        insert into second_look (judgement_id, case_id, look, first_by, first, second_by, second, agreed, at)
        select n.judgement_id, n.case_id, n.look, n.first_by::uuid[], n.first, n.second_by, n.second, n.agreed, n.at
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::boolean[],
            $9::timestamptz[]) as n (judgement_id, case_id, look, first_by, first, second_by, second, agreed, at)
        order by n.judgement_id",
    )
    .bind(looks.iter().map(|l| l.judgement).collect::<Vec<_>>())
    .bind(looks.iter().map(|l| l.case.uuid()).collect::<Vec<_>>())
    .bind(looks.iter().map(|l| l.look).collect::<Vec<_>>())
    .bind(looks.iter().map(|l| array_text(&l.first_by)).collect::<Vec<_>>())
    .bind(looks.iter().map(|l| l.first).collect::<Vec<_>>())
    .bind(looks.iter().map(|l| l.second_by.uuid()).collect::<Vec<_>>())
    .bind(looks.iter().map(|l| l.second).collect::<Vec<_>>())
    .bind(looks.iter().map(|l| l.agreed).collect::<Vec<_>>())
    .bind(looks.iter().map(|l| l.at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// A second look that did not agree, as it is listed.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Disagreement {
    pub(crate) judgement_id: Uuid,
    pub(crate) case_id: Uuid,
    pub(crate) look: String,
    pub(crate) first_by: Vec<Uuid>,
    pub(crate) first: String,
    pub(crate) second_by: Uuid,
    pub(crate) second: String,
    pub(crate) at: OffsetDateTime,
}

/// Disagreements, the newest first, after one of them.
pub(crate) async fn disagreements(
    conn: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Disagreement>> {
    sqlx::query_as(
        "-- disagreements
        select judgement_id, case_id, look, first_by, first, second_by, second, at
        from second_look
        where not agreed and ($1::uuid is null or judgement_id < $1)
        order by judgement_id desc limit $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Second looks since a moment: what they looked at, how many agreed, how many did not.
pub(crate) async fn counts(
    conn: &mut PgConnection,
    since: OffsetDateTime,
) -> sqlx::Result<Vec<(String, i64, i64)>> {
    sqlx::query_as(
        "-- look_counts
        select look, count(*) filter (where agreed), count(*) filter (where not agreed)
        from second_look where at > $1 group by look order by look",
    )
    .bind(since)
    .fetch_all(conn)
    .await
}
