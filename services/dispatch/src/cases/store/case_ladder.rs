//! Rows of the progress on ladders. Read and written under the lock of the case.

use domain::enums::Rung;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::Error;
use crate::cases::ladder_progress::{LadderProgress, LadderRow, Pause};
use crate::policy::RungKey;
use crate::row::{RowReader, column, list};

/// Inserts or updates rows, each once.
pub async fn upsert_ladders(
    conn: &mut PgConnection,
    rows: &[(Uuid, &LadderRow)],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<&(Uuid, &LadderRow)> = rows.iter().collect();
    sqlx::query(
        "-- upsert_ladders
        insert into case_ladder (
            case_id, episode_at, ladder_from, rungs_fired, rungs_fired_ms, last_rung, next_contact_by, paused_since,
            paused_until, pauses, paused_ms, flagged_at)
        select
            case_id, r.episode_at, r.ladder_from, coalesce(f.rungs, '{}'), coalesce(f.after_ms, '{}'), r.last_rung,
            r.next_contact_by, r.paused_since, r.paused_until, r.pauses, r.paused_ms, r.flagged_at
        from unnest(
            $1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::timestamptz[],
            $7::timestamptz[], $8::integer[], $9::bigint[], $10::timestamptz[]) as r (
            case_id, episode_at, ladder_from, last_rung, next_contact_by, paused_since, paused_until, pauses, paused_ms,
            flagged_at)
        left join (
            select case_id, array_agg(rung order by n) as rungs, array_agg(after_ms order by n) as after_ms
            from unnest($11::uuid[], $12::text[], $13::bigint[]) with ordinality as fired (case_id, rung, after_ms, n)
            group by case_id) f using (case_id)
        order by case_id
        on conflict (case_id) do update set
            episode_at = excluded.episode_at, ladder_from = excluded.ladder_from, rungs_fired = excluded.rungs_fired,
            rungs_fired_ms = excluded.rungs_fired_ms, last_rung = excluded.last_rung,
            next_contact_by = excluded.next_contact_by, paused_since = excluded.paused_since,
            paused_until = excluded.paused_until, pauses = excluded.pauses, paused_ms = excluded.paused_ms,
            flagged_at = excluded.flagged_at",
    )
    .bind(column(&rows, |(id, _)| *id))
    .bind(column(&rows, |(_, l)| l.episode_at))
    .bind(column(&rows, |(_, l)| l.ladder_from))
    .bind(column(&rows, |(_, l)| l.last_rung.map(Rung::as_str)))
    .bind(column(&rows, |(_, l)| l.next_contact_by))
    .bind(column(&rows, |(_, l)| l.pause.map(|p| p.since)))
    .bind(column(&rows, |(_, l)| l.pause.map(|p| p.until)))
    .bind(column(&rows, |(_, l)| l.pauses))
    .bind(column(&rows, |(_, l)| l.paused_ms))
    .bind(column(&rows, |(_, l)| l.flagged_at))
    .bind(list(&rows, |(_, l)| &l.rungs_fired, |(id, _), _| *id))
    .bind(list(&rows, |(_, l)| &l.rungs_fired, |_, fired| fired.rung.as_str()))
    .bind(list(&rows, |(_, l)| &l.rungs_fired, |_, fired| fired.after.whole_milliseconds() as i64))
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads the columns of one row.
pub(super) fn ladder(r: &RowReader<'_>) -> Result<LadderProgress, Error> {
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
