//! The SQL of `case_act`. No decisions.

use domain::id::{CaseId, DecisionId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// An act on a case.
#[derive(Debug, Clone)]
pub(crate) struct CaseAct {
    pub(crate) id: Uuid,
    pub(crate) case: CaseId,
    pub(crate) act: &'static str,
    pub(crate) actor: String,
    pub(crate) basis: Option<String>,
    pub(crate) verdict: Option<&'static str>,
    pub(crate) decision: Option<DecisionId>,
    /// The reason that a person gave, sealed with the case's key and bound to `id`.
    pub(crate) sealed_note: Option<Vec<u8>>,
    pub(crate) at: OffsetDateTime,
}

pub(crate) async fn insert(conn: &mut PgConnection, acts: &[CaseAct]) -> sqlx::Result<()> {
    if acts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- insert_case_acts
        insert into case_act (id, case_id, act, actor, basis, verdict, decision_id, sealed_note, at)
        select n.id, n.case_id, n.act, n.actor, n.basis, n.verdict, n.decision_id, n.sealed_note, n.at
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bytea[],
            $9::timestamptz[]) as n (id, case_id, act, actor, basis, verdict, decision_id, sealed_note, at)
        order by n.id",
    )
    .bind(acts.iter().map(|a| a.id).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.case.uuid()).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.act).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.actor.as_str()).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.basis.as_deref()).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.verdict).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.decision.map(DecisionId::uuid)).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.sealed_note.as_deref()).collect::<Vec<_>>())
    .bind(acts.iter().map(|a| a.at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}
