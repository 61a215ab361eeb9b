//! Claims and their release. A claim is a lease: it has a token and expires by itself.

use domain::id::CaseId;
use platform::principal::Role;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::lock_one;
use crate::auth::Person;
use crate::case::{Case, Claim, EndedClaim};
use crate::context::CommandContext;
use crate::eligible_staff::Claimant;
use crate::error::{CommandRefusal, Error};
use crate::lifecycle::Command;
use crate::store;

/// Result of a claim that was released or expired.
const RELEASED: &str = "released";

/// Claims up to `limit` of the most urgent cases that the caller may take.
pub(crate) async fn claim_most_urgent(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let claimant = claimant(person)?;
    let eligible_staff = store::staff::eligible_staff(conn).await?;
    let mut cases = store::queue::lock_urgent(conn, &eligible_staff, claimant, limit).await?;
    for case in &mut cases {
        claim(context, case, person, now)?;
    }
    store::cases::save(conn, &cases).await?;
    Ok(cases)
}

/// Claims this case. A claim that the caller already has is extended to a full term from now.
pub(crate) async fn claim_one(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
) -> Result<Case, Error> {
    let claimant = claimant(person)?;
    let eligible_staff = store::staff::eligible_staff(conn).await?;
    let mut case = lock_one(conn, id).await?;
    if case.claim.is_some_and(|claim| claim.until <= now) {
        release_claim(&mut case)?;
    }
    match &mut case.claim {
        Some(claim) if claim.by == person.subject => {
            claim.until = now + context.config.claim();
        }
        _ => {
            if case.state.awaits_claim() {
                eligible_staff.check_may_claim(&case, claimant)?;
            }
            claim(context, &mut case, person, now)?;
        }
    }
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    Ok(case)
}

pub(super) fn claimant(person: &Person) -> Result<Claimant, Error> {
    person.require_any([Role::Analyst, Role::Supervisor])?;
    Ok(Claimant {
        subject: person.subject.uuid(),
        analyst: person.has(Role::Analyst),
        supervisor: person.has(Role::Supervisor),
    })
}

fn claim(
    context: &CommandContext,
    case: &mut Case,
    person: &Person,
    now: OffsetDateTime,
) -> Result<(), Error> {
    case.apply(Command::Claim)?;
    case.claim_attempts += 1;
    case.claim = Some(Claim {
        by: person.subject,
        token: Uuid::new_v4(),
        until: now + context.config.claim(),
    });
    Ok(())
}

/// Releases a claim. Repeating the call has no further effect.
pub(crate) async fn release(
    conn: &mut PgConnection,
    person: &Person,
    id: CaseId,
    token: Uuid,
) -> Result<(), Error> {
    let mut case = lock_one(conn, id).await?;
    let released = EndedClaim {
        token,
        result: RELEASED.to_owned(),
    };
    if case.ended_claim.as_ref() == Some(&released) {
        return Ok(());
    }
    let is_theirs = case
        .claim
        .is_some_and(|claim| claim.token == token && claim.by == person.subject);
    if !is_theirs {
        return Err(CommandRefusal::CLAIM_LOST.into());
    }
    release_claim(&mut case)?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    Ok(())
}

/// Releases expired claims. Returns how many.
pub(crate) async fn release_expired(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<usize, Error> {
    let mut cases = store::queue::lock_expired_claims(conn, now, limit).await?;
    for case in &mut cases {
        release_claim(case)?;
    }
    store::cases::save(conn, &cases).await?;
    Ok(cases.len())
}

fn release_claim(case: &mut Case) -> Result<(), Error> {
    case.apply(Command::ReleaseClaim)?;
    case.end_claim(RELEASED.to_owned());
    Ok(())
}
