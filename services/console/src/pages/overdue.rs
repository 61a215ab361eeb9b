//! Notices whose clock has run out, longest first, and what the ladder does next.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use proto::v1;
use serde::Deserialize;

use super::row::NoticeRow;
use super::stages::MISSING;
use super::{Frame, Missing, page_of, render};
use crate::edge::Edge;
use crate::posted::Asked;
use crate::refused::{Refused, query};
use crate::session::Signed;
use crate::show::{When, count, label, word};

#[derive(Template)]
#[template(path = "overdue.html")]
struct Page {
    frame: Frame,
    events: String,
    fragment: String,
}

#[derive(Template)]
#[template(path = "overdue_list.html")]
struct List {
    at: When,
    missing: Vec<Missing>,
    total: String,
    rows: Vec<Row>,
    next: Option<String>,
    first: bool,
}

struct Row {
    notice: NoticeRow,
    clock: String,
    since: When,
    next_rung: String,
    next_at: When,
}

#[derive(Deserialize)]
pub(crate) struct Place {
    cursor: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
    Asked(place): Asked<Place>,
) -> Result<Html<String>, Refused> {
    render(&Page {
        fragment: list(&edge, &signed, &place)
            .await
            .map_err(|refused| refused.back("/overdue", "the overdue list"))?,
        events: match &place.cursor {
            Some(cursor) => format!("/overdue/events?cursor={}", query(cursor)),
            None => "/overdue/events".to_owned(),
        },
        frame: Frame::new("/overdue", &signed),
    })
}

/// What is sent again whenever it has changed. An owner that is away makes the page say so, and since when.
pub(crate) async fn fragment(
    edge: &Edge,
    signed: &Signed,
    place: &Place,
) -> Result<String, Refused> {
    match list(edge, signed, place).await {
        Err(Refused::Problem(told)) => Ok(List {
            at: When::now(platform::clock::wall()),
            missing: vec![Missing::new("Dispatch: what is overdue", told.problem())],
            total: MISSING.to_owned(),
            rows: Vec::new(),
            next: None,
            first: place.cursor.is_none(),
        }
        .render()?),
        answer => answer,
    }
}

async fn list(edge: &Edge, signed: &Signed, place: &Place) -> Result<String, Refused> {
    let mut client = edge.dispatch(signed).await?;
    let request = v1::ListOverdueRequest {
        page: Some(page_of(place.cursor.as_ref())),
    };
    let answer = edge.ask(client.list_overdue(request)).await?;
    let now = platform::clock::wall();
    let row = |of: v1::OverdueNotice| {
        Some(Row {
            clock: label(&of.clock),
            since: When::age(of.overdue_since.as_ref(), now),
            next_rung: label(word!(Rung, of.next_rung)),
            next_at: When::age(of.next_rung_at.as_ref(), now),
            notice: NoticeRow::new(of.notice?, now),
        })
    };
    let list = List {
        at: When::now(now),
        missing: Vec::new(),
        total: count(answer.total),
        rows: answer.overdue.into_iter().filter_map(row).collect(),
        next: (!answer.next_cursor.is_empty())
            .then(|| format!("/overdue?cursor={}", query(&answer.next_cursor))),
        first: place.cursor.is_none(),
    };
    Ok(list.render()?)
}
