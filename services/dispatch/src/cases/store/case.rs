//! Case rows. The lock of a case's row guards every change to its notices.

use domain::enums::{Category, ContentStatus, Media, ReviewReason};
use domain::id::{CaseId, DecisionId, ReviewId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::case_ladder::ladder;
use super::case_removal::removal;
use crate::Error;
use crate::cases::ladder_progress::LadderProgress;
use crate::cases::removal::Removal;
use crate::row::{RowReader, column};

/// A case with its progress on the ladder and of the removal; the migration explains the columns.
#[derive(Clone)]
pub struct DispatchCase {
    pub case_id: CaseId,
    pub decision_id: DecisionId,
    pub category: Category,
    pub media: Option<Media>,
    pub received_at: OffsetDateTime,
    pub verified_at: OffsetDateTime,
    pub content_status: ContentStatus,
    pub resumes_as: Option<ContentStatus>,
    pub held_since: Option<OffsetDateTime>,
    pub regime: String,
    pub policy_version: String,
    pub episode: i32,
    pub steps: i32,
    pub ladder: LadderProgress,
    pub removal: Removal,
    pub dispatched_at: Option<OffsetDateTime>,
    pub delivered_at: Option<OffsetDateTime>,
    pub acknowledged_at: Option<OffsetDateTime>,
    pub removal_claimed_at: Option<OffsetDateTime>,
    pub confirmed_at: Option<OffsetDateTime>,
    pub closed_at: Option<OffsetDateTime>,
    pub moves: i32,
    pub review: Option<(ReviewId, ReviewReason)>,
    pub resolve_at: Option<OffsetDateTime>,
    pub due_at: Option<OffsetDateTime>,
    pub unsettled: bool,
}

/// Locks these cases in ascending order; unknown ids are ignored.
pub async fn lock_cases(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<DispatchCase>, Error> {
    let locked = sqlx::query(
        "-- lock_cases
        select
            case_id, decision_id, category, media, received_at, verified_at, content_status, resumes_as, held_since,
            regime, policy_version, episode, steps, dispatched_at, delivered_at, acknowledged_at, removal_claimed_at,
            confirmed_at, closed_at, moves, review_id, review_reason, resolve_at, due_at, unsettled
        from dispatch_case
        where case_id = any($1)
        order by case_id
        for update",
    )
    .bind(ids)
    .fetch_all(&mut *conn)
    .await?;
    if locked.is_empty() {
        return Ok(Vec::new());
    }
    let ids = locked
        .iter()
        .map(|row| row.try_get("case_id"))
        .collect::<Result<Vec<Uuid>, _>>()?;
    // A statement that waits for a lock reads other tables as they were before it waited.
    let progress = sqlx::query(
        "-- progress_of_cases
        select
            c.case_id,
            l.episode_at, l.ladder_from, l.rungs_fired, l.rungs_fired_ms, l.last_rung, l.next_contact_by,
            l.paused_since, l.paused_until, l.pauses, l.paused_ms, l.flagged_at,
            r.claim_since, r.claim_until, r.checks, r.checks_agreed, r.checks_changed, r.watch_step, r.online_status,
            r.online_length, r.online_etag, r.online_type, r.reviewed_fingerprint, r.offline_fingerprints
        from dispatch_case c
        left join case_ladder l on l.case_id = c.case_id
        left join case_removal r on r.case_id = c.case_id
        where c.case_id = any($1)
        order by c.case_id",
    )
    .bind(&ids)
    .fetch_all(conn)
    .await?;
    locked
        .iter()
        .zip(&progress)
        .map(|(case, progress)| dispatch_case(case, progress))
        .collect()
}

/// Locks these cases in ascending order; returns those that were opened, and ignores unknown ids.
pub async fn lock_opened(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<CaseId>, Error> {
    let locked: Vec<(Uuid, i32)> = sqlx::query_as(
        "-- lock_opened
        select case_id, episode
        from dispatch_case
        where case_id = any($1)
        order by case_id
        for update",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    Ok(locked
        .into_iter()
        .filter(|(_, episode)| *episode > 0)
        .map(|(id, _)| CaseId::new(id))
        .collect())
}

/// Reads cases without a lock.
pub async fn cases(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<DispatchCase>, Error> {
    let rows = sqlx::query(
        "-- cases
        select
            c.case_id, c.decision_id, c.category, c.media, c.received_at, c.verified_at, c.content_status,
            c.resumes_as, c.held_since, c.regime, c.policy_version, c.episode, c.steps, c.dispatched_at,
            c.delivered_at, c.acknowledged_at, c.removal_claimed_at, c.confirmed_at, c.closed_at, c.moves,
            c.review_id, c.review_reason, c.resolve_at, c.due_at, c.unsettled,
            l.episode_at, l.ladder_from, l.rungs_fired, l.rungs_fired_ms, l.last_rung, l.next_contact_by,
            l.paused_since, l.paused_until, l.pauses, l.paused_ms, l.flagged_at,
            r.claim_since, r.claim_until, r.checks, r.checks_agreed, r.checks_changed, r.watch_step, r.online_status,
            r.online_length, r.online_etag, r.online_type, r.reviewed_fingerprint, r.offline_fingerprints
        from dispatch_case c
        left join case_ladder l on l.case_id = c.case_id
        left join case_removal r on r.case_id = c.case_id
        where c.case_id = any($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| dispatch_case(row, row)).collect()
}

/// Inserts or updates rows of cases, each once.
pub async fn upsert_cases(conn: &mut PgConnection, rows: &[&DispatchCase]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let written = sqlx::query(
        "-- upsert_cases
        insert into dispatch_case (
            case_id, decision_id, category, media, received_at, verified_at, content_status, resumes_as, held_since,
            regime, policy_version, episode, steps, dispatched_at, delivered_at, acknowledged_at, removal_claimed_at,
            confirmed_at, closed_at, moves, review_id, review_reason, resolve_at, due_at, unsettled)
        select
            r.case_id, r.decision_id, r.category, r.media, r.received_at, r.verified_at, r.content_status,
            r.resumes_as, r.held_since, r.regime, r.policy_version, r.episode, r.steps, r.dispatched_at,
            r.delivered_at, r.acknowledged_at, r.removal_claimed_at, r.confirmed_at, r.closed_at, r.moves,
            r.review_id, r.review_reason, r.resolve_at, r.due_at, r.unsettled
        from unnest(
            $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[],
            $8::text[], $9::timestamptz[], $10::text[], $11::text[], $12::integer[], $13::integer[],
            $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[],
            $19::timestamptz[], $20::integer[], $21::uuid[], $22::text[], $23::timestamptz[],
            $24::timestamptz[], $25::boolean[]) as r (
            case_id, decision_id, category, media, received_at, verified_at, content_status, resumes_as, held_since,
            regime, policy_version, episode, steps, dispatched_at, delivered_at, acknowledged_at, removal_claimed_at,
            confirmed_at, closed_at, moves, review_id, review_reason, resolve_at, due_at, unsettled)
        order by r.case_id
        on conflict (case_id) do update set
            decision_id = excluded.decision_id, category = excluded.category, media = excluded.media,
            received_at = excluded.received_at, verified_at = excluded.verified_at, content_status =
            excluded.content_status, resumes_as = excluded.resumes_as, held_since = excluded.held_since, regime
            = excluded.regime, policy_version = excluded.policy_version, episode = excluded.episode, steps =
            excluded.steps, dispatched_at = excluded.dispatched_at, delivered_at = excluded.delivered_at,
            acknowledged_at = excluded.acknowledged_at, removal_claimed_at = excluded.removal_claimed_at,
            confirmed_at = excluded.confirmed_at, closed_at = excluded.closed_at, moves = excluded.moves,
            review_id = excluded.review_id, review_reason = excluded.review_reason, resolve_at =
            excluded.resolve_at, due_at = excluded.due_at, unsettled = excluded.unsettled",
    )
    .bind(column(rows, |c| c.case_id.uuid()))
    .bind(column(rows, |c| c.decision_id.uuid()))
    .bind(column(rows, |c| c.category.as_str()))
    .bind(column(rows, |c| c.media.map(Media::as_str)))
    .bind(column(rows, |c| c.received_at))
    .bind(column(rows, |c| c.verified_at))
    .bind(column(rows, |c| c.content_status.as_str()))
    .bind(column(rows, |c| c.resumes_as.map(ContentStatus::as_str)))
    .bind(column(rows, |c| c.held_since))
    .bind(column(rows, |c| c.regime.as_str()))
    .bind(column(rows, |c| c.policy_version.as_str()))
    .bind(column(rows, |c| c.episode))
    .bind(column(rows, |c| c.steps))
    .bind(column(rows, |c| c.dispatched_at))
    .bind(column(rows, |c| c.delivered_at))
    .bind(column(rows, |c| c.acknowledged_at))
    .bind(column(rows, |c| c.removal_claimed_at))
    .bind(column(rows, |c| c.confirmed_at))
    .bind(column(rows, |c| c.closed_at))
    .bind(column(rows, |c| c.moves))
    .bind(column(rows, |c| c.review.map(|(id, _)| id.uuid())))
    .bind(column(rows, |c| c.review.map(|(_, reason)| reason.as_str())))
    .bind(column(rows, |c| c.resolve_at))
    .bind(column(rows, |c| c.due_at))
    .bind(column(rows, |c| c.unsettled))
    .execute(conn)
    .await?
    .rows_affected();
    if written == rows.len() as u64 {
        Ok(())
    } else {
        Err(sqlx::Error::Protocol("dispatch_case: unexpected number of rows written".into()).into())
    }
}

/// Reads a case from its own row, and its progress from `progress`, which may be the same row.
fn dispatch_case(row: &PgRow, progress: &PgRow) -> Result<DispatchCase, Error> {
    let id: Uuid = row.try_get("case_id")?;
    let reader = |table, row| RowReader { table, id, row };
    let r = reader("dispatch_case", row);
    Ok(DispatchCase {
        case_id: CaseId::new(id),
        decision_id: DecisionId::new(r.get("decision_id")?),
        category: r.parse("category")?,
        media: r.parse_optional("media")?,
        received_at: r.get("received_at")?,
        verified_at: r.get("verified_at")?,
        content_status: r.parse("content_status")?,
        resumes_as: r.parse_optional("resumes_as")?,
        held_since: r.get("held_since")?,
        regime: r.get("regime")?,
        policy_version: r.get("policy_version")?,
        episode: r.get("episode")?,
        steps: r.get("steps")?,
        ladder: ladder(&reader("case_ladder", progress))?,
        removal: removal(&reader("case_removal", progress))?,
        dispatched_at: r.get("dispatched_at")?,
        delivered_at: r.get("delivered_at")?,
        acknowledged_at: r.get("acknowledged_at")?,
        removal_claimed_at: r.get("removal_claimed_at")?,
        confirmed_at: r.get("confirmed_at")?,
        closed_at: r.get("closed_at")?,
        moves: r.get("moves")?,
        review: review(&r)?,
        resolve_at: r.get("resolve_at")?,
        due_at: r.get("due_at")?,
        unsettled: r.get("unsettled")?,
    })
}

fn review(r: &RowReader<'_>) -> Result<Option<(ReviewId, ReviewReason)>, Error> {
    let id: Option<Uuid> = r.get("review_id")?;
    let reason: Option<ReviewReason> = r.parse_optional("review_reason")?;
    Ok(id.map(ReviewId::new).zip(reason))
}
