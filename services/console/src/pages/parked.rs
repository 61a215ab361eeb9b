//! Parked events of all services, by case, with the commands that two people use to replay or drop them. Changes nothing.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use platform::error::Kind;
use proto::v1;
use time::OffsetDateTime;

use super::{MissingPart, render};
use crate::dashboard_queries::service_part;
use crate::edge::Edge;
use crate::format::{TimeText, event_label, short_id};
use crate::frame::Frame;
use crate::page_error::PageError;
use crate::session::SignedIn;
use crate::tokens::Audience;

/// Each consumer, and the name of its part of the page.
const CONSUMERS: [(Audience, &str); 4] = [
    (Audience::Intake, "Intake: its parked events"),
    (Audience::Verification, "Verification: its parked events"),
    (Audience::Dispatch, "Dispatch: its parked events"),
    (Audience::Ledger, "Ledger: its parked events"),
];

#[derive(Template)]
#[template(path = "parked.html")]
struct ParkedPage {
    frame: Frame,
    missing: Vec<MissingPart>,
    cases: Vec<ParkedCase>,
    not_shown: u64,
}

/// Parked events of one case, consumer and producer, which are replayed together.
struct ParkedCase {
    consumer: String,
    producer: String,
    case: String,
    short: String,
    events: Vec<ParkedRow>,
}

struct ParkedRow {
    id: String,
    kind: String,
    reason: String,
    parked: TimeText,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
) -> Result<Html<String>, PageError> {
    let calls = CONSUMERS.map(|(consumer, part)| {
        let (edge, signed_in) = (&edge, &signed_in);
        async move {
            let response = async {
                let mut client = edge.parked_events(signed_in, consumer).await?;
                edge.call(client.list_parked(v1::ListParkedRequest {}))
                    .await
            };
            (part, response.await)
        }
    });
    let now = platform::clock::wall();
    let (mut missing, mut cases, mut not_shown) = (Vec::new(), Vec::new(), 0);
    for (part, response) in futures::future::join_all(calls).await {
        match service_part(response)? {
            Ok(parked) => {
                not_shown += parked.total.saturating_sub(parked.events.len() as u64);
                add_events(&mut cases, parked.events, now);
            }
            // All services ask for the same roles.
            Err(problem) if problem.kind == Kind::Forbidden => return Err(problem.into()),
            Err(problem) => missing.push(MissingPart::new(part, &problem)),
        }
    }
    render(&ParkedPage {
        missing,
        cases,
        not_shown,
        frame: Frame::new("/parked", &signed_in),
    })
}

fn add_events(cases: &mut Vec<ParkedCase>, events: Vec<v1::ParkedEvent>, now: OffsetDateTime) {
    for event in events {
        let row = ParkedRow {
            kind: event_label(&event.kind),
            parked: TimeText::relative(event.parked_at.as_ref(), now),
            reason: event.reason,
            id: event.event_id,
        };
        let is_same = |case: &&mut ParkedCase| {
            case.consumer == event.consumer
                && case.producer == event.producer
                && case.case == event.case_id
        };
        match cases.iter_mut().find(is_same) {
            Some(case) => case.events.push(row),
            None => cases.push(ParkedCase {
                short: short_id(&event.case_id).to_owned(),
                consumer: event.consumer,
                producer: event.producer,
                case: event.case_id,
                events: vec![row],
            }),
        }
    }
}
