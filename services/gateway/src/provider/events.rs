//! A provider's notices as a stream of server-sent events, read page by page from the listing. The stream has
//! no state but the cursor, which is the id of each event, and the key is checked again with each page.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::enums::{MessageKind, NoticeState};
use futures::{Stream, stream};
use http::HeaderMap;
use http::header::ACCEPT;
use platform::error::{Kind, Problem};
use proto::v1;
use utoipa::{IntoParams, ToSchema};

use super::notice_json::Notice;
use super::notices::{cursor, with_our_parameters};
use crate::caller::{Credential, RequiredCredential};
use crate::edge::Edge;
use crate::input::Query;
use crate::problem::{CommonProblems, CredentialProblems, ProblemResponse, ValidationProblems};
use crate::stream_slots::StreamSlot;
use crate::upstream::malformed_response;

/// How long a client waits before it reconnects (the field `retry`).
const RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// Between two polls of the listing that returned nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const PAGE_SIZE: i32 = 100;

/// The query parameters, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are parsed one by one")]
struct EventStreamQuery {
    /// An event's id, or `next_cursor` of a listing: the stream begins after it. Without it and without
    /// `Last-Event-ID`, the stream begins with your first notice.
    #[param(pattern = "^[0-9]{1,18}$", required = false, value_type = String)]
    cursor: Option<String>,
}

/// One event, for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an event that is written as text")]
struct NoticeEvent {
    /// The cursor after this event.
    #[schema(required = false, nullable = false, pattern = "^[0-9]{1,18}$")]
    id: Option<String>,
    #[schema(example = "notice.created")]
    event: String,
    /// The notice, as JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// The headers, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes parameters that are parsed one by one")]
struct EventStreamHeaders {
    /// The id of the last event that you received.
    #[param(rename = "Last-Event-ID", pattern = "^[0-9]{1,18}$", required = false, value_type = String)]
    last_event_id: Option<String>,
}

/// Follow your notices as server-sent events.
///
/// There is one event per notice, and one for each newer message, in the order of the listing. An event's
/// type is that of a webhook (`notice.created`, `notice.reminder`, `notice.information`, `notice.upheld`,
/// `notice.retracted`), its data is a notice, and its id is the cursor after it: send it as `Last-Event-ID`
/// to continue, as browsers do automatically. With `Accept: text/event-stream`, which clients of such streams
/// send, the stream stays open; otherwise it ends after the notices that exist now. A stream that ends early
/// sends an event of the type `problem` with the reason. Reading a notice here counts as its delivery.
#[utoipa::path(
    get, path = "/provider/v1/events", operation_id = "follow_notices", tag = "notices",
    security(("provider_key" = [])),
    params(EventStreamQuery, EventStreamHeaders),
    responses((status = 200, description = "Events with a notice as their data.", body = NoticeEvent, content_type = "text/event-stream"), CommonProblems, CredentialProblems, ValidationProblems)
)]
pub(crate) async fn follow(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    headers: HeaderMap,
    Query(mut fields): Query,
) -> Result<Response, ProblemResponse> {
    let start = fields.take("cursor")?.unwrap_or_default();
    fields.finish()?;
    // A header that is empty or not text is not a valid cursor.
    let last = headers.get("last-event-id").map(|value| {
        let text = value.to_str().unwrap_or_default().trim();
        if text.is_empty() { "?" } else { text }
    });
    let last = last.unwrap_or_default();
    // Both are validated, so that an error in either is reported. The last event takes precedence.
    let (start, last) = (cursor("cursor", &start)?, cursor("Last-Event-ID", last)?);
    let cursor = if last.is_empty() { start } else { last };
    let slot = edge.stream_slots.reserve(&key).ok_or_else(|| {
        Problem::new(
            Kind::Exhausted,
            "streams_full",
            "The maximum number of streams is open; close one, or list your notices instead.",
        )
        .retry_after(Duration::from_secs(30))
    })?;
    let mut follower = NoticeFollower {
        stays_open: accepts_event_stream(&headers),
        edge,
        key,
        cursor,
        pending: VecDeque::new(),
        ended: false,
        _slot: slot,
    };
    // The first page validates key and cursor while an HTTP status can still report an error.
    follower.fetch_page().await?;
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(follower.stream())
        .keep_alive(keep_alive)
        .into_response())
}

struct NoticeFollower {
    edge: Edge,
    key: Credential,
    /// Whether the stream stays open at the end of the listing.
    stays_open: bool,
    cursor: String,
    pending: VecDeque<Event>,
    ended: bool,
    _slot: StreamSlot,
}

impl NoticeFollower {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        let first = Event::default().retry(RECONNECT_DELAY).comment("following");
        let events = stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        });
        futures::StreamExt::chain(stream::iter([Ok(first)]), events)
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        let shutdown = self.edge.shutdown.clone();
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.ended || shutdown.is_cancelled() {
                return None;
            }
            let poll = async {
                match self.fetch_page().await {
                    Ok(0) if !self.stays_open => self.ended = true,
                    Ok(0) => tokio::time::sleep(POLL_INTERVAL).await,
                    Ok(_) => {}
                    // Dispatch may be unavailable for a while. Other errors are final, such as a revoked key.
                    Err(response) if response.problem.is_transient() => {
                        tokio::time::sleep(POLL_INTERVAL).await;
                    }
                    Err(response) => {
                        self.ended = true;
                        self.pending.push_back(problem_event(&response));
                    }
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return None,
                () = poll => {}
            }
        }
    }

    /// Fetches the page after the cursor; returns the number of its notices.
    async fn fetch_page(&mut self) -> Result<usize, ProblemResponse> {
        let request = v1::ListNoticesRequest {
            page_size: PAGE_SIZE,
            page_token: self.cursor.clone(),
            states: NoticeState::ALL.iter().map(|state| state.wire()).collect(),
            ..v1::ListNoticesRequest::default()
        };
        let page = self
            .edge
            .dispatch()
            .list_notices(self.edge.authenticated_request(&self.key, request))
            .await
            .map_err(with_our_parameters)?
            .into_inner();
        let count = page.notices.len();
        for (index, notice) in page.notices.into_iter().enumerate() {
            let kind = MessageKind::from_wire(notice.message).map_err(|_| malformed_response())?;
            let notice = Notice::from_proto(notice)?;
            let mut event = Event::default().event(event_type(kind));
            // A client that is disconnected within a page restarts at the page: it may see a notice twice,
            // and misses none.
            let id = if index + 1 == count {
                &page.next_page_token
            } else {
                &self.cursor
            };
            if !id.is_empty() {
                event = event.id(id);
            }
            let event = event
                .json_data(&notice)
                .map_err(|_| Problem::from_kind(Kind::Internal))?;
            self.pending.push_back(event);
        }
        // Advances even if a police hold leaves out notices of the page.
        self.cursor = page.next_page_token;
        Ok(count)
    }
}

/// Other clients would wait forever for the end of a stream that stays open.
fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut texts = accepted.filter_map(|value| value.to_str().ok());
    texts.any(|text| text.to_ascii_lowercase().contains("text/event-stream"))
}

/// The event types of webhooks.
fn event_type(message: MessageKind) -> &'static str {
    match message {
        MessageKind::Notice => "notice.created",
        MessageKind::Reminder => "notice.reminder",
        MessageKind::Information => "notice.information",
        MessageKind::Upheld => "notice.upheld",
        MessageKind::Retraction => "notice.retracted",
    }
}

fn problem_event(response: &ProblemResponse) -> Event {
    Event::default()
        .event("problem")
        .json_data(response.problem.document())
        .unwrap_or_default()
}
