//! Seals of cases, and the regulator's list.

use domain::id::{CaseId, ReportId};
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::row::column;

/// Proof, data key and sealed content from a decision; fixed while the decision stands.
#[derive(Clone)]
pub struct CaseSeal {
    pub case_id: CaseId,
    pub proof_body: Vec<u8>,
    pub proof_signature: Vec<u8>,
    pub proof_key: String,
    pub wrapped_key: Vec<u8>,
    pub sealed_content: Vec<u8>,
    pub content_report_id: ReportId,
    /// Trace context of the decision's event, if it was traced.
    pub traceparent: Option<String>,
}

/// Inserts or replaces seals.
pub async fn upsert_seals(conn: &mut PgConnection, seals: &[&CaseSeal]) -> Result<(), Error> {
    if seals.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- upsert_seals
        insert into case_seal (case_id, proof_body, proof_signature, proof_key, wrapped_key, sealed_content, content_report_id,
            traceparent)
        select s.case_id, s.proof_body, s.proof_signature, s.proof_key, s.wrapped_key, s.sealed_content, s.content_report_id,
            s.traceparent
        from unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::text[], $5::bytea[], $6::bytea[], $7::uuid[],
            $8::text[])
            as s (case_id, proof_body, proof_signature, proof_key, wrapped_key, sealed_content, content_report_id, traceparent)
        order by s.case_id
        on conflict (case_id) do update set proof_body = excluded.proof_body, proof_signature = excluded.proof_signature,
            proof_key = excluded.proof_key, wrapped_key = excluded.wrapped_key, sealed_content = excluded.sealed_content,
            content_report_id = excluded.content_report_id, traceparent = excluded.traceparent",
    )
    .bind(column(seals, |s| s.case_id.uuid()))
    .bind(column(seals, |s| s.proof_body.as_slice()))
    .bind(column(seals, |s| s.proof_signature.as_slice()))
    .bind(column(seals, |s| s.proof_key.as_str()))
    .bind(column(seals, |s| s.wrapped_key.as_slice()))
    .bind(column(seals, |s| s.sealed_content.as_slice()))
    .bind(column(seals, |s| s.content_report_id.uuid()))
    .bind(column(seals, |s| s.traceparent.as_deref()))
    .execute(conn)
    .await?;
    Ok(())
}

/// The seals of these cases.
pub async fn seals(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<CaseSeal>, Error> {
    let rows = sqlx::query(
        "-- seals
        select case_id, proof_body, proof_signature, proof_key, wrapped_key, sealed_content, content_report_id, traceparent
        from case_seal
        where case_id = any($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(CaseSeal {
                case_id: CaseId::new(row.try_get("case_id")?),
                proof_body: row.try_get("proof_body")?,
                proof_signature: row.try_get("proof_signature")?,
                proof_key: row.try_get("proof_key")?,
                wrapped_key: row.try_get("wrapped_key")?,
                sealed_content: row.try_get("sealed_content")?,
                content_report_id: ReportId::new(row.try_get("content_report_id")?),
                traceparent: row.try_get("traceparent")?,
            })
        })
        .collect()
}

/// Puts cases on the regulator's list; an existing entry stays as it is.
pub async fn insert_regulator_entries(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    listed: &[(CaseId, i32, String, OffsetDateTime)],
) -> Result<(), Error> {
    if listed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- insert_regulator_entries
        insert into regulator_list (case_id, episode, regime, due_at, listed_at)
        select l.case_id, l.episode, l.regime, l.due_at, $5
        from unnest($1::uuid[], $2::integer[], $3::text[], $4::timestamptz[]) as l (case_id, episode, regime, due_at)
        order by l.case_id, l.episode
        on conflict (case_id, episode) do nothing",
    )
    .bind(listed.iter().map(|l| l.0.uuid()).collect::<Vec<_>>())
    .bind(listed.iter().map(|l| l.1).collect::<Vec<_>>())
    .bind(listed.iter().map(|l| l.2.as_str()).collect::<Vec<_>>())
    .bind(listed.iter().map(|l| l.3).collect::<Vec<_>>())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}
