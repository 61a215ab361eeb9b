//! A verdict is taken back: by a supervisor, or soon after by whoever alone gave it. Notices that stand on it are
//! retracted by who hears of it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use domain::id::CaseId;
use platform::principal::Role;

use super::decide::{close_review, decision_of, withdrawn};
use super::looks::Before;
use super::{Outbox, lock_one, note};
use crate::auth::Person;
use crate::case::{ANALYST, Case};
use crate::config::Config;
use crate::error::{Error, Refusal};
use crate::lifecycle::{Command, Rest, State};
use crate::means::Means;
use crate::store;

pub(crate) struct Asked<'a> {
    pub(crate) case: CaseId,
    pub(crate) reason: &'a str,
    /// And into the queue again at once.
    pub(crate) again: bool,
}

pub(crate) async fn withdraw(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    asked: &Asked<'_>,
) -> Result<Case, Error> {
    person.require_any([Role::Supervisor, Role::Analyst])?;
    let id = asked.case;
    let mut case = lock_one(conn, id).await?;
    let before = case.state;
    if before.is_assessed() && case.decision.is_none() && !case.withdrawn.is_empty() {
        // Taken back before, and nothing was decided since.
        return Ok(case);
    }
    if before.apply(Command::WithdrawVerdict)? == before {
        return Ok(case);
    }
    may_withdraw(means, person, &case, now)?;
    let decision = decision_of(&case)?;
    let verdict = Before::of(&case);
    // Before the case is begun anew, which says for whom it is not.
    close_review(&mut case);
    case.apply(Command::WithdrawVerdict)?;
    let actor = person.principal.actor();
    let mut out = Outbox::new(now);
    let act = out.act(id, "withdraw", &actor);
    act.decision = Some(decision);
    note(means, &case, act, asked.reason)?;
    verdict.taken_back(person.subject, &mut out);
    out.say(&case, withdrawn(decision));
    case.spend_claim("withdrawn".to_owned());
    // Nobody makes a case end by changing their mind: what an analyst takes back, another looks at.
    if (asked.again || !person.has(Role::Supervisor)) && !case.state.is_assessed() {
        case.apply(Command::AssessAgain)?;
        out.act(id, "assess_again", &actor);
    }
    store::acts::close_reviews(conn, &[id.uuid()], "withdrawn", now).await?;
    store::cases::save(conn, std::slice::from_ref(&case)).await?;
    out.write(conn).await?;
    Ok(case)
}

/// Subjects who stand behind the verdict; none where a list or a rule decided.
pub(crate) fn people_behind(case: &Case) -> &[Uuid] {
    match &case.decision {
        Some(decision) if decision.basis == ANALYST => &decision.approvers,
        Some(_) | None => &[],
    }
}

/// Until when whoever alone gave the verdict may take it back. Not while somebody questions it, or the police hold it:
/// then it is no slip any more.
pub(crate) fn undo_until(config: &Config, case: &Case) -> Option<OffsetDateTime> {
    let stands = matches!(
        case.state,
        State::At(Rest::Actionable | Rest::NotActionable)
    );
    let alone = people_behind(case).len() == 1;
    let decision = case.decision.as_ref()?;
    (stands && alone && !config.withdraw_by_another && config.undo_seconds > 0)
        .then(|| decision.at + config.undo())
}

fn may_withdraw(
    means: &Means,
    person: &Person,
    case: &Case,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let own = people_behind(case).contains(&person.subject.uuid());
    if own && means.config.withdraw_by_another {
        return Err(Refusal::WITHDRAW_OWN.into());
    }
    let in_time = undo_until(&means.config, case).is_some_and(|until| now < until);
    if person.has(Role::Supervisor) || (own && in_time) {
        Ok(())
    } else {
        Err(Refusal::UNDO_NOT_YOURS.into())
    }
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
