//! Police holds: nothing happens to a case until its hold is released or ends by itself.

use domain::Invalid;
use domain::event::Body;
use domain::id::{CaseId, PoliceHoldId};
use domain::wire::timestamp;
use platform::principal::Role;
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Outbox, SYSTEM, lock_one, seal_reason, verdict};
use crate::auth::Person;
use crate::case::{Case, PoliceHold};
use crate::context::CommandContext;
use crate::error::Error;
use crate::lifecycle::{Command, State};
use crate::store;

/// Puts a case on hold, or changes the end of its hold. An analyst may do so with a case that they have
/// claimed; any other case, and every release, needs a supervisor.
pub(crate) async fn police_hold(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
    reason: &str,
    until: OffsetDateTime,
) -> Result<Case, Error> {
    person.require_any([Role::Supervisor, Role::Analyst])?;
    if until <= now {
        return Err(Error::Invalid(Invalid::new(
            "hold_until_past",
            "until",
            "`until` is in the past; send a time in the future",
        )));
    }
    let mut case = lock_one(conn, id).await?;
    let running = match (case.state, case.police_hold) {
        (State::OnPoliceHold(_), Some(police_hold)) => Some(police_hold),
        _ => None,
    };
    if running.is_some_and(|police_hold| police_hold.until == Some(until)) {
        return Ok(case);
    }
    let is_claimant = case
        .claim
        .is_some_and(|claim| claim.by == person.subject && claim.until > now);
    if !is_claimant {
        person.require(Role::Supervisor)?;
    }
    case.apply(Command::PoliceHold)?;
    case.end_claim("held".to_owned());
    let police_hold_id = running.map_or_else(
        || PoliceHoldId::new(Uuid::now_v7()),
        |police_hold| police_hold.id,
    );
    case.police_hold = Some(PoliceHold {
        id: police_hold_id,
        until: Some(until),
    });
    let mut out = Outbox::new(now);
    let act = out.record_act(id, "hold", &person.principal.actor());
    seal_reason(context, &case, act, reason)?;
    let body = Body::CaseHeld(v1::CaseHeld {
        police_hold_id: police_hold_id.to_string(),
        until: Some(timestamp(until)),
    });
    out.emit(&case, body);
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.store(conn).await?;
    Ok(case)
}

/// Releases a hold. Repeating the call has no further effect.
pub(crate) async fn release(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
) -> Result<Case, Error> {
    person.require(Role::Supervisor)?;
    let mut case = lock_one(conn, id).await?;
    let released = case
        .police_hold
        .is_some_and(|police_hold| police_hold.until.is_none());
    if released && !matches!(case.state, State::OnPoliceHold(_)) {
        return Ok(case);
    }
    let mut out = Outbox::new(now);
    release_hold(context, &mut case, &person.principal.actor(), &mut out)?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.store(conn).await?;
    Ok(case)
}

/// Releases holds that have ended by themselves. Returns how many.
pub(crate) async fn release_expired(
    conn: &mut PgConnection,
    context: &CommandContext,
    now: OffsetDateTime,
    limit: i64,
) -> Result<usize, Error> {
    let mut cases = store::queue::lock_expired_police_holds(conn, now, limit).await?;
    let mut out = Outbox::new(now);
    for case in &mut cases {
        release_hold(context, case, SYSTEM, &mut out)?;
    }
    store::cases::save(conn, &cases).await?;
    out.store(conn).await?;
    Ok(cases.len())
}

fn release_hold(
    context: &CommandContext,
    case: &mut Case,
    actor: &str,
    out: &mut Outbox,
) -> Result<(), Error> {
    case.apply(Command::ReleaseHold)?;
    let police_hold = case
        .police_hold
        .as_mut()
        .ok_or_else(|| Error::bad_row("assessment", "police_hold_id", case.id))?;
    police_hold.until = None;
    let police_hold_id = police_hold.id.to_string();
    // Lists and rules may have changed during the hold.
    case.request_match();
    out.record_act(case.id, "release", actor);
    out.emit(
        case,
        Body::CaseReleased(v1::CaseReleased { police_hold_id }),
    );
    verdict::emit_due_reannouncement(context, case, out)
}
