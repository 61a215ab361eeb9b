//! The events that verification heeds, and the command that each becomes.
//! Must not decide anything: an event that cannot be understood is rotten, one that is not ours is passed over.

use std::sync::Arc;

use domain::event::{self, Body, Unreadable};
use domain::id::{CaseId, NoticeId, ReportId, ReviewId};
use domain::wire::required_time;
use domain::word::{AgeBand, Media, ReportChannel, ReviewReason};
use platform::batch::{Class, Fault};
use platform::bus::{Heed, HeedError};
use platform::clock::Clock;
use platform::log::Envelope;
use platform::trace;
use proto::v1;
use sqlx::PgConnection;

use crate::case::Item;
use crate::commands::reports::{self, Received};
use crate::commands::review::{self, News, Told};
use crate::error::Error;
use crate::means::Means;
use crate::store::acts::NewReview;

/// What intake says.
pub(crate) struct FromIntake {
    pub(crate) means: Arc<Means>,
    pub(crate) clock: Clock,
}

impl Heed for FromIntake {
    async fn heed(&self, conn: &mut PgConnection, batch: &[Envelope]) -> Result<(), HeedError> {
        let mut received = Vec::new();
        let mut withdrawn = Vec::new();
        for event in batch {
            match body(event)? {
                Body::ReportReceived(report) => {
                    received.push(
                        self.received(event, report)
                            .map_err(|reason| rotten(event, reason))?,
                    );
                }
                Body::ReportWithdrawn(report) => {
                    let report: ReportId = report
                        .report_id
                        .parse()
                        .map_err(|_| rotten(event, "report id is malformed"))?;
                    withdrawn.push((CaseId::new(event.case_id), report));
                }
                _ => {}
            }
        }
        let run = async {
            if !received.is_empty() {
                let now = self.clock.now(conn).await?;
                reports::receive(conn, &self.means, now, &received).await?;
            }
            // A report is withdrawn after it was received; that one was received in this very batch changes nothing.
            if !withdrawn.is_empty() {
                reports::withdraw(conn, &withdrawn).await?;
            }
            Ok(())
        };
        run.await.map_err(|error| heed_error(batch, error))
    }
}

impl FromIntake {
    fn received(
        &self,
        event: &Envelope,
        report: v1::ReportReceived,
    ) -> Result<Received, &'static str> {
        let case = CaseId::new(event.case_id);
        let id: ReportId = report
            .report_id
            .parse()
            .map_err(|_| "report id is malformed")?;
        let channel =
            ReportChannel::from_wire(report.channel).map_err(|_| "channel is not known")?;
        let age_band =
            AgeBand::from_wire_optional(report.age_band).map_err(|_| "age band is not known")?;
        let item = Item {
            report: id,
            media: Media::from_wire_optional(report.media).map_err(|_| "media is not known")?,
            received_at: required_time("received_at", report.received_at.as_ref())
                .map_err(|_| "received_at is not a time")?,
            wrapped_key: report.wrapped_key.into(),
            sealed: report.sealed_item.into(),
            traceparent: trace::of(Some(event.id)),
        };
        let submitted_by = match report.submitted_by.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| "submitter is malformed")?),
        };
        let open = self
            .means
            .open_item(case, id, &item.wrapped_key, &item.sealed)
            .map_err(|error| error.code())?;
        Ok(Received {
            event: event.id,
            case,
            item,
            self_reported: channel == ReportChannel::ReportRemove,
            under_13: age_band == Some(AgeBand::Under13),
            submitted_by,
            open,
        })
    }
}

/// What dispatch says.
pub(crate) struct FromDispatch {
    pub(crate) means: Arc<Means>,
    pub(crate) clock: Clock,
}

impl Heed for FromDispatch {
    async fn heed(&self, conn: &mut PgConnection, batch: &[Envelope]) -> Result<(), HeedError> {
        let mut news = Vec::new();
        let mut noticed = Vec::new();
        for event in batch {
            let told = match body(event)? {
                Body::ReviewRequested(asked) => Told::Review(asked_review(event, &asked)?),
                Body::CaseClosed(_) => Told::Closed,
                Body::CaseReopened(_) | Body::Reappeared(_) => Told::Open,
                Body::NoticeSent(_) | Body::NoticeDelivered(_) | Body::NoticeAnswered(_) => {
                    noticed.push(event.case_id);
                    continue;
                }
                _ => continue,
            };
            // A case may be closed because an earlier verdict was taken back: that opens nothing.
            if !matches!(told, Told::Closed) {
                noticed.push(event.case_id);
            }
            news.push(News {
                case: CaseId::new(event.case_id),
                event: event.id,
                told,
            });
        }
        if !news.is_empty() {
            let now = self.clock.now(conn).await?;
            review::hear(conn, &self.means, now, &news)
                .await
                .map_err(|error| heed_error(batch, error))?;
        }
        review::opened(conn, noticed)
            .await
            .map_err(|error| heed_error(batch, error))
    }
}

fn asked_review(event: &Envelope, asked: &v1::ReviewRequested) -> Result<NewReview, HeedError> {
    let id: ReviewId = asked
        .review_id
        .parse()
        .map_err(|_| rotten(event, "review id is malformed"))?;
    let reason = ReviewReason::from_wire(asked.reason)
        .map_err(|_| rotten(event, "reason of the review is not known"))?;
    let notice = match asked.notice_id.as_str() {
        "" => None,
        text => Some(
            text.parse::<NoticeId>()
                .map_err(|_| rotten(event, "notice id is malformed"))?,
        ),
    };
    Ok(NewReview {
        id,
        case: CaseId::new(event.case_id),
        reason,
        notice,
        sealed_note: (!asked.sealed_note.is_empty()).then(|| asked.sealed_note.to_vec()),
    })
}

fn body(event: &Envelope) -> Result<Body, HeedError> {
    event::decode(&event.payload).map_err(|error| {
        let reason = match error {
            Unreadable::Malformed => "payload is malformed",
            Unreadable::UnknownKind => "kind of event is unknown",
        };
        rotten(event, reason)
    })
}

fn rotten(event: &Envelope, reason: &'static str) -> HeedError {
    HeedError::Rotten {
        event: event.id,
        reason,
    }
}

/// What an event is at fault for makes the batch be redone one by one; then the event named here is the one. What is no
/// event's fault makes all of them wait.
fn heed_error(batch: &[Envelope], error: Error) -> HeedError {
    let class = error.class();
    let reason = match error {
        Error::Db(error) => return HeedError::Db(error),
        Error::Rotten(reason) => reason,
        other => other.code(),
    };
    match (class, batch.first()) {
        (Class::Item, Some(event)) => rotten(event, reason),
        _ => HeedError::Later(reason),
    }
}
