//! Applies dispatch's updates: it requests a review of a verdict, closes a case, or works on it again. Never
//! withdraws a verdict: only people do.

use std::collections::HashMap;

use domain::enums::ReviewReason;
use domain::id::CaseId;
use platform::batch::fold::by_key;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ascending;
use crate::case::{ANALYST, Case};
use crate::context::CommandContext;
use crate::error::Error;
use crate::lifecycle::{Command, Stage, State, Waiting};
use crate::store;
use crate::store::reviews::NewReview;

/// What dispatch did with a case.
pub(crate) enum DispatchUpdate {
    Review(NewReview),
    Closed,
    /// Re-opened, or its content has re-appeared.
    Reopened,
}

/// An update of one case, with the event that brought it.
pub(crate) struct CaseUpdate {
    pub(crate) case: CaseId,
    pub(crate) event: Uuid,
    pub(crate) update: DispatchUpdate,
}

pub(crate) async fn apply_updates(
    conn: &mut PgConnection,
    context: &CommandContext,
    now: OffsetDateTime,
    batch: &[CaseUpdate],
) -> Result<(), Error> {
    let mut cases: HashMap<Uuid, Case> =
        store::cases::lock(conn, &ascending(batch.iter().map(|update| update.case)))
            .await?
            .into_iter()
            .map(|case| (case.id.uuid(), case))
            .collect();
    let mut changed = Vec::with_capacity(cases.len());
    for (id, positions) in by_key(batch, |update| update.case) {
        let mut case = cases
            .remove(&id.uuid())
            .ok_or(Error::UnprocessableEvent("dispatch names an unknown case"))?;
        for update in positions.into_iter().map(|position| &batch[position]) {
            match &update.update {
                DispatchUpdate::Closed => case.dispatch_closed = true,
                DispatchUpdate::Reopened => case.dispatch_closed = false,
                DispatchUpdate::Review(review) => {
                    if open_review(conn, context, now, &mut case, review).await? {
                        case.cause = update.event;
                    }
                }
            }
        }
        changed.push(case);
    }
    store::cases::save(conn, &changed).await?;
    Ok(())
}

/// Records that dispatch has opened these cases, so that the expiry of their proofs no longer matters.
pub(crate) async fn mark_opened(
    conn: &mut PgConnection,
    mut cases: Vec<Uuid>,
) -> Result<(), Error> {
    cases.sort_unstable();
    cases.dedup();
    store::cases::mark_opened(conn, &cases).await?;
    Ok(())
}

/// Opens a review; false if it is known already, or the verdict no longer stands.
async fn open_review(
    conn: &mut PgConnection,
    context: &CommandContext,
    now: OffsetDateTime,
    case: &mut Case,
    review: &NewReview,
) -> Result<bool, Error> {
    let before = case.state;
    case.apply(Command::RequestReview)?;
    if !is_under_review(case.state) || !store::reviews::insert(conn, review, now).await? {
        return Ok(false);
    }
    let first = !is_under_review(before);
    // The page itself does not help to find a contact: this is a supervisor's task.
    let asks_supervisor = matches!(review.reason, ReviewReason::NoContact | ReviewReason::Onion);
    case.needs_supervisor = asks_supervisor && (first || case.needs_supervisor);
    case.review = Some(review.reason);
    if !first {
        // The state stays, but a decision made before this review was requested is stale.
        case.version += 1;
    }
    if context.config.review_by_another && review.reason == ReviewReason::Disputed {
        let deciders = case
            .decision
            .iter()
            .filter(|decision| decision.basis == ANALYST)
            .flat_map(|decision| decision.approvers.iter().copied())
            .collect::<Vec<_>>();
        for subject in deciders {
            if !case.excluded_staff.contains(&subject) {
                case.excluded_staff.push(subject);
            }
        }
    }
    Ok(true)
}

fn is_under_review(state: State) -> bool {
    matches!(
        state,
        State::Unclaimed(Waiting::UnderReview)
            | State::OnPoliceHold(Waiting::UnderReview)
            | State::Claimed(Stage::Review)
    )
}
