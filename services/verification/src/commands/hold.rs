//! Police holds: nothing happens to a case until the hold is released, or runs out.

use domain::event::Body;
use domain::id::{CaseId, HoldId};
use domain::wire::timestamp;
use platform::principal::Role;
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Outbox, SYSTEM, lock_one, note, verdict};
use crate::auth::Person;
use crate::case::{Case, Hold};
use crate::error::{Error, Refusal};
use crate::lifecycle::{Command, State};
use crate::means::Means;
use crate::store;

/// Holds a case, or gives a hold another end. An analyst holds what they have in hand; any other case, and the release,
/// are a supervisor's.
pub(crate) async fn hold(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
    reason: &str,
    until: OffsetDateTime,
) -> Result<Case, Error> {
    person.require_any([Role::Supervisor, Role::Analyst])?;
    if until <= now {
        return Err(Refusal::HOLD_PAST.into());
    }
    let mut case = lock_one(conn, id).await?;
    let running = match (case.state, case.hold) {
        (State::Held(_), Some(hold)) => Some(hold),
        _ => None,
    };
    if running.is_some_and(|hold| hold.until == Some(until)) {
        return Ok(case);
    }
    let in_hand = case
        .claim
        .is_some_and(|claim| claim.by == person.subject && claim.until > now);
    if !in_hand {
        person.require(Role::Supervisor)?;
    }
    case.apply(Command::Hold)?;
    case.spend_claim("held".to_owned());
    let hold_id = running.map_or_else(|| HoldId::new(Uuid::now_v7()), |hold| hold.id);
    case.hold = Some(Hold {
        id: hold_id,
        until: Some(until),
    });
    let mut out = Outbox::new(now);
    let act = out.act(id, "hold", &person.principal.actor());
    note(means, &case, act, reason)?;
    let body = Body::CaseHeld(v1::CaseHeld {
        hold_id: hold_id.to_string(),
        until: Some(timestamp(until)),
    });
    out.say(&case, body);
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.write(conn).await?;
    Ok(case)
}

/// Releases a hold. Releasing it twice is once.
pub(crate) async fn release(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
) -> Result<Case, Error> {
    person.require(Role::Supervisor)?;
    let mut case = lock_one(conn, id).await?;
    let released = case.hold.is_some_and(|hold| hold.until.is_none());
    if released && !matches!(case.state, State::Held(_)) {
        return Ok(case);
    }
    let mut out = Outbox::new(now);
    end(means, &mut case, &person.principal.actor(), &mut out)?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.write(conn).await?;
    Ok(case)
}

/// Releases holds that ran out. Returns how many.
pub(crate) async fn run_out(
    conn: &mut PgConnection,
    means: &Means,
    now: OffsetDateTime,
    limit: i64,
) -> Result<usize, Error> {
    let mut cases = store::queue::lock_held_over(conn, now, limit).await?;
    let mut out = Outbox::new(now);
    for case in &mut cases {
        end(means, case, SYSTEM, &mut out)?;
    }
    store::cases::save(conn, &cases).await?;
    out.write(conn).await?;
    Ok(cases.len())
}

fn end(means: &Means, case: &mut Case, actor: &str, out: &mut Outbox) -> Result<(), Error> {
    case.apply(Command::Unhold)?;
    let hold = case
        .hold
        .as_mut()
        .ok_or_else(|| Error::bad_row("assessment", "hold_id", case.id))?;
    hold.until = None;
    let hold_id = hold.id.to_string();
    // Lists and rules may have changed while it was held.
    case.unmatch();
    out.act(case.id, "release", actor);
    out.say(case, Body::CaseReleased(v1::CaseReleased { hold_id }));
    verdict::announce_what_is_due(means, case, out)
}
