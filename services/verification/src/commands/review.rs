//! What dispatch tells: questions about a standing verdict, and that it closed a case or works on it again.
//! Must not take a verdict back by itself.

use std::collections::HashMap;

use domain::id::CaseId;
use domain::word::ReviewReason;
use platform::batch::fold::by_key;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ascending;
use crate::case::{ANALYST, Case};
use crate::error::Error;
use crate::lifecycle::{Command, Desk, Rest, State};
use crate::means::Means;
use crate::store;
use crate::store::acts::NewReview;

pub(crate) enum Told {
    Review(NewReview),
    Closed,
    /// Reappeared, or re-opened.
    Open,
}

/// One thing told about a case, by which event.
pub(crate) struct News {
    pub(crate) case: CaseId,
    pub(crate) event: Uuid,
    pub(crate) told: Told,
}

pub(crate) async fn hear(
    conn: &mut PgConnection,
    means: &Means,
    now: OffsetDateTime,
    batch: &[News],
) -> Result<(), Error> {
    let mut cases: HashMap<Uuid, Case> =
        store::cases::lock(conn, &ascending(batch.iter().map(|news| news.case)))
            .await?
            .into_iter()
            .map(|case| (case.id.uuid(), case))
            .collect();
    let mut changed = Vec::with_capacity(cases.len());
    for (id, places) in by_key(batch, |news| news.case) {
        let mut case = cases
            .remove(&id.uuid())
            .ok_or(Error::Rotten("dispatch speaks of a case that is not here"))?;
        for news in places.into_iter().map(|place| &batch[place]) {
            match &news.told {
                Told::Closed => case.dispatch_closed = true,
                Told::Open => case.dispatch_closed = false,
                Told::Review(review) => {
                    if ask(conn, means, now, &mut case, review).await? {
                        case.cause = news.event;
                    }
                }
            }
        }
        changed.push(case);
    }
    store::cases::save(conn, &changed).await?;
    Ok(())
}

/// Dispatch works on these cases: the proofs of their verdicts have done what they were for.
pub(crate) async fn opened(conn: &mut PgConnection, mut cases: Vec<Uuid>) -> Result<(), Error> {
    cases.sort_unstable();
    cases.dedup();
    store::cases::opened(conn, &cases).await?;
    Ok(())
}

/// Puts the question to the people; false where it is known already, or the verdict no longer stands.
async fn ask(
    conn: &mut PgConnection,
    means: &Means,
    now: OffsetDateTime,
    case: &mut Case,
    review: &NewReview,
) -> Result<bool, Error> {
    let before = case.state;
    case.apply(Command::AskReview)?;
    if !is_reviewed(case.state) || !store::acts::ask(conn, review, now).await? {
        return Ok(false);
    }
    let first = !is_reviewed(before);
    // Nobody can look for a contact on the page: a supervisor has to find one.
    let asks_supervisor = matches!(review.reason, ReviewReason::NoContact | ReviewReason::Onion);
    case.for_supervisor = asks_supervisor && (first || case.for_supervisor);
    case.review = Some(review.reason);
    if !first {
        // The same state, but another question: a decision made on the old one is stale.
        case.version += 1;
    }
    if means.config.review_by_another && review.reason == ReviewReason::Disputed {
        let deciders = case
            .decision
            .iter()
            .filter(|decision| decision.basis == ANALYST)
            .flat_map(|decision| decision.approvers.iter().copied())
            .collect::<Vec<_>>();
        for subject in deciders {
            if !case.not_for.contains(&subject) {
                case.not_for.push(subject);
            }
        }
    }
    Ok(true)
}

fn is_reviewed(state: State) -> bool {
    matches!(
        state,
        State::At(Rest::UnderReview)
            | State::Held(Rest::UnderReview)
            | State::Claimed(Desk::Review)
    )
}
