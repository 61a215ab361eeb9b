//! A supervisor takes a verdict back. Notices that stand on it are retracted by who hears of it.

use sqlx::PgConnection;
use time::OffsetDateTime;

use domain::id::CaseId;
use platform::principal::Role;

use super::decide::{close_review, decision_of, withdrawn};
use super::{Outbox, lock_one, note};
use crate::auth::Person;
use crate::case::Case;
use crate::error::Error;
use crate::lifecycle::Command;
use crate::means::Means;
use crate::store;

pub(crate) async fn withdraw(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
    reason: &str,
) -> Result<Case, Error> {
    person.require(Role::Supervisor)?;
    let mut case = lock_one(conn, id).await?;
    let before = case.state;
    if before.is_assessed() && case.decision.is_none() && !case.withdrawn.is_empty() {
        // Taken back before, and nothing was decided since.
        return Ok(case);
    }
    let decision = decision_of(&case).ok();
    // Before the case is begun anew, which says for whom it is not.
    close_review(&mut case);
    case.apply(Command::WithdrawVerdict)?;
    if case.state == before {
        return Ok(case);
    }
    let decision = decision.ok_or_else(|| Error::bad_row("assessment", "decision_id", id))?;
    let mut out = Outbox::new(now);
    let act = out.act(id, "withdraw", &person.principal.actor());
    act.decision = Some(decision);
    note(means, &case, act, reason)?;
    out.say(&case, withdrawn(decision));
    case.spend_claim("withdrawn".to_owned());
    store::acts::close_reviews(conn, &[id.uuid()], "withdrawn", now).await?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.write(conn).await?;
    Ok(case)
}

/// Has a case assessed anew whose verdict was taken back. Asking twice is once.
pub(crate) async fn assess_again(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
    reason: &str,
) -> Result<Case, Error> {
    person.require(Role::Supervisor)?;
    let mut case = lock_one(conn, id).await?;
    let before = case.state;
    case.apply(Command::AssessAgain)?;
    if case.state == before {
        return Ok(case);
    }
    let mut out = Outbox::new(now);
    let actor = person.principal.actor();
    note(means, &case, out.act(id, "assess_again", &actor), reason)?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.write(conn).await?;
    Ok(case)
}
