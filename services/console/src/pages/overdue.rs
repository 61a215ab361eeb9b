//! Notices whose deadline has passed, longest overdue first, with the next rung of the ladder.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use proto::v1;

use super::rows::NoticeRow;
use super::{ListPosition, MissingPart, next_address, render};
use crate::edge::Edge;
use crate::error_response::encode_query;
use crate::form::QueryParams;
use crate::format::{NOT_AVAILABLE, TimeText, format_count, label, wire_name};
use crate::frame::Frame;
use crate::page_error::PageError;
use crate::session::SignedIn;

#[derive(Template)]
#[template(path = "overdue.html")]
struct OverduePage {
    frame: Frame,
    events: String,
    fragment: String,
}

#[derive(Template)]
#[template(path = "overdue_list.html")]
struct OverdueList {
    read_at: TimeText,
    missing: Vec<MissingPart>,
    total: String,
    rows: Vec<OverdueRow>,
    next: Option<String>,
    is_first: bool,
}

struct OverdueRow {
    notice: NoticeRow,
    deadline: String,
    since: TimeText,
    next_rung: String,
    next_at: TimeText,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
    QueryParams(position): QueryParams<ListPosition>,
) -> Result<Html<String>, PageError> {
    render(&OverduePage {
        fragment: read_list(&edge, &signed_in, &position)
            .await
            .map_err(|error| error.with_link("/overdue", "the overdue list"))?,
        events: match &position.page_token {
            Some(token) => format!("/overdue/events?page_token={}", encode_query(token)),
            None => "/overdue/events".to_owned(),
        },
        frame: Frame::new("/overdue", &signed_in),
    })
}

/// The part of the page that is updated. While dispatch does not respond, it shows that and the time.
pub(crate) async fn fragment(
    edge: &Edge,
    signed_in: &SignedIn,
    position: &ListPosition,
) -> Result<String, PageError> {
    match read_list(edge, signed_in, position).await {
        Err(PageError::Problem(page)) => Ok(OverdueList {
            read_at: TimeText::now(platform::clock::wall()),
            missing: vec![MissingPart::new(
                "Dispatch: the overdue notices",
                &page.problem,
            )],
            total: NOT_AVAILABLE.to_owned(),
            rows: Vec::new(),
            next: None,
            is_first: position.is_first(),
        }
        .render()?),
        fragment => fragment,
    }
}

async fn read_list(
    edge: &Edge,
    signed_in: &SignedIn,
    position: &ListPosition,
) -> Result<String, PageError> {
    let mut client = edge.dispatch(signed_in).await?;
    let request = v1::ListOverdueRequest {
        page_size: 0,
        page_token: position.token(),
    };
    let response = edge.call(client.list_overdue(request)).await?;
    let now = platform::clock::wall();
    let row = |overdue: v1::OverdueNotice| {
        Some(OverdueRow {
            deadline: label(wire_name!(DeadlineKind, overdue.deadline)),
            since: TimeText::relative(overdue.overdue_since.as_ref(), now),
            next_rung: label(wire_name!(Rung, overdue.next_rung)),
            next_at: TimeText::relative(overdue.next_rung_at.as_ref(), now),
            notice: NoticeRow::from_proto(overdue.notice?, now),
        })
    };
    let list = OverdueList {
        read_at: TimeText::now(now),
        missing: Vec::new(),
        total: format_count(response.total),
        rows: response.overdue.into_iter().filter_map(row).collect(),
        next: next_address("/overdue", &response.next_page_token),
        is_first: position.is_first(),
    };
    Ok(list.render()?)
}
