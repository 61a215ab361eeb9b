//! The SQL of `rule`. No decisions.

use domain::enums::{Category, NotActionableReason};
use domain::id::RuleId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::case_verdict;
use crate::case::CaseVerdict;
use crate::error::Error;

#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RuleRow {
    pub(crate) rule_id: Uuid,
    pub(crate) version: i32,
    pub(crate) sealed_match: Vec<u8>,
    pub(crate) sealed_note: Vec<u8>,
    category: Option<String>,
    reason: Option<String>,
    pub(crate) proposed_by: Uuid,
    pub(crate) approved_by: Option<Uuid>,
    pub(crate) retired_at: Option<OffsetDateTime>,
}

impl RuleRow {
    pub(crate) fn case_verdict(&self) -> Result<CaseVerdict, Error> {
        case_verdict(self.category.as_deref(), self.reason.as_deref())
            .ok_or_else(|| Error::bad_row("rule", "category", self.rule_id))
    }
}

/// A proposed version of a rule.
pub(crate) struct NewRule {
    pub(crate) id: RuleId,
    pub(crate) version: i32,
    pub(crate) sealed_match: Vec<u8>,
    pub(crate) sealed_note: Vec<u8>,
    pub(crate) verdict: CaseVerdict,
    pub(crate) by: Uuid,
}

/// Locks all versions of a rule, the newest last.
pub(crate) async fn lock(conn: &mut PgConnection, id: RuleId) -> sqlx::Result<Vec<RuleRow>> {
    sqlx::query_as(
        "-- lock
        select rule_id, version, sealed_match, sealed_note, category, reason, proposed_by, approved_by, retired_at
        from rule where rule_id = $1 order by version for update",
    )
    .bind(id.uuid())
    .fetch_all(conn)
    .await
}

/// The newest version of each rule that is not retired, if this person proposed it. Serialised by person, so
/// that one of two concurrent identical proposals finds the other.
pub(crate) async fn proposed_by(conn: &mut PgConnection, by: Uuid) -> sqlx::Result<Vec<RuleRow>> {
    sqlx::query(
        "-- lock_proposer
        select pg_advisory_xact_lock(hashtextextended('rule:' || $1::text, 0))",
    )
    .bind(by)
    .execute(&mut *conn)
    .await?;
    sqlx::query_as(
        "-- proposed_by
        select rule_id, version, sealed_match, sealed_note, category, reason, proposed_by, approved_by, retired_at
        from rule r where proposed_by = $1 and retired_at is null
            and version = (select max(version) from rule v where v.rule_id = r.rule_id)",
    )
    .bind(by)
    .fetch_all(conn)
    .await
}

pub(crate) async fn insert(
    conn: &mut PgConnection,
    rule: &NewRule,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- insert_rules
        insert into rule (rule_id, version, sealed_match, sealed_note, category, reason, proposed_by, proposed_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(rule.id.uuid())
    .bind(rule.version)
    .bind(&rule.sealed_match)
    .bind(&rule.sealed_note)
    .bind(rule.verdict.category().map(Category::as_str))
    .bind(rule.verdict.reason().map(NotActionableReason::as_str))
    .bind(rule.by)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn approve(
    conn: &mut PgConnection,
    id: RuleId,
    version: i32,
    by: Uuid,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- approve
        update rule set approved_by = $3, approved_at = $4
        where rule_id = $1 and version = $2 and approved_by is null",
    )
    .bind(id.uuid())
    .bind(version)
    .bind(by)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn retire(
    conn: &mut PgConnection,
    id: RuleId,
    by: Uuid,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- retire
        update rule set retired_at = $3, retired_by = $2 where rule_id = $1 and retired_at is null",
    )
    .bind(id.uuid())
    .bind(by)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// All versions of all rules.
pub(crate) async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<RuleRow>> {
    sqlx::query_as(
        "-- all_rules
        select rule_id, version, sealed_match, sealed_note, category, reason, proposed_by, approved_by, retired_at
        from rule order by rule_id, version",
    )
    .fetch_all(conn)
    .await
}

/// The versions in force.
pub(crate) async fn in_force(conn: &mut PgConnection) -> sqlx::Result<Vec<RuleRow>> {
    sqlx::query_as(
        "-- in_force
        select distinct on (rule_id) rule_id, version, sealed_match, sealed_note, category, reason, proposed_by,
            approved_by, retired_at
        from rule where approved_by is not null and retired_at is null
        order by rule_id, version desc",
    )
    .fetch_all(conn)
    .await
}
