//! Standing rules: proposed by one person, approved by another, retired by a supervisor.

use domain::id::RuleId;
use platform::principal::Role;
use platform::sealed::Purpose;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::auth::Person;
use crate::case::Finding;
use crate::error::{Error, Refusal};
use crate::matching::rules::{Pattern, place};
use crate::means::Means;
use crate::store;
use crate::store::rules::{NewRule, RuleRow};

/// What somebody proposes.
pub(crate) struct Proposal {
    /// A new version of this rule; None for a new rule.
    pub(crate) of: Option<RuleId>,
    pub(crate) pattern: Pattern,
    pub(crate) finding: Finding,
    pub(crate) reason: String,
}

/// A rule as people see it.
pub(crate) struct Shown {
    pub(crate) row: RuleRow,
    pub(crate) pattern: Pattern,
    pub(crate) finding: Finding,
    pub(crate) reason: String,
}

impl Shown {
    /// The same words of the same person: said again, not something new.
    fn is_repeat(&self, proposal: &Proposal, person: &Person) -> bool {
        self.row.proposed_by == person.subject.uuid()
            && self.pattern == proposal.pattern
            && self.finding == proposal.finding
            && self.reason == proposal.reason
    }
}

/// Proposes a rule, or a new version of one. Proposing the same twice is once.
pub(crate) async fn propose(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    proposal: Proposal,
) -> Result<Shown, Error> {
    person.require_any([Role::Supervisor, Role::Analyst])?;
    let (id, version) = match proposal.of {
        None => {
            let theirs = store::rules::proposed_by(conn, person.subject.uuid()).await?;
            for row in theirs {
                // One that cannot be read is no reason to refuse another; it is alarmed where it would decide.
                match show(means, row) {
                    Ok(shown) if shown.is_repeat(&proposal, person) => return Ok(shown),
                    Ok(_) | Err(_) => {}
                }
            }
            (RuleId::new(Uuid::now_v7()), 1)
        }
        Some(id) => {
            let versions = locked(conn, id).await?;
            let newest = &versions[versions.len() - 1];
            let shown = show(means, newest.clone())?;
            if shown.is_repeat(&proposal, person) {
                return Ok(shown);
            }
            (id, newest.version + 1)
        }
    };
    let keyring = &means.keyring;
    let rule = NewRule {
        id,
        version,
        sealed_match: proposal.pattern.seal(keyring, id.uuid(), version),
        sealed_note: keyring
            .seal_provider(
                Purpose::Note,
                &place(version),
                id.uuid(),
                proposal.reason.as_bytes(),
            )
            .into_bytes(),
        finding: proposal.finding,
        by: person.subject.uuid(),
    };
    store::rules::insert(conn, &rule, now).await?;
    newest(conn, means, id).await
}

/// Lets this version decide: the newest, and the one that was read. Approving it twice is once.
pub(crate) async fn approve(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    id: RuleId,
    version: i32,
) -> Result<Shown, Error> {
    person.require(Role::Supervisor)?;
    let versions = locked(conn, id).await?;
    let row = &versions[versions.len() - 1];
    if row.version != version {
        return Err(Refusal::STALE.into());
    }
    if row.approved_by.is_none() {
        if row.proposed_by == person.subject.uuid() {
            return Err(Refusal::OWN_RULE.into());
        }
        store::rules::approve(conn, id, row.version, person.subject.uuid(), now).await?;
        store::lists::next_epoch(conn).await?;
    }
    newest(conn, means, id).await
}

/// Ends a rule with all its versions. What it decided stands. Retiring it twice is once.
pub(crate) async fn retire(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    id: RuleId,
) -> Result<Shown, Error> {
    person.require(Role::Supervisor)?;
    match locked(conn, id).await {
        Ok(_) => {
            store::rules::retire(conn, id, person.subject.uuid(), now).await?;
            store::lists::next_epoch(conn).await?;
        }
        Err(Error::Refused(Refusal::RULE_RETIRED)) => {}
        Err(error) => return Err(error),
    }
    newest(conn, means, id).await
}

pub(crate) async fn list(conn: &mut PgConnection, means: &Means) -> Result<Vec<Shown>, Error> {
    let rows = store::rules::all(conn).await?;
    rows.into_iter().map(|row| show(means, row)).collect()
}

/// All versions of a rule that is there and not retired; at least one.
async fn locked(conn: &mut PgConnection, id: RuleId) -> Result<Vec<RuleRow>, Error> {
    let versions = store::rules::lock(conn, id).await?;
    match versions.last() {
        None => Err(Refusal::RULE_UNKNOWN.into()),
        Some(row) if row.retired_at.is_some() => Err(Refusal::RULE_RETIRED.into()),
        Some(_) => Ok(versions),
    }
}

async fn newest(conn: &mut PgConnection, means: &Means, id: RuleId) -> Result<Shown, Error> {
    let row = store::rules::lock(conn, id)
        .await?
        .pop()
        .ok_or(Refusal::RULE_UNKNOWN)?;
    show(means, row)
}

fn show(means: &Means, row: RuleRow) -> Result<Shown, Error> {
    let note = means.keyring.open_provider(
        Purpose::Note,
        &place(row.version),
        row.rule_id,
        &row.sealed_note,
    )?;
    Ok(Shown {
        pattern: Pattern::open(&means.keyring, &row)?,
        finding: row.finding()?,
        reason: note.text()?.to_owned(),
        row,
    })
}
