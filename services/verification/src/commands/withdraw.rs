//! Withdrawal of a verdict: by a supervisor, or for a short time by the analyst who alone gave it. Dispatch
//! retracts the notices that rest on it.

use domain::id::CaseId;
use platform::principal::Role;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::decide::{close_review, decision_id, verdict_withdrawn};
use super::second_opinions::PriorVerdict;
use super::{Outbox, lock_one, seal_reason};
use crate::auth::Person;
use crate::case::{ANALYST, Case};
use crate::config::Config;
use crate::context::CommandContext;
use crate::error::{CommandRefusal, Error};
use crate::lifecycle::{Command, State, Waiting};
use crate::store;

/// A request to withdraw a verdict.
pub(crate) struct WithdrawalRequest<'a> {
    pub(crate) case: CaseId,
    pub(crate) reason: &'a str,
    /// Put the case back into the queue at once.
    pub(crate) assess_again: bool,
}

pub(crate) async fn withdraw(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    request: &WithdrawalRequest<'_>,
) -> Result<Case, Error> {
    person.require_any([Role::Supervisor, Role::Analyst])?;
    let id = request.case;
    let mut case = lock_one(conn, id).await?;
    let before = case.state;
    if before.awaits_verdict() && case.decision.is_none() && !case.withdrawn_bases.is_empty() {
        // Withdrawn before, and no verdict was given since.
        return Ok(case);
    }
    if before.apply(Command::WithdrawVerdict)? == before {
        return Ok(case);
    }
    check_may_withdraw(context, person, &case, now)?;
    let decision = decision_id(&case)?;
    let prior = PriorVerdict::from_case(&case);
    // Before the transition, which then sets `excluded_staff`.
    close_review(&mut case);
    case.apply(Command::WithdrawVerdict)?;
    let actor = person.principal.actor();
    let mut out = Outbox::new(now);
    let act = out.record_act(id, "withdraw", &actor);
    act.decision = Some(decision);
    seal_reason(context, &case, act, request.reason)?;
    prior.record_withdrawal(person.subject, &mut out);
    out.emit(&case, verdict_withdrawn(decision));
    case.end_claim("withdrawn".to_owned());
    // An analyst must not end a case by a withdrawal: another analyst assesses it again.
    if (request.assess_again || !person.has(Role::Supervisor)) && !case.state.awaits_verdict() {
        case.apply(Command::AssessAgain)?;
        out.record_act(id, "assess_again", &actor);
    }
    store::reviews::close(conn, &[id.uuid()], "withdrawn", now).await?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.store(conn).await?;
    Ok(case)
}

/// Subjects who gave the verdict; none if a list or a rule did.
pub(crate) fn approving_staff(case: &Case) -> &[Uuid] {
    match &case.decision {
        Some(decision) if decision.basis == ANALYST => &decision.approvers,
        Some(_) | None => &[],
    }
}

/// Until when the analyst who alone gave the verdict may withdraw it. None under review or during a police
/// hold: then the withdrawal is no longer the correction of a slip.
pub(crate) fn undo_until(config: &Config, case: &Case) -> Option<OffsetDateTime> {
    let stands = matches!(
        case.state,
        State::Unclaimed(Waiting::Actionable | Waiting::NotActionable)
    );
    let is_alone = approving_staff(case).len() == 1;
    let decision = case.decision.as_ref()?;
    (stands && is_alone && !config.withdraw_by_another && config.undo_seconds > 0)
        .then(|| decision.at + config.undo())
}

fn check_may_withdraw(
    context: &CommandContext,
    person: &Person,
    case: &Case,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let own = approving_staff(case).contains(&person.subject.uuid());
    if own && context.config.withdraw_by_another {
        return Err(CommandRefusal::WITHDRAW_OWN.into());
    }
    let in_time = undo_until(&context.config, case).is_some_and(|until| now < until);
    if person.has(Role::Supervisor) || (own && in_time) {
        Ok(())
    } else {
        Err(CommandRefusal::UNDO_NOT_YOURS.into())
    }
}

/// Puts a case whose verdict was withdrawn back into the queue. Repeating the call has no further effect.
pub(crate) async fn assess_again(
    conn: &mut PgConnection,
    context: &CommandContext,
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
    seal_reason(
        context,
        &case,
        out.record_act(id, "assess_again", &actor),
        reason,
    )?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.store(conn).await?;
    Ok(case)
}
