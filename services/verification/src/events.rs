//! The events that verification consumes, and the command that each of them becomes. No decisions: an event
//! that cannot be parsed is refused and parked, one of another kind is skipped.

use std::sync::Arc;

use domain::enums::{AgeBand, Media, ReportChannel, ReviewReason};
use domain::event::{self, Body, EventDecodeError};
use domain::id::{CaseId, NoticeId, ReportId, ReviewId};
use domain::wire::required_time;
use platform::batch::{BatchError, ErrorClass};
use platform::bus::{EventHandler, HandlerError};
use platform::clock::Clock;
use platform::log::Envelope;
use platform::trace;
use proto::v1;
use sqlx::PgConnection;

use crate::case::StoredReport;
use crate::commands::reports::{self, ReceivedReport};
use crate::commands::review::{self, CaseUpdate, DispatchUpdate};
use crate::context::CommandContext;
use crate::error::Error;
use crate::store::reviews::NewReview;

/// Applies intake's events.
pub(crate) struct IntakeEventHandler {
    pub(crate) context: Arc<CommandContext>,
    pub(crate) clock: Clock,
}

impl EventHandler for IntakeEventHandler {
    async fn handle(
        &self,
        conn: &mut PgConnection,
        batch: &[Envelope],
    ) -> Result<(), HandlerError> {
        let mut received = Vec::new();
        let mut withdrawn = Vec::new();
        for event in batch {
            match decode(event)? {
                Body::ReportReceived(report) => {
                    received.push(
                        self.parse_report(event, report)
                            .map_err(|reason| unprocessable(event, reason))?,
                    );
                }
                Body::ReportWithdrawn(report) => {
                    let report: ReportId = report
                        .report_id
                        .parse()
                        .map_err(|_| unprocessable(event, "report id is malformed"))?;
                    withdrawn.push((CaseId::new(event.case_id), report));
                }
                _ => {}
            }
        }
        let run = async {
            if !received.is_empty() {
                let now = self.clock.now(conn).await?;
                reports::receive(conn, &self.context, now, &received).await?;
            }
            // After the received ones: a report may be received and withdrawn in the same batch.
            if !withdrawn.is_empty() {
                reports::withdraw(conn, &withdrawn).await?;
            }
            Ok(())
        };
        run.await.map_err(|error| handler_error(batch, error))
    }
}

impl IntakeEventHandler {
    fn parse_report(
        &self,
        event: &Envelope,
        report: v1::ReportReceived,
    ) -> Result<ReceivedReport, &'static str> {
        let case = CaseId::new(event.case_id);
        let id: ReportId = report
            .report_id
            .parse()
            .map_err(|_| "report id is malformed")?;
        let channel =
            ReportChannel::from_wire(report.channel).map_err(|_| "channel is not known")?;
        let age_band =
            AgeBand::from_wire_optional(report.age_band).map_err(|_| "age band is not known")?;
        let stored = StoredReport {
            id,
            media: Media::from_wire_optional(report.media).map_err(|_| "media is not known")?,
            received_at: required_time("received_at", report.received_at.as_ref())
                .map_err(|_| "received_at is not a time")?,
            wrapped_key: report.wrapped_key.into(),
            sealed_content: report.sealed_content.into(),
            traceparent: trace::traceparent_of(Some(event.id)),
        };
        let submitted_by = match report.submitted_by.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| "submitter is malformed")?),
        };
        let content = self
            .context
            .open_content(case, id, &stored.wrapped_key, &stored.sealed_content)
            .map_err(|error| error.code())?;
        Ok(ReceivedReport {
            event: event.id,
            case,
            stored,
            self_reported: channel == ReportChannel::ReportRemove,
            under_13: age_band == Some(AgeBand::Under13),
            submitted_by,
            content,
        })
    }
}

/// Applies dispatch's events.
pub(crate) struct DispatchEventHandler {
    pub(crate) context: Arc<CommandContext>,
    pub(crate) clock: Clock,
}

impl EventHandler for DispatchEventHandler {
    async fn handle(
        &self,
        conn: &mut PgConnection,
        batch: &[Envelope],
    ) -> Result<(), HandlerError> {
        let mut updates = Vec::new();
        let mut opened = Vec::new();
        for event in batch {
            let update = match decode(event)? {
                Body::ReviewRequested(request) => {
                    DispatchUpdate::Review(parse_review(event, &request)?)
                }
                Body::CaseClosed(_) => DispatchUpdate::Closed,
                Body::CaseReopened(_) | Body::Reappeared(_) => DispatchUpdate::Reopened,
                Body::NoticeSent(_) | Body::NoticeDelivered(_) | Body::NoticeAnswered(_) => {
                    opened.push(event.case_id);
                    continue;
                }
                _ => continue,
            };
            // Dispatch may close a case that it never opened, because an earlier verdict was withdrawn.
            if !matches!(update, DispatchUpdate::Closed) {
                opened.push(event.case_id);
            }
            updates.push(CaseUpdate {
                case: CaseId::new(event.case_id),
                event: event.id,
                update,
            });
        }
        if !updates.is_empty() {
            let now = self.clock.now(conn).await?;
            review::apply_updates(conn, &self.context, now, &updates)
                .await
                .map_err(|error| handler_error(batch, error))?;
        }
        review::mark_opened(conn, opened)
            .await
            .map_err(|error| handler_error(batch, error))
    }
}

fn parse_review(
    event: &Envelope,
    request: &v1::ReviewRequested,
) -> Result<NewReview, HandlerError> {
    let id: ReviewId = request
        .review_id
        .parse()
        .map_err(|_| unprocessable(event, "review id is malformed"))?;
    let reason = ReviewReason::from_wire(request.reason)
        .map_err(|_| unprocessable(event, "reason of the review is not known"))?;
    let notice = match request.notice_id.as_str() {
        "" => None,
        text => Some(
            text.parse::<NoticeId>()
                .map_err(|_| unprocessable(event, "notice id is malformed"))?,
        ),
    };
    Ok(NewReview {
        id,
        case: CaseId::new(event.case_id),
        reason,
        notice,
        sealed_note: (!request.sealed_note.is_empty()).then(|| request.sealed_note.to_vec()),
    })
}

fn decode(event: &Envelope) -> Result<Body, HandlerError> {
    event::decode(&event.payload).map_err(|error| {
        let reason = match error {
            EventDecodeError::Malformed => "payload is malformed",
            EventDecodeError::UnknownKind => "kind of event is unknown",
        };
        unprocessable(event, reason)
    })
}

fn unprocessable(event: &Envelope, reason: &'static str) -> HandlerError {
    HandlerError::Unprocessable {
        event: event.id,
        reason,
    }
}

/// An error that an event caused has the batch applied again event by event; then the event named here is the
/// one that caused it. Any other error delays the whole batch.
fn handler_error(batch: &[Envelope], error: Error) -> HandlerError {
    let class = error.class();
    let reason = match error {
        Error::Db(error) => return HandlerError::Db(error),
        Error::UnprocessableEvent(reason) => reason,
        other => other.code(),
    };
    match (class, batch.first()) {
        (ErrorClass::Item, Some(event)) => unprocessable(event, reason),
        _ => HandlerError::RetryLater(reason),
    }
}
