//! What can be asked of intake: accept, withdraw, hear. Each locks, applies, stores and appends; none begins or commits.

mod accept;
mod attach;

use std::collections::BTreeMap;

use domain::event::{self, Body};
use domain::id::CaseId;
use domain::word::Outcome;
use platform::log::{self, NewEvent};
use platform::principal::Principal;
use platform::trace;
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;
use crate::lifecycle::{self, Applied, Command};
use crate::store::{self, report};

pub use accept::{Accept, Accepted};

/// Takes a report back. A repeat is success, with the same answer and no second event.
pub async fn withdraw(
    conn: &mut PgConnection,
    by: &Principal,
    tags: Vec<&[u8]>,
    now: OffsetDateTime,
) -> Result<Outcome, Error> {
    let which = report::Which::Reference(tags);
    let found = report::find(conn, &which).await?;
    let case = found.first().ok_or_else(|| Error::unknown("report"))?.case;
    store::lock_cases(conn, &[case.uuid()]).await?;
    // Again, now that nobody else can change it.
    let found = report::find(conn, &which).await?;
    let report = found.first().ok_or_else(|| Error::unknown("report"))?;
    match lifecycle::apply(report.outcome, Command::Withdraw) {
        Applied::Unchanged => Ok(report.outcome),
        Applied::Changed(outcome) => {
            report::withdraw(conn, report.id, now).await?;
            let body = Body::ReportWithdrawn(v1::ReportWithdrawn {
                report_id: report.id.to_string(),
                withdrawn_by: by.actor(),
            });
            let event = new_event(case, now, trace::of(None), body);
            log::append(conn, &[event]).await?;
            Ok(outcome)
        }
    }
}

/// Something heard about a case.
pub struct Heard {
    pub case: CaseId,
    pub command: Command,
    pub at: OffsetDateTime,
}

/// Takes note of what was heard, in order; a case once.
pub async fn hear(conn: &mut PgConnection, heard: &[Heard]) -> Result<(), Error> {
    let mut by_case: BTreeMap<Uuid, Vec<&Heard>> = BTreeMap::new();
    for word in heard {
        by_case.entry(word.case.uuid()).or_default().push(word);
    }
    let ids: Vec<Uuid> = by_case.keys().copied().collect();
    let locked = store::lock_cases(conn, &ids).await?;
    let before: BTreeMap<CaseId, Outcome> =
        store::outcomes(conn, &ids).await?.into_iter().collect();
    let mut after = Vec::new();
    for (case, _) in locked {
        let mut state = before.get(&case).copied().unwrap_or(Outcome::Received);
        let mut changed_at = None;
        for word in by_case.get(&case.uuid()).into_iter().flatten() {
            if let Applied::Changed(next) = lifecycle::apply(state, word.command) {
                state = next;
                changed_at = Some(word.at);
            }
        }
        if let Some(at) = changed_at {
            after.push((case, state, at));
        }
    }
    if !after.is_empty() {
        store::put_outcomes(conn, &after).await?;
    }
    Ok(())
}

fn new_event(
    case: CaseId,
    at: OffsetDateTime,
    traceparent: Option<String>,
    body: Body,
) -> NewEvent {
    NewEvent {
        id: Uuid::now_v7(),
        case_id: case.uuid(),
        kind: event::name(&body),
        caused_by: None,
        occurred_at: at,
        traceparent,
        payload: event::encode(body),
    }
}
