//! Rules: proposed by one person, approved by another, retired by a supervisor.

use domain::id::RuleId;
use platform::principal::Role;
use platform::sealed::Purpose;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::auth::Person;
use crate::case::CaseVerdict;
use crate::context::CommandContext;
use crate::error::{CommandRefusal, Error};
use crate::matching::rules::{RulePattern, rule_seal_scope};
use crate::store;
use crate::store::rules::{NewRule, RuleRow};

/// A proposed rule, or a proposed new version of one.
pub(crate) struct RuleProposal {
    /// The rule to change; None for a new rule.
    pub(crate) rule: Option<RuleId>,
    pub(crate) pattern: RulePattern,
    pub(crate) verdict: CaseVerdict,
    pub(crate) reason: String,
}

/// A version of a rule with its sealed fields opened.
pub(crate) struct RuleView {
    pub(crate) row: RuleRow,
    pub(crate) pattern: RulePattern,
    pub(crate) verdict: CaseVerdict,
    pub(crate) reason: String,
}

impl RuleView {
    /// The same person has proposed the same before.
    fn is_repeat(&self, proposal: &RuleProposal, person: &Person) -> bool {
        self.row.proposed_by == person.subject.uuid()
            && self.pattern == proposal.pattern
            && self.verdict == proposal.verdict
            && self.reason == proposal.reason
    }
}

/// Proposes a rule, or a new version of one. Repeating the call has no further effect.
pub(crate) async fn propose(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    proposal: RuleProposal,
) -> Result<RuleView, Error> {
    person.require_any([Role::Supervisor, Role::Analyst])?;
    let (id, version) = match proposal.rule {
        None => {
            let proposed = store::rules::proposed_by(conn, person.subject.uuid()).await?;
            for row in proposed {
                // A rule that cannot be opened does not block a new one. Matching raises the alarm for it.
                match open(context, row) {
                    Ok(rule) if rule.is_repeat(&proposal, person) => return Ok(rule),
                    Ok(_) | Err(_) => {}
                }
            }
            (RuleId::new(Uuid::now_v7()), 1)
        }
        Some(id) => {
            let versions = lock_versions(conn, id).await?;
            let newest = &versions[versions.len() - 1];
            let rule = open(context, newest.clone())?;
            if rule.is_repeat(&proposal, person) {
                return Ok(rule);
            }
            (id, newest.version + 1)
        }
    };
    let keyring = &context.keyring;
    let rule = NewRule {
        id,
        version,
        sealed_match: proposal.pattern.seal(keyring, id.uuid(), version),
        sealed_note: keyring
            .seal_provider(
                Purpose::Note,
                &rule_seal_scope(version),
                id.uuid(),
                proposal.reason.as_bytes(),
            )
            .into_bytes(),
        verdict: proposal.verdict,
        by: person.subject.uuid(),
    };
    store::rules::insert(conn, &rule, now).await?;
    newest_version(conn, context, id).await
}

/// Puts this version into force. It must be the newest, which is the one that the approver read. Repeating
/// the call has no further effect.
pub(crate) async fn approve(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    id: RuleId,
    version: i32,
) -> Result<RuleView, Error> {
    person.require(Role::Supervisor)?;
    let versions = lock_versions(conn, id).await?;
    let row = &versions[versions.len() - 1];
    if row.version != version {
        return Err(CommandRefusal::RULE_CHANGED.into());
    }
    if row.approved_by.is_none() {
        if row.proposed_by == person.subject.uuid() {
            return Err(CommandRefusal::OWN_RULE.into());
        }
        store::rules::approve(conn, id, row.version, person.subject.uuid(), now).await?;
        store::matching_version::advance(conn).await?;
    }
    newest_version(conn, context, id).await
}

/// Retires a rule with all its versions. Its decisions stand. Repeating the call has no further effect.
pub(crate) async fn retire(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    id: RuleId,
) -> Result<RuleView, Error> {
    person.require(Role::Supervisor)?;
    match lock_versions(conn, id).await {
        Ok(_) => {
            store::rules::retire(conn, id, person.subject.uuid(), now).await?;
            store::matching_version::advance(conn).await?;
        }
        Err(Error::Refused(CommandRefusal::RULE_RETIRED)) => {}
        Err(error) => return Err(error),
    }
    newest_version(conn, context, id).await
}

pub(crate) async fn list(
    conn: &mut PgConnection,
    context: &CommandContext,
) -> Result<Vec<RuleView>, Error> {
    let rows = store::rules::all(conn).await?;
    rows.into_iter().map(|row| open(context, row)).collect()
}

/// Locks all versions, at least one, of a rule that is not retired.
async fn lock_versions(conn: &mut PgConnection, id: RuleId) -> Result<Vec<RuleRow>, Error> {
    let versions = store::rules::lock(conn, id).await?;
    match versions.last() {
        None => Err(CommandRefusal::RULE_UNKNOWN.into()),
        Some(row) if row.retired_at.is_some() => Err(CommandRefusal::RULE_RETIRED.into()),
        Some(_) => Ok(versions),
    }
}

async fn newest_version(
    conn: &mut PgConnection,
    context: &CommandContext,
    id: RuleId,
) -> Result<RuleView, Error> {
    let row = store::rules::lock(conn, id)
        .await?
        .pop()
        .ok_or(CommandRefusal::RULE_UNKNOWN)?;
    open(context, row)
}

fn open(context: &CommandContext, row: RuleRow) -> Result<RuleView, Error> {
    let note = context.keyring.open_provider(
        Purpose::Note,
        &rule_seal_scope(row.version),
        row.rule_id,
        &row.sealed_note,
    )?;
    Ok(RuleView {
        pattern: RulePattern::open(&context.keyring, &row)?,
        verdict: row.case_verdict()?,
        reason: note.text()?.to_owned(),
        row,
    })
}
