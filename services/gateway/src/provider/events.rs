//! A stream of what is new for a provider, with replay: the listing, told as it grows. Keeps nothing: the cursor in each
//! event's id is all that there is to remember, and the key is checked anew with each look.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::word::NoticeState;
use futures::{Stream, stream};
use http::HeaderMap;
use http::header::ACCEPT;
use platform::error::{Kind, Problem};
use proto::v1;
use utoipa::{IntoParams, ToSchema};

use super::notices::{cursor, named_as_here};
use super::view::Notice;
use crate::caller::{Credential, Named};
use crate::edge::Edge;
use crate::input::Query;
use crate::problem::{Always, Refused, WithKey, WithValues};
use crate::streams::Place;

/// A client that lost the stream waits so long before it asks again.
const RETRY: Duration = Duration::from_secs(2);
/// Between two looks that found nothing.
const PAUSE: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const PAGE: u32 = 100;

/// Where to begin, for the API's document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are taken one by one")]
struct Beginning {
    /// An event's id, or `next_cursor` of a listing: what came after it is told. From the very first notice where there is
    /// neither this nor `Last-Event-ID`.
    #[param(pattern = "^[0-9]{1,18}$", required = false, value_type = String)]
    cursor: Option<String>,
}

/// One event, for the API's document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written as text")]
struct NoticeEvent {
    /// From here the stream goes on.
    #[schema(required = false, nullable = false, pattern = "^[0-9]{1,18}$")]
    id: Option<String>,
    #[schema(example = "notice.created")]
    event: String,
    /// The notice, as JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// Where to go on, for the API's document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes parameters that are taken one by one")]
struct GoingOn {
    /// Of the last event that you have.
    #[param(rename = "Last-Event-ID", pattern = "^[0-9]{1,18}$", required = false, value_type = String)]
    last_event_id: Option<String>,
}

/// Follow your notices as server-sent events. Each is told once, again when there is a newer message about it, in the order of the listing.
///
/// An event's type is that of a webhook (`notice.created`, `notice.reminder`, `notice.information`, `notice.upheld`,
/// `notice.retracted`), its data a notice, its id the cursor from which the stream goes on: send it as `Last-Event-ID`, as
/// browsers do by themselves. Whoever asks for `Accept: text/event-stream`, as clients of such streams do, is told for as long as
/// it listens; anybody else is told what there is by now. A stream that ends before its time says why in an event of the type
/// `problem`. Reading a notice here delivers it.
#[utoipa::path(
    get, path = "/provider/v1/events", operation_id = "follow_notices", tag = "notices",
    security(("provider_key" = [])),
    params(Beginning, GoingOn),
    responses((status = 200, description = "Events; the data of each is a notice.", body = NoticeEvent, content_type = "text/event-stream"), Always, WithKey, WithValues)
)]
pub(crate) async fn follow(
    State(edge): State<Edge>,
    Named(key): Named,
    headers: HeaderMap,
    Query(mut fields): Query,
) -> Result<Response, Refused> {
    let asked = fields.take("cursor")?.unwrap_or_default();
    fields.finish()?;
    // What is there and empty, or no text, is no cursor.
    let last = headers.get("last-event-id").map(|value| {
        let text = value.to_str().unwrap_or_default().trim();
        if text.is_empty() { "?" } else { text }
    });
    let last = last.unwrap_or_default();
    // Both are read, so that a mistake in either is told; the event that came last is the later word.
    let (asked, last) = (cursor("cursor", &asked)?, cursor("Last-Event-ID", last)?);
    let cursor = if last.is_empty() { asked } else { last };
    let place = edge.streams.take(&key).ok_or_else(|| {
        Problem::new(
            Kind::Exhausted,
            "streams_full",
            "As many streams are open as there may be; close one, or list your notices instead.",
        )
        .retry_after(Duration::from_secs(30))
    })?;
    let mut follower = Follower {
        follows: follows(&headers),
        edge,
        key,
        cursor,
        waiting: VecDeque::new(),
        ended: false,
        _place: place,
    };
    // The first look tells whether key and cursor hold, while there is still a status to say so.
    follower.look().await?;
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(follower.stream())
        .keep_alive(keep_alive)
        .into_response())
}

struct Follower {
    edge: Edge,
    key: Credential,
    /// Whether it goes on when there is nothing more for now.
    follows: bool,
    cursor: String,
    waiting: VecDeque<Event>,
    ended: bool,
    _place: Place,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        let hello = Event::default().retry(RETRY).comment("following");
        let events = stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        });
        futures::StreamExt::chain(stream::iter([Ok(hello)]), events)
    }

    /// The next event; none when it is over.
    async fn next(&mut self) -> Option<Event> {
        let shutdown = self.edge.shutdown.clone();
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.ended || shutdown.is_cancelled() {
                return None;
            }
            let turn = async {
                match self.look().await {
                    Ok(0) if !self.follows => self.ended = true,
                    Ok(0) => tokio::time::sleep(PAUSE).await,
                    Ok(_) => {}
                    // An owner that is away comes back; a key that does not hold any more is over.
                    Err(refused) if refused.problem.is_transient() => {
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(refused) => {
                        self.ended = true;
                        self.waiting.push_back(over(&refused));
                    }
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return None,
                () = turn => {}
            }
        }
    }

    /// Asks for what came after the cursor; tells how much that was.
    async fn look(&mut self) -> Result<usize, Refused> {
        let request = v1::ListNoticesRequest {
            page: Some(v1::Page {
                size: PAGE,
                cursor: self.cursor.clone(),
            }),
            states: NoticeState::ALL.iter().map(|state| state.wire()).collect(),
            ..v1::ListNoticesRequest::default()
        };
        let page = self
            .edge
            .dispatch()
            .list_notices(self.edge.named(&self.key, request))
            .await
            .map_err(named_as_here)?
            .into_inner();
        let count = page.notices.len();
        for (n, notice) in page.notices.into_iter().enumerate() {
            let kind = kind(&notice.message);
            let notice = Notice::of(notice)?;
            let mut event = Event::default().event(kind);
            // Within a page a client that is cut off begins again at the page: it sees some twice, and none never.
            let id = if n + 1 == count {
                &page.next_cursor
            } else {
                &self.cursor
            };
            if !id.is_empty() {
                event = event.id(id);
            }
            let event = event
                .json_data(&notice)
                .map_err(|_| Problem::of(Kind::Internal))?;
            self.waiting.push_back(event);
        }
        // Also where a hold keeps notices of the page from being shown.
        self.cursor = page.next_cursor;
        Ok(count)
    }
}

/// Programs that fetch anything would wait for the end of a stream that has none.
fn follows(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut texts = accepted.filter_map(|value| value.to_str().ok());
    texts.any(|text| text.to_ascii_lowercase().contains("text/event-stream"))
}

/// The words of webhooks.
fn kind(message: &str) -> &'static str {
    match message {
        "reminder" => "notice.reminder",
        "information" => "notice.information",
        "upheld" => "notice.upheld",
        "retraction" => "notice.retracted",
        _ => "notice.created",
    }
}

fn over(refused: &Refused) -> Event {
    Event::default()
        .event("problem")
        .json_data(refused.problem.document())
        .unwrap_or_default()
}
