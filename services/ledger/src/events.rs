//! Hears everything, and says what each event tells of reports and cases. No SQL, no decisions.

use domain::event::{self, Body};
use domain::id::ReportId;
use platform::bus::{Heed, HeedError};
use platform::clock::Clock;
use platform::log::Envelope;
use proto::v1;
use sqlx::PgConnection;

use crate::commands;
use crate::error::Error;
use crate::lifecycle::Command;

/// Hears every event of whichever producer it is given to.
pub struct Everything {
    clock: Clock,
}

impl Everything {
    pub fn new(clock: Clock) -> Self {
        Self { clock }
    }
}

impl Heed for Everything {
    async fn heed(&self, conn: &mut PgConnection, batch: &[Envelope]) -> Result<(), HeedError> {
        let heard = batch
            .iter()
            .map(|envelope| {
                let says = says(envelope).map_err(|reason| HeedError::Rotten {
                    event: envelope.id,
                    reason,
                })?;
                Ok(Heard { envelope, says })
            })
            .collect::<Result<Vec<_>, HeedError>>()?;
        commands::hear(conn, &self.clock, &heard)
            .await
            .map_err(|error| match error {
                Error::Db(error) => error.into(),
                other => {
                    tracing::error!(error = %other, "what was heard could not be kept");
                    HeedError::Later("the tree or a count is damaged")
                }
            })
    }
}

/// An event, and what it tells.
pub struct Heard<'a> {
    pub envelope: &'a Envelope,
    pub says: Says,
}

/// What an event tells of reports and cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Received(ReportId),
    TakenBack(ReportId),
    Case(Command),
    /// Nothing that is counted: it is kept like every event.
    Nothing,
}

fn says(envelope: &Envelope) -> Result<Says, &'static str> {
    let body = event::decode(&envelope.payload).map_err(|error| match error {
        event::Unreadable::Malformed => "payload is malformed",
        event::Unreadable::UnknownKind => "kind of event is unknown",
    })?;
    let report = |id: &str| id.parse().map_err(|_| "report id is malformed");
    Ok(match body {
        Body::ReportReceived(said) => Says::Received(report(&said.report_id)?),
        Body::ReportWithdrawn(said) => Says::TakenBack(report(&said.report_id)?),
        Body::UrlRevealed(_) => Says::Case(Command::Look),
        Body::CaseActionable(_) => Says::Case(Command::Act),
        Body::CaseNotActionable(_) => Says::Case(Command::Reject),
        Body::VerdictWithdrawn(_) => Says::Case(Command::Withdraw),
        Body::CaseHeld(_) => Says::Case(Command::Hold),
        Body::CaseReleased(_) => Says::Case(Command::Release),
        Body::NoticeSent(_) | Body::NoticeDelivered(_) | Body::NoticeAnswered(_) => {
            Says::Case(Command::Notify)
        }
        Body::NoticeEscalated(said) if said.next_notice_id.is_empty() => {
            Says::Case(Command::HandOver)
        }
        Body::NoticeEscalated(_) => Says::Case(Command::Escalate),
        Body::RemovalConfirmed(_) => Says::Case(Command::Confirm),
        Body::Reappeared(_) | Body::CaseReopened(_) => Says::Case(Command::Reopen),
        Body::CaseClosed(said) if said.reason() == v1::CloseReason::VerdictWithdrawn => {
            Says::Case(Command::GiveUp)
        }
        Body::CaseClosed(_) => Says::Case(Command::Close),
        Body::VerdictUpheld(_)
        | Body::ReviewRequested(_)
        | Body::NoticeBounced(_)
        | Body::MailReceived(_)
        | Body::NoticeWithdrawn(_)
        | Body::HostMoved(_) => Says::Nothing,
    })
}
