//! Consumes all events and maps each to its effect on the facts about reports and cases. No SQL, no
//! decisions.

use domain::event::{self, Body};
use platform::bus::{EventHandler, HandlerError};
use platform::clock::Clock;
use platform::log::Envelope;
use proto::v1;
use sqlx::PgConnection;

use crate::commands::{self, Effect, ReceivedEvent};
use crate::error::Error;
use crate::lifecycle::Command;

/// Records every event of a producer.
pub struct LedgerHandler {
    clock: Clock,
}

impl LedgerHandler {
    pub fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

impl EventHandler for LedgerHandler {
    async fn handle(
        &self,
        conn: &mut PgConnection,
        batch: &[Envelope],
    ) -> Result<(), HandlerError> {
        let received = batch
            .iter()
            .map(|envelope| {
                let effect = effect(envelope).map_err(|reason| HandlerError::Unprocessable {
                    event: envelope.id,
                    reason,
                })?;
                Ok(ReceivedEvent { envelope, effect })
            })
            .collect::<Result<Vec<_>, HandlerError>>()?;
        commands::record(conn, &self.clock, &received)
            .await
            .map_err(|error| match error {
                Error::Db(error) => error.into(),
                other => {
                    tracing::error!(error = %other, "events could not be recorded");
                    HandlerError::RetryLater("the tree or a count is damaged")
                }
            })
    }
}

fn effect(envelope: &Envelope) -> Result<Effect, &'static str> {
    let body = event::decode(&envelope.payload).map_err(|error| match error {
        event::EventDecodeError::Malformed => "payload is malformed",
        event::EventDecodeError::UnknownKind => "kind of event is unknown",
    })?;
    let report = |id: &str| id.parse().map_err(|_| "report id is malformed");
    Ok(match body {
        Body::ReportReceived(event) => Effect::ReportReceived(report(&event.report_id)?),
        Body::ReportWithdrawn(event) => Effect::ReportWithdrawn(report(&event.report_id)?),
        Body::UrlRevealed(_) => Effect::Case(Command::RevealUrl),
        Body::CaseActionable(_) => Effect::Case(Command::DecideActionable),
        Body::CaseNotActionable(_) => Effect::Case(Command::DecideNotActionable),
        Body::VerdictWithdrawn(_) => Effect::Case(Command::WithdrawVerdict),
        Body::CaseHeld(_) => Effect::Case(Command::StartPoliceHold),
        Body::CaseReleased(_) => Effect::Case(Command::EndPoliceHold),
        Body::NoticeSent(_) | Body::NoticeDelivered(_) | Body::NoticeAnswered(_) => {
            Effect::Case(Command::NotifyProvider)
        }
        Body::NoticeEscalated(event) if event.next_notice_id.is_empty() => {
            Effect::Case(Command::Exhaust)
        }
        Body::NoticeEscalated(_) => Effect::Case(Command::Escalate),
        Body::RemovalConfirmed(_) => Effect::Case(Command::ConfirmRemoval),
        Body::Reappeared(_) | Body::CaseReopened(_) => Effect::Case(Command::Reopen),
        Body::CaseClosed(event) if event.reason() == v1::CloseReason::VerdictWithdrawn => {
            Effect::Case(Command::CancelRemoval)
        }
        Body::CaseClosed(_) => Effect::Case(Command::Close),
        Body::VerdictUpheld(_)
        | Body::ReviewRequested(_)
        | Body::NoticeBounced(_)
        | Body::MailReceived(_)
        | Body::NoticeWithdrawn(_)
        | Body::HostMoved(_) => Effect::None,
    })
}
