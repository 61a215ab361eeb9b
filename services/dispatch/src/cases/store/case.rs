//! Case rows. The lock of a case's row guards every change to its notices.

use domain::enums::{Category, ContentStatus, Media, ReviewReason, Rung};
use domain::id::{CaseId, DecisionId, ReviewId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::fingerprint;
use crate::Error;
use crate::cases::ladder_progress::{LadderProgress, LadderRow, Pause};
use crate::cases::page::FingerprintDigest;
use crate::cases::removal::{Removal, RemovalRow};
use crate::policy::RungKey;
use crate::row::{RowReader, column, list};

/// The row of a case; the migration explains its columns.
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
    let rows = sqlx::query(
        "-- lock_cases
        select
            case_id, decision_id, category, media, received_at, verified_at, content_status, resumes_as, held_since, regime,
            policy_version, episode, steps, episode_at, ladder_from, rungs_fired, rungs_fired_ms, last_rung, paused_since,
            paused_until, pauses, paused_ms, claim_since, claim_until, checks, checks_agreed, checks_changed, watch_step,
            online_status, online_length, online_etag, online_type, dispatched_at, delivered_at, acknowledged_at,
            removal_claimed_at, confirmed_at, closed_at, flagged_at, moves, review_id, review_reason,
            resolve_at, due_at, unsettled, reviewed_fingerprint, offline_fingerprints, next_contact_by
        from dispatch_case
        where case_id = any($1)
        order by case_id
        for update",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter().map(dispatch_case).collect()
}

/// Reads cases without a lock.
pub async fn cases(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<DispatchCase>, Error> {
    let rows = sqlx::query(
        "-- cases
        select
            case_id, decision_id, category, media, received_at, verified_at, content_status, resumes_as, held_since, regime,
            policy_version, episode, steps, episode_at, ladder_from, rungs_fired, rungs_fired_ms, last_rung, paused_since,
            paused_until, pauses, paused_ms, claim_since, claim_until, checks, checks_agreed, checks_changed, watch_step,
            online_status, online_length, online_etag, online_type, dispatched_at, delivered_at, acknowledged_at,
            removal_claimed_at, confirmed_at, closed_at, flagged_at, moves, review_id, review_reason,
            resolve_at, due_at, unsettled, reviewed_fingerprint, offline_fingerprints, next_contact_by
        from dispatch_case
        where case_id = any($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter().map(dispatch_case).collect()
}

/// Inserts or updates rows, each once.
pub async fn upsert_cases(conn: &mut PgConnection, rows: &[&DispatchCase]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let written = sqlx::query(
        "-- upsert_cases
        insert into dispatch_case (
            case_id, decision_id, category, media, received_at, verified_at, content_status, resumes_as, held_since, regime,
            policy_version, episode, steps, episode_at, ladder_from, rungs_fired, rungs_fired_ms, last_rung, paused_since,
            paused_until, pauses, paused_ms, claim_since, claim_until, checks, checks_agreed, checks_changed, watch_step,
            online_status, online_length, online_etag, online_type, dispatched_at, delivered_at, acknowledged_at,
            removal_claimed_at, confirmed_at, closed_at, flagged_at, moves, review_id, review_reason,
            resolve_at, due_at, unsettled, reviewed_fingerprint, offline_fingerprints, next_contact_by)
        select
            r.case_id, r.decision_id, r.category, r.media, r.received_at, r.verified_at, r.content_status, r.resumes_as,
            r.held_since, r.regime, r.policy_version, r.episode, r.steps, r.episode_at, r.ladder_from,
            coalesce(f.rungs, '{}'), coalesce(f.after_ms, '{}'), r.last_rung, r.paused_since, r.paused_until, r.pauses,
            r.paused_ms, r.claim_since, r.claim_until, r.checks, r.checks_agreed, r.checks_changed, r.watch_step, r.online_status, r.online_length,
            r.online_etag, r.online_type, r.dispatched_at, r.delivered_at, r.acknowledged_at, r.removal_claimed_at,
            r.confirmed_at, r.closed_at, r.flagged_at, r.moves, r.review_id, r.review_reason, r.resolve_at,
            r.due_at, r.unsettled, r.reviewed_fingerprint, coalesce(o.digests, '{}'), r.next_contact_by
        from unnest(
            $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[],
            $8::text[], $9::timestamptz[], $10::text[], $11::text[], $12::integer[], $13::integer[],
            $14::timestamptz[], $15::timestamptz[], $16::text[], $17::timestamptz[], $18::timestamptz[],
            $19::integer[], $20::bigint[], $21::timestamptz[], $22::timestamptz[], $23::integer[],
            $24::integer[], $25::integer[], $26::integer[], $27::integer[], $28::bigint[], $29::text[],
            $30::text[], $31::timestamptz[], $32::timestamptz[], $33::timestamptz[], $34::timestamptz[],
            $35::timestamptz[], $36::timestamptz[], $37::timestamptz[], $38::integer[], $39::uuid[],
            $40::text[], $41::timestamptz[], $42::timestamptz[], $43::boolean[], $44::text[], $45::timestamptz[]) as r (
            case_id, decision_id, category, media, received_at, verified_at, content_status, resumes_as, held_since,
            regime, policy_version, episode, steps, episode_at, ladder_from, last_rung, paused_since, paused_until,
            pauses, paused_ms, claim_since, claim_until, checks, checks_agreed, checks_changed, watch_step, online_status,
            online_length, online_etag, online_type, dispatched_at, delivered_at, acknowledged_at, removal_claimed_at,
            confirmed_at, closed_at, flagged_at, moves, review_id, review_reason, resolve_at, due_at, unsettled,
            reviewed_fingerprint, next_contact_by)
        left join (
            select case_id, array_agg(rung order by n) as rungs, array_agg(after_ms order by n) as after_ms
            from unnest($46::uuid[], $47::text[], $48::bigint[]) with ordinality as fired (case_id, rung, after_ms, n)
            group by case_id) f on f.case_id = r.case_id
        left join (
            select case_id, array_agg(digest order by n) as digests
            from unnest($49::uuid[], $50::text[]) with ordinality as offline (case_id, digest, n)
            group by case_id) o on o.case_id = r.case_id
        order by r.case_id
        on conflict (case_id) do update set
            decision_id = excluded.decision_id, category = excluded.category, media = excluded.media,
            received_at = excluded.received_at, verified_at = excluded.verified_at, content_status = excluded.content_status,
            resumes_as = excluded.resumes_as, held_since = excluded.held_since, regime = excluded.regime,
            policy_version = excluded.policy_version, episode = excluded.episode, steps = excluded.steps,
            episode_at = excluded.episode_at, ladder_from = excluded.ladder_from,
            rungs_fired = excluded.rungs_fired, rungs_fired_ms = excluded.rungs_fired_ms, last_rung = excluded.last_rung,
            paused_since = excluded.paused_since, paused_until = excluded.paused_until,
            pauses = excluded.pauses, paused_ms = excluded.paused_ms, claim_since = excluded.claim_since,
            claim_until = excluded.claim_until, checks = excluded.checks, checks_agreed = excluded.checks_agreed,
            checks_changed = excluded.checks_changed, watch_step = excluded.watch_step, online_status = excluded.online_status,
            online_length = excluded.online_length, online_etag = excluded.online_etag, online_type = excluded.online_type,
            dispatched_at = excluded.dispatched_at, delivered_at = excluded.delivered_at,
            acknowledged_at = excluded.acknowledged_at, removal_claimed_at = excluded.removal_claimed_at,
            confirmed_at = excluded.confirmed_at, closed_at = excluded.closed_at,
            flagged_at = excluded.flagged_at, moves = excluded.moves, review_id = excluded.review_id,
            review_reason = excluded.review_reason, resolve_at = excluded.resolve_at, due_at = excluded.due_at,
            unsettled = excluded.unsettled, reviewed_fingerprint = excluded.reviewed_fingerprint,
            offline_fingerprints = excluded.offline_fingerprints, next_contact_by = excluded.next_contact_by",
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
    .bind(column(rows, |c| c.ladder.row().episode_at))
    .bind(column(rows, |c| c.ladder.row().ladder_from))
    .bind(column(rows, |c| c.ladder.row().last_rung.map(Rung::as_str)))
    .bind(column(rows, |c| c.ladder.row().pause.map(|p| p.since)))
    .bind(column(rows, |c| c.ladder.row().pause.map(|p| p.until)))
    .bind(column(rows, |c| c.ladder.row().pauses))
    .bind(column(rows, |c| c.ladder.row().paused_ms))
    .bind(column(rows, |c| c.removal.row().claim_since))
    .bind(column(rows, |c| c.removal.row().claim_until))
    .bind(column(rows, |c| c.removal.row().checks))
    .bind(column(rows, |c| c.removal.row().checks_agreed))
    .bind(column(rows, |c| c.removal.row().checks_changed))
    .bind(column(rows, |c| c.removal.row().watch_step))
    .bind(column(rows, |c| c.removal.row().online_fingerprint.as_ref().map(|s| s.status)))
    .bind(column(rows, |c| c.removal.row().online_fingerprint.as_ref().and_then(|s| s.length)))
    .bind(column(rows, |c| c.removal.row().online_fingerprint.as_ref().and_then(|s| s.etag.as_deref())))
    .bind(column(rows, |c| c.removal.row().online_fingerprint.as_ref().and_then(|s| s.content_type.as_deref())))
    .bind(column(rows, |c| c.dispatched_at))
    .bind(column(rows, |c| c.delivered_at))
    .bind(column(rows, |c| c.acknowledged_at))
    .bind(column(rows, |c| c.removal_claimed_at))
    .bind(column(rows, |c| c.confirmed_at))
    .bind(column(rows, |c| c.closed_at))
    .bind(column(rows, |c| c.ladder.row().flagged_at))
    .bind(column(rows, |c| c.moves))
    .bind(column(rows, |c| c.review.map(|(id, _)| id.uuid())))
    .bind(column(rows, |c| c.review.map(|(_, reason)| reason.as_str())))
    .bind(column(rows, |c| c.resolve_at))
    .bind(column(rows, |c| c.due_at))
    .bind(column(rows, |c| c.unsettled))
    .bind(column(rows, |c| c.removal.row().reviewed_fingerprint.as_ref().map(FingerprintDigest::as_str)))
    .bind(column(rows, |c| c.ladder.row().next_contact_by))
    .bind(list(rows, |c| &c.ladder.row().rungs_fired, |c, _| c.case_id.uuid()))
    .bind(list(rows, |c| &c.ladder.row().rungs_fired, |_, fired| fired.rung.as_str()))
    .bind(list(rows, |c| &c.ladder.row().rungs_fired, |_, fired| fired.after.whole_milliseconds() as i64))
    .bind(list(rows, |c| &c.removal.row().offline_fingerprints, |c, _| c.case_id.uuid()))
    .bind(list(rows, |c| &c.removal.row().offline_fingerprints, |_, digest| digest.as_str()))
    .execute(conn)
    .await?
    .rows_affected();
    if written == rows.len() as u64 {
        Ok(())
    } else {
        Err(sqlx::Error::Protocol("dispatch_case: unexpected number of rows written".into()).into())
    }
}

fn dispatch_case(row: &PgRow) -> Result<DispatchCase, Error> {
    let id: Uuid = row.try_get("case_id")?;
    let r = RowReader {
        table: "dispatch_case",
        id,
        row,
    };
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
        ladder: ladder(&r)?,
        removal: removal(&r)?,
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

fn ladder(r: &RowReader<'_>) -> Result<LadderProgress, Error> {
    Ok(LadderProgress::from_row(LadderRow {
        episode_at: r.get("episode_at")?,
        ladder_from: r.get("ladder_from")?,
        rungs_fired: rungs_fired(r)?,
        last_rung: r.parse_optional("last_rung")?,
        next_contact_by: r.get("next_contact_by")?,
        pause: pause(r)?,
        pauses: r.get("pauses")?,
        paused_ms: r.get("paused_ms")?,
        flagged_at: r.get("flagged_at")?,
    }))
}

fn removal(r: &RowReader<'_>) -> Result<Removal, Error> {
    Ok(Removal::from_row(RemovalRow {
        claim_since: r.get("claim_since")?,
        claim_until: r.get("claim_until")?,
        checks: r.get("checks")?,
        checks_agreed: r.get("checks_agreed")?,
        checks_changed: r.get("checks_changed")?,
        watch_step: r.get("watch_step")?,
        online_fingerprint: fingerprint::online(r)?,
        reviewed_fingerprint: r.parse_optional("reviewed_fingerprint")?,
        offline_fingerprints: fingerprint::read_digests(r, "offline_fingerprints")?,
    }))
}

fn rungs_fired(r: &RowReader<'_>) -> Result<Vec<RungKey>, Error> {
    let rungs: Vec<String> = r.get("rungs_fired")?;
    let after: Vec<i64> = r.get("rungs_fired_ms")?;
    if rungs.len() != after.len() {
        return Err(r.damaged("rungs_fired_ms"));
    }
    rungs
        .iter()
        .zip(after)
        .map(|(rung, after)| {
            Ok(RungKey {
                rung: rung.parse().map_err(|_| r.damaged("rungs_fired"))?,
                after: Duration::milliseconds(after),
            })
        })
        .collect()
}

fn pause(r: &RowReader<'_>) -> Result<Option<Pause>, Error> {
    let since: Option<OffsetDateTime> = r.get("paused_since")?;
    let until: Option<OffsetDateTime> = r.get("paused_until")?;
    Ok(since
        .zip(until)
        .map(|(since, until)| Pause { since, until }))
}

fn review(r: &RowReader<'_>) -> Result<Option<(ReviewId, ReviewReason)>, Error> {
    let id: Option<Uuid> = r.get("review_id")?;
    let reason: Option<ReviewReason> = r.parse_optional("review_reason")?;
    Ok(id.map(ReviewId::new).zip(reason))
}
