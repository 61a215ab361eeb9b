//! A supervisor takes a verdict back. Notices that stand on it are retracted by who hears of it.

use platform::sealed::Purpose;
use sqlx::PgConnection;
use time::OffsetDateTime;

use domain::id::CaseId;
use platform::principal::Role;

use super::decide::{close_review, decision_of, withdrawn};
use super::{Outbox, lock_one};
use crate::auth::Person;
use crate::case::{ANALYST, Case};
use crate::error::Error;
use crate::lifecycle::{Command, Rest, State};
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
    case.apply(Command::WithdrawVerdict)?;
    if case.state == before {
        return Ok(case);
    }
    let decision = decision_of(&case)?;
    let mut out = Outbox::new(now);
    let key = means.key(id, &case.item.wrapped_key)?;
    let act = out.act(id, "withdraw", &person.principal.actor());
    act.decision = Some(decision);
    act.sealed_note = Some(
        key.seal(Purpose::Note, id.uuid(), act.id, reason.as_bytes())
            .into_bytes(),
    );
    out.say(&case, withdrawn(decision));
    case.spend_claim("withdrawn".to_owned());
    close_review(&mut case);
    if case.state == State::At(Rest::Queued) {
        assess_again(&mut case);
    }
    store::acts::close_reviews(conn, &[id.uuid()], "withdrawn", now).await?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.write(conn).await?;
    Ok(case)
}

/// Back in the queue, for other analysts than those who were taken back. Lists and rules are not asked again until
/// they change: what they said is what was withdrawn.
fn assess_again(case: &mut Case) {
    if let Some(decision) = case.decision.take()
        && decision.basis == ANALYST
    {
        case.not_for = decision.approvers;
    }
}
