//! Rows of what the checks of cases have found. Read and written under the lock of the case.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;
use crate::cases::page::{Fingerprint, FingerprintDigest};
use crate::cases::removal::{Removal, RemovalRow};
use crate::row::{RowReader, column, list};

/// Inserts or updates rows, each once.
pub async fn upsert_removals(
    conn: &mut PgConnection,
    rows: &[(Uuid, &RemovalRow)],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<&(Uuid, &RemovalRow)> = rows.iter().collect();
    let page = |row: &RemovalRow| row.online_fingerprint.clone();
    sqlx::query(
        "-- upsert_removals
        insert into case_removal (
            case_id, claim_since, claim_until, checks, checks_agreed, checks_changed, watch_step, online_status,
            online_length, online_etag, online_type, reviewed_fingerprint, offline_fingerprints)
        select
            case_id, r.claim_since, r.claim_until, r.checks, r.checks_agreed, r.checks_changed, r.watch_step,
            r.online_status, r.online_length, r.online_etag, r.online_type, r.reviewed_fingerprint,
            coalesce(o.digests, '{}')
        from unnest(
            $1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::integer[], $5::integer[], $6::integer[],
            $7::integer[], $8::integer[], $9::bigint[], $10::text[], $11::text[], $12::text[]) as r (
            case_id, claim_since, claim_until, checks, checks_agreed, checks_changed, watch_step, online_status,
            online_length, online_etag, online_type, reviewed_fingerprint)
        left join (
            select case_id, array_agg(digest order by n) as digests
            from unnest($13::uuid[], $14::text[]) with ordinality as offline (case_id, digest, n)
            group by case_id) o using (case_id)
        order by case_id
        on conflict (case_id) do update set
            claim_since = excluded.claim_since, claim_until = excluded.claim_until, checks = excluded.checks,
            checks_agreed = excluded.checks_agreed, checks_changed = excluded.checks_changed,
            watch_step = excluded.watch_step, online_status = excluded.online_status,
            online_length = excluded.online_length, online_etag = excluded.online_etag,
            online_type = excluded.online_type, reviewed_fingerprint = excluded.reviewed_fingerprint,
            offline_fingerprints = excluded.offline_fingerprints",
    )
    .bind(column(&rows, |(id, _)| *id))
    .bind(column(&rows, |(_, c)| c.claim_since))
    .bind(column(&rows, |(_, c)| c.claim_until))
    .bind(column(&rows, |(_, c)| c.checks))
    .bind(column(&rows, |(_, c)| c.checks_agreed))
    .bind(column(&rows, |(_, c)| c.checks_changed))
    .bind(column(&rows, |(_, c)| c.watch_step))
    .bind(column(&rows, |(_, c)| page(c).map(|p| p.status)))
    .bind(column(&rows, |(_, c)| page(c).and_then(|p| p.length)))
    .bind(column(&rows, |(_, c)| page(c).and_then(|p| p.etag)))
    .bind(column(&rows, |(_, c)| page(c).and_then(|p| p.content_type)))
    .bind(column(&rows, |(_, c)| c.reviewed_fingerprint.as_ref().map(FingerprintDigest::as_str)))
    .bind(list(&rows, |(_, c)| &c.offline_fingerprints, |(id, _), _| *id))
    .bind(list(&rows, |(_, c)| &c.offline_fingerprints, |_, digest| digest.as_str()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads the columns of one row; without a row nothing was found yet.
pub(super) fn removal(r: &RowReader<'_>) -> Result<Removal, Error> {
    if r.get::<Option<i32>>("checks")?.is_none() {
        return Ok(Removal::default());
    }
    Ok(Removal::from_row(RemovalRow {
        claim_since: r.get("claim_since")?,
        claim_until: r.get("claim_until")?,
        checks: r.get("checks")?,
        checks_agreed: r.get("checks_agreed")?,
        checks_changed: r.get("checks_changed")?,
        watch_step: r.get("watch_step")?,
        online_fingerprint: online_fingerprint(r)?,
        reviewed_fingerprint: r.parse_optional("reviewed_fingerprint")?,
        offline_fingerprints: offline_fingerprints(r)?,
    }))
}

fn online_fingerprint(r: &RowReader<'_>) -> Result<Option<Fingerprint>, Error> {
    let status: Option<i32> = r.get("online_status")?;
    let Some(status) = status else {
        return Ok(None);
    };
    Ok(Some(Fingerprint {
        status,
        length: r.get("online_length")?,
        etag: r.get("online_etag")?,
        content_type: r.get("online_type")?,
    }))
}

fn offline_fingerprints(r: &RowReader<'_>) -> Result<Vec<FingerprintDigest>, Error> {
    let digests: Vec<String> = r.get("offline_fingerprints")?;
    digests
        .iter()
        .map(|digest| {
            let digest = digest.parse();
            digest.map_err(|()| r.damaged("offline_fingerprints"))
        })
        .collect()
}
