//! The SQL of what was done to a case: judgements, reviews, opened URLs. No decisions.

use std::collections::HashSet;

use domain::id::{CaseId, DecisionId, NoticeId, ReviewId, Subject};
use domain::word::ReviewReason;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// One act on a case, for the record.
#[derive(Debug, Clone)]
pub(crate) struct Judgement {
    pub(crate) id: Uuid,
    pub(crate) case: CaseId,
    pub(crate) act: &'static str,
    pub(crate) actor: String,
    pub(crate) basis: Option<String>,
    pub(crate) finding: Option<&'static str>,
    pub(crate) decision: Option<DecisionId>,
    /// A person's reason, sealed under the case's key, bound to `id`.
    pub(crate) sealed_note: Option<Vec<u8>>,
    pub(crate) at: OffsetDateTime,
}

pub(crate) async fn record(conn: &mut PgConnection, acts: &[Judgement]) -> sqlx::Result<()> {
    if acts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- record
        insert into judgement (id, case_id, act, actor, basis, finding, decision_id, sealed_note, at)
        select n.id, n.case_id, n.act, n.actor, n.basis, n.finding, n.decision_id, n.sealed_note, n.at
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bytea[],
            $9::timestamptz[]) as n (id, case_id, act, actor, basis, finding, decision_id, sealed_note, at)
        order by n.id",
    )
    .bind(acts.iter().map(|a| a.id).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.case.uuid()).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.act).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.actor.as_str()).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.basis.as_deref()).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.finding).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.decision.map(DecisionId::uuid)).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.sealed_note.as_deref()).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// A question of dispatch.
#[derive(Debug, Clone)]
pub(crate) struct NewReview {
    pub(crate) id: ReviewId,
    pub(crate) case: CaseId,
    pub(crate) reason: ReviewReason,
    pub(crate) notice: Option<NoticeId>,
    pub(crate) sealed_note: Option<Vec<u8>>,
}

/// Inserts a question; false when it is known already.
pub(crate) async fn ask(
    conn: &mut PgConnection,
    review: &NewReview,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "-- ask
        insert into review (review_id, case_id, reason, notice_id, sealed_note, requested_at)
        values ($1, $2, $3, $4, $5, $6) on conflict (review_id) do nothing",
    )
    .bind(review.id.uuid())
    .bind(review.case.uuid())
    .bind(review.reason.as_str())
    .bind(review.notice.map(NoticeId::uuid))
    .bind(review.sealed_note.as_deref())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Of these cases, those with an open question about a changed page.
pub(crate) async fn asked_about_page(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> sqlx::Result<HashSet<Uuid>> {
    if cases.is_empty() {
        return Ok(HashSet::new());
    }
    let asked: Vec<Uuid> = sqlx::query_scalar(
        "-- asked_about_page
        select case_id from review where case_id = any ($1) and closed_at is null and reason = any ($2)",
    )
    .bind(cases)
    .bind(about_page())
    .fetch_all(conn)
    .await?;
    Ok(asked.into_iter().collect())
}

/// Closes the open questions about these cases that ask about a changed page: it does not show the material. Returns
/// (case, question), by question.
pub(crate) async fn close_gone(
    conn: &mut PgConnection,
    cases: &[Uuid],
    now: OffsetDateTime,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let mut closed: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "-- close_gone
        update review set closed_at = $2, outcome = 'gone'
        where case_id = any ($1) and closed_at is null and reason = any ($3)
        returning case_id, review_id",
    )
    .bind(cases)
    .bind(now)
    .bind(about_page())
    .fetch_all(conn)
    .await?;
    closed.sort_unstable();
    Ok(closed)
}

/// Reasons that ask about a changed page.
fn about_page() -> Vec<&'static str> {
    let reasons = ReviewReason::ALL.iter().copied();
    reasons
        .filter(|reason| reason.is_about_page())
        .map(ReviewReason::as_str)
        .collect()
}

/// Closes the open questions about these cases. Returns (case, question), by question.
pub(crate) async fn close_reviews(
    conn: &mut PgConnection,
    cases: &[Uuid],
    outcome: &'static str,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let mut closed: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "-- close_reviews
        update review set closed_at = $3, outcome = $2
        where case_id = any ($1) and closed_at is null
        returning case_id, review_id",
    )
    .bind(cases)
    .bind(outcome)
    .bind(now)
    .fetch_all(conn)
    .await?;
    closed.sort_unstable();
    Ok(closed)
}

/// URLs that a person has opened since a moment. Locks the person's row, so that two calls at once both count.
pub(crate) async fn reveals_since(
    conn: &mut PgConnection,
    subject: Subject,
    since: OffsetDateTime,
) -> sqlx::Result<i64> {
    sqlx::query(
        "-- lock_staff
        select 1 from staff where subject = $1 for update",
    )
    .bind(subject.uuid())
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar(
        "-- reveals_since
        select count(*) from reveal where subject = $1 and at > $2",
    )
    .bind(subject.uuid())
    .bind(since)
    .fetch_one(conn)
    .await
}

pub(crate) async fn reveal(
    conn: &mut PgConnection,
    id: Uuid,
    subject: Subject,
    case: CaseId,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- reveal
        insert into reveal (id, subject, case_id, at) values ($1, $2, $3, $4)",
    )
    .bind(id)
    .bind(subject.uuid())
    .bind(case.uuid())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}
