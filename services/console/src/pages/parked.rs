//! What services heard and could not apply, for each case, with the commands that two people give. Changes nothing.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use proto::v1;
use time::OffsetDateTime;

use super::{Frame, Missing, render};
use crate::board::part;
use crate::edge::Edge;
use crate::refused::Refused;
use crate::session::Signed;
use crate::show::{When, event_label, short};
use crate::tokens::Audience;

/// Everybody who hears somebody, and what is missing while they do not answer.
const OWNERS: [(Audience, &str); 4] = [
    (Audience::Intake, "Intake: what it could not apply"),
    (
        Audience::Verification,
        "Verification: what it could not apply",
    ),
    (Audience::Dispatch, "Dispatch: what it could not apply"),
    (Audience::Ledger, "Ledger: what it could not apply"),
];

#[derive(Template)]
#[template(path = "parked.html")]
struct Page {
    frame: Frame,
    missing: Vec<Missing>,
    groups: Vec<Group>,
    more: u64,
}

/// Parked events of one case, which are replayed together.
struct Group {
    consumer: String,
    producer: String,
    case: String,
    short: String,
    events: Vec<Event>,
}

struct Event {
    id: String,
    kind: String,
    reason: String,
    parked: When,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
) -> Result<Html<String>, Refused> {
    let asked = OWNERS.map(|(owner, what)| {
        let (edge, signed) = (&edge, &signed);
        async move {
            let answer = async {
                let mut client = edge.parked(signed, owner).await?;
                edge.ask(client.list_parked(v1::ListParkedRequest {})).await
            };
            (what, answer.await)
        }
    });
    let now = platform::clock::wall();
    let (mut missing, mut groups, mut more) = (Vec::new(), Vec::new(), 0);
    for (what, answer) in futures::future::join_all(asked).await {
        match part(answer)? {
            Ok(parked) => {
                more += parked.total.saturating_sub(parked.events.len() as u64);
                group(&mut groups, parked.events, now);
            }
            // Whoever may not read one of them may read none.
            Err(problem) if problem.kind == platform::error::Kind::Forbidden => {
                return Err(problem.into());
            }
            Err(problem) => missing.push(Missing::new(what, &problem)),
        }
    }
    render(&Page {
        missing,
        groups,
        more,
        frame: Frame::new("/parked", &signed),
    })
}

fn group(groups: &mut Vec<Group>, events: Vec<v1::ParkedEvent>, now: OffsetDateTime) {
    for of in events {
        let event = Event {
            kind: event_label(&of.kind),
            parked: When::age(of.parked_at.as_ref(), now),
            reason: of.reason,
            id: of.event_id,
        };
        let same = |group: &&mut Group| {
            group.consumer == of.consumer
                && group.producer == of.producer
                && group.case == of.case_id
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.events.push(event),
            None => groups.push(Group {
                short: short(&of.case_id).to_owned(),
                consumer: of.consumer,
                producer: of.producer,
                case: of.case_id,
                events: vec![event],
            }),
        }
    }
}
