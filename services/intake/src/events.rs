//! The events that intake consumes, and the command that each becomes. No SQL, no decisions.

use domain::enums::NotActionableReason;
use domain::event::{self, Body};
use domain::id::CaseId;
use platform::bus::{EventHandler, HandlerError};
use platform::log::Envelope;
use sqlx::PgConnection;

use crate::commands::{self, CaseUpdate};
use crate::error::Error;
use crate::lifecycle::Command;

/// Consumes the events of verification and dispatch.
pub struct OutcomeHandler;

impl EventHandler for OutcomeHandler {
    async fn handle(
        &self,
        conn: &mut PgConnection,
        batch: &[Envelope],
    ) -> Result<(), HandlerError> {
        let mut updates = Vec::new();
        for envelope in batch {
            let unprocessable = |reason| HandlerError::Unprocessable {
                event: envelope.id,
                reason,
            };
            let body = event::decode(&envelope.payload).map_err(|e| {
                unprocessable(match e {
                    event::EventDecodeError::Malformed => "payload is malformed",
                    event::EventDecodeError::UnknownKind => "kind of event is unknown",
                })
            })?;
            if let Some(command) = command(&body).map_err(unprocessable)? {
                updates.push(CaseUpdate {
                    case: CaseId::new(envelope.case_id),
                    command,
                    at: envelope.occurred_at,
                });
            }
        }
        if updates.is_empty() {
            return Ok(());
        }
        commands::apply_updates(conn, &updates)
            .await
            .map_err(|error| match error {
                Error::Db(error) => error.into(),
                other => {
                    tracing::error!(error = %other, "an outcome could not be recorded");
                    HandlerError::RetryLater("an outcome could not be recorded")
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
        // Notices, police holds and reviews do not change a report's outcome.
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
