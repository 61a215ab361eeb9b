//! Intake's commands: accept, withdraw, and applying case events. Each locks, applies, stores and appends;
//! none begins or commits a transaction.

mod accept;
mod attach;

use std::collections::BTreeMap;

use domain::enums::Outcome;
use domain::event::{self, Body};
use domain::id::CaseId;
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

/// Withdraws a report. A repeat returns the same outcome and appends no second event.
pub async fn withdraw(
    conn: &mut PgConnection,
    by: &Principal,
    tags: Vec<&[u8]>,
    now: OffsetDateTime,
) -> Result<Outcome, Error> {
    let filter = report::ReportFilter::Reference(tags);
    let found = report::find(conn, &filter).await?;
    let case = found.first().ok_or_else(|| Error::unknown("report"))?.case;
    store::lock_cases(conn, &[case.uuid()]).await?;
    // Read again under the lock.
    let found = report::find(conn, &filter).await?;
    let report = found.first().ok_or_else(|| Error::unknown("report"))?;
    match lifecycle::apply(report.outcome, Command::Withdraw) {
        Applied::Unchanged => Ok(report.outcome),
        Applied::Changed(outcome) => {
            report::withdraw(conn, report.id, now).await?;
            let body = Body::ReportWithdrawn(v1::ReportWithdrawn {
                report_id: report.id.to_string(),
                withdrawn_by: by.actor(),
            });
            let event = new_event(case, now, trace::traceparent_of(None), body);
            log::append(conn, &[event]).await?;
            Ok(outcome)
        }
    }
}

/// A command for a case, from an event of another service.
pub struct CaseUpdate {
    pub case: CaseId,
    pub command: Command,
    /// When the event occurred.
    pub at: OffsetDateTime,
}

/// Applies updates in order and writes each case once.
pub async fn apply_updates(conn: &mut PgConnection, updates: &[CaseUpdate]) -> Result<(), Error> {
    let mut by_case: BTreeMap<Uuid, Vec<&CaseUpdate>> = BTreeMap::new();
    for update in updates {
        by_case.entry(update.case.uuid()).or_default().push(update);
    }
    let ids: Vec<Uuid> = by_case.keys().copied().collect();
    let locked = store::lock_cases(conn, &ids).await?;
    let before: BTreeMap<CaseId, Outcome> =
        store::outcomes(conn, &ids).await?.into_iter().collect();
    let mut after = Vec::new();
    for (case, _) in locked {
        let mut state = before.get(&case).copied().unwrap_or(Outcome::Received);
        let mut changed_at = None;
        for update in by_case.get(&case.uuid()).into_iter().flatten() {
            if let Applied::Changed(next) = lifecycle::apply(state, update.command) {
                state = next;
                changed_at = Some(update.at);
            }
        }
        if let Some(at) = changed_at {
            after.push((case, state, at));
        }
    }
    if !after.is_empty() {
        store::upsert_outcomes(conn, &after).await?;
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
