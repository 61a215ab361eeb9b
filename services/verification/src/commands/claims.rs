//! Taking cases in hand and putting them back. A claim is a lease: it names itself by a token and ends by itself.

use domain::id::CaseId;
use platform::lease::Lease;
use platform::principal::Role;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::lock_one;
use crate::auth::Person;
use crate::case::{Case, Claim, Spent};
use crate::error::{Error, Refusal};
use crate::lifecycle::Command;
use crate::means::Means;
use crate::roster::Seeker;
use crate::store;

/// How a claim ended that was given back or ran out.
const PUT_BACK: &str = "put_back";

/// Gives the caller up to `limit` of the most urgent cases that they may take.
pub(crate) async fn urgent(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let seeker = seeker(person)?;
    let roster = store::staff::roster(conn).await?;
    let mut cases = store::queue::lock_urgent(conn, &roster, seeker, limit).await?;
    for case in &mut cases {
        take(means, case, person, now)?;
    }
    store::cases::save(conn, &cases).await?;
    Ok(cases)
}

/// Gives the caller this case. Who has it already keeps the claim, for a full term from now.
pub(crate) async fn this(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
) -> Result<Case, Error> {
    let seeker = seeker(person)?;
    let roster = store::staff::roster(conn).await?;
    let mut case = lock_one(conn, id).await?;
    if case.claim.is_some_and(|claim| claim.until <= now) {
        put_back(&mut case)?;
    }
    match &mut case.claim {
        Some(claim) if claim.by == person.subject => {
            claim.until = Lease::new(claim.token, now, means.config.claim()).until;
        }
        _ => {
            if case.state.waits_for_a_person() {
                roster.may_take(&case, seeker)?;
            }
            take(means, &mut case, person, now)?;
        }
    }
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    Ok(case)
}

pub(super) fn seeker(person: &Person) -> Result<Seeker, Error> {
    person.require_any([Role::Analyst, Role::Supervisor])?;
    Ok(Seeker {
        subject: person.subject.uuid(),
        analyst: person.has(Role::Analyst),
        supervisor: person.has(Role::Supervisor),
    })
}

fn take(means: &Means, case: &mut Case, person: &Person, now: OffsetDateTime) -> Result<(), Error> {
    case.apply(Command::Claim)?;
    let lease = Lease::new(Uuid::new_v4(), now, means.config.claim());
    case.attempts += 1;
    case.claim = Some(Claim {
        by: person.subject,
        token: lease.token,
        until: lease.until,
    });
    Ok(())
}

/// Gives a case back. Giving it back twice is once.
pub(crate) async fn release(
    conn: &mut PgConnection,
    person: &Person,
    id: CaseId,
    token: Uuid,
) -> Result<(), Error> {
    let mut case = lock_one(conn, id).await?;
    let before = Spent {
        token,
        verdict: PUT_BACK.to_owned(),
    };
    if case.spent.as_ref() == Some(&before) {
        return Ok(());
    }
    let holds = case
        .claim
        .is_some_and(|claim| claim.token == token && claim.by == person.subject);
    if !holds {
        return Err(Refusal::CLAIM_FOREIGN.into());
    }
    put_back(&mut case)?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    Ok(())
}

/// Puts back claims that ran out. Returns how many.
pub(crate) async fn expire(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<usize, Error> {
    let mut cases = store::queue::lock_expired(conn, now, limit).await?;
    for case in &mut cases {
        put_back(case)?;
    }
    store::cases::save(conn, &cases).await?;
    Ok(cases.len())
}

fn put_back(case: &mut Case) -> Result<(), Error> {
    case.apply(Command::PutBack)?;
    case.spend_claim(PUT_BACK.to_owned());
    Ok(())
}
