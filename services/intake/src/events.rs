//! Which events intake heeds, and the command each becomes. No SQL, no decisions.

use domain::event::{self, Body};
use domain::id::CaseId;
use domain::word::NotActionableReason;
use platform::bus::{Heed, HeedError};
use platform::log::Envelope;
use sqlx::PgConnection;

use crate::commands::{self, Heard};
use crate::error::Error;
use crate::lifecycle::Command;

/// Hears verification and dispatch.
pub struct Outcomes;

impl Heed for Outcomes {
    async fn heed(&self, conn: &mut PgConnection, batch: &[Envelope]) -> Result<(), HeedError> {
        let mut heard = Vec::new();
        for envelope in batch {
            let rotten = |reason| HeedError::Rotten {
                event: envelope.id,
                reason,
            };
            let body = event::decode(&envelope.payload).map_err(|e| {
                rotten(match e {
                    event::Unreadable::Malformed => "payload is malformed",
                    event::Unreadable::UnknownKind => "kind of event is unknown",
                })
            })?;
            if let Some(command) = command(&body).map_err(rotten)? {
                heard.push(Heard {
                    case: CaseId::new(envelope.case_id),
                    command,
                    at: envelope.occurred_at,
                });
            }
        }
        if heard.is_empty() {
            return Ok(());
        }
        commands::hear(conn, &heard)
            .await
            .map_err(|error| match error {
                Error::Db(error) => error.into(),
                other => {
                    tracing::error!(error = %other, "an outcome could not be noted");
                    HeedError::Later("an outcome could not be noted")
                }
            })
    }
}

fn command(body: &Body) -> Result<Option<Command>, &'static str> {
    Ok(Some(match body {
        Body::CaseActionable(_) => Command::Actionable,
        Body::CaseNotActionable(event) => Command::NotActionable(
            NotActionableReason::from_wire(event.reason).map_err(|_| "reason is unknown")?,
        ),
        Body::VerdictWithdrawn(_) => Command::VerdictWithdrawn,
        Body::RemovalConfirmed(_) => Command::RemovalConfirmed,
        Body::Reappeared(_) => Command::Reappeared,
        // What happens to notices, holds and reviews is not told to reporters.
        Body::ReportReceived(_)
        | Body::ReportWithdrawn(_)
        | Body::CaseHeld(_)
        | Body::CaseReleased(_)
        | Body::VerdictUpheld(_)
        | Body::UrlRevealed(_)
        | Body::ReviewRequested(_)
        | Body::NoticeSent(_)
        | Body::NoticeDelivered(_)
        | Body::NoticeBounced(_)
        | Body::NoticeAnswered(_)
        | Body::NoticeEscalated(_)
        | Body::NoticeWithdrawn(_)
        | Body::HostMoved(_)
        | Body::CaseClosed(_)
        | Body::CaseReopened(_)
        | Body::MailReceived(_) => return Ok(None),
    }))
}
