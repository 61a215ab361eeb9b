//! The SQL of `review`. No decisions.

use std::collections::HashSet;

use domain::enums::ReviewReason;
use domain::id::{CaseId, NoticeId, ReviewId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A review that dispatch requests.
#[derive(Debug, Clone)]
pub(crate) struct NewReview {
    pub(crate) id: ReviewId,
    pub(crate) case: CaseId,
    pub(crate) reason: ReviewReason,
    pub(crate) notice: Option<NoticeId>,
    pub(crate) sealed_note: Option<Vec<u8>>,
}

/// Inserts a review; false if it is known already.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    review: &NewReview,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "-- insert_reviews
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

/// Of these cases, those with an open review of a changed page.
pub(crate) async fn open_page_reviews(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> sqlx::Result<HashSet<Uuid>> {
    if cases.is_empty() {
        return Ok(HashSet::new());
    }
    let cases: Vec<Uuid> = sqlx::query_scalar(
        "-- open_page_reviews
        select case_id from review where case_id = any ($1) and closed_at is null and reason = any ($2)",
    )
    .bind(cases)
    .bind(page_reasons())
    .fetch_all(conn)
    .await?;
    Ok(cases.into_iter().collect())
}

/// Closes the open reviews of a changed page in these cases: the page no longer shows the material. Returns
/// pairs of (case, review), sorted.
pub(crate) async fn close_page_reviews(
    conn: &mut PgConnection,
    cases: &[Uuid],
    now: OffsetDateTime,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let mut closed: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "-- close_page_reviews
        update review set closed_at = $2, outcome = 'offline'
        where case_id = any ($1) and closed_at is null and reason = any ($3)
        returning case_id, review_id",
    )
    .bind(cases)
    .bind(now)
    .bind(page_reasons())
    .fetch_all(conn)
    .await?;
    closed.sort_unstable();
    Ok(closed)
}

/// Reasons of a review of a changed page.
fn page_reasons() -> Vec<&'static str> {
    let reasons = ReviewReason::ALL.iter().copied();
    reasons
        .filter(|reason| reason.is_about_page())
        .map(ReviewReason::as_str)
        .collect()
}

/// Closes the open reviews of these cases. Returns pairs of (case, review), sorted.
pub(crate) async fn close(
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
