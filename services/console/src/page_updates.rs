//! Updates of open pages by server-sent events: a fragment is rendered again and sent when it has changed. A stream ends
//! with its session, its browser or the process.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use platform::error::{Kind, Problem};
use tokio::sync::OwnedSemaphorePermit;

use crate::edge::Edge;
use crate::form::QueryParams;
use crate::page_error::PageError;
use crate::pages::{ListPosition, overdue, pipeline, shift};
use crate::session::SignedIn;
use crate::tokens::Audience;

/// How long a browser that lost the stream waits before it connects again.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// Replaces the figures when the session has ended.
const SESSION_ENDED: &str = "<p class=\"alarm\" role=\"alert\">Your session has ended. This page is no longer updated. \
    <a href=\"/sign-in\">Sign in again</a></p>";

enum UpdatedPage {
    Pipeline,
    Overdue(ListPosition),
    Shift,
}

impl UpdatedPage {
    /// Refresh intervals between two updates. The figures of a shift are computed for each reader, so they are read less
    /// often.
    fn intervals(&self) -> u32 {
        match self {
            Self::Pipeline | Self::Overdue(_) => 1,
            Self::Shift => 5,
        }
    }
}

pub(crate) async fn pipeline(
    State(edge): State<Edge>,
    signed_in: Result<SignedIn, PageError>,
) -> Result<Response, PageError> {
    open_stream(edge, signed_in, UpdatedPage::Pipeline)
}

pub(crate) async fn overdue(
    State(edge): State<Edge>,
    QueryParams(position): QueryParams<ListPosition>,
    signed_in: Result<SignedIn, PageError>,
) -> Result<Response, PageError> {
    open_stream(edge, signed_in, UpdatedPage::Overdue(position))
}

pub(crate) async fn shift(
    State(edge): State<Edge>,
    signed_in: Result<SignedIn, PageError>,
) -> Result<Response, PageError> {
    open_stream(edge, signed_in, UpdatedPage::Shift)
}

fn open_stream(
    edge: Edge,
    signed_in: Result<SignedIn, PageError>,
    page: UpdatedPage,
) -> Result<Response, PageError> {
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        // A redirect would be followed, and the sign-in page would be inserted into this one.
        Err(PageError::SignIn) => {
            let last = stream::iter([Ok::<_, Infallible>(session_ended())]);
            return Ok(Sse::new(last).into_response());
        }
        Err(problem) => return Err(problem),
    };
    let permit = edge.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(Kind::Unavailable, "streams_full", "").retry_after(Duration::from_secs(30))
    })?;
    let updates = PageUpdates {
        edge,
        signed_in,
        page,
        shown: String::new(),
        is_ended: false,
        _permit: permit,
    };
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(updates.into_stream())
        .keep_alive(keep_alive)
        .into_response())
}

/// The updates of one open page.
struct PageUpdates {
    edge: Edge,
    signed_in: SignedIn,
    page: UpdatedPage,
    shown: String,
    is_ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl PageUpdates {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        stream::unfold(self, |mut updates| async move {
            let event = updates.next().await?;
            Some((event, updates))
        })
    }

    /// The next change; none at the end of the stream.
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        let shutdown = self.edge.shutdown.clone();
        loop {
            if self.is_ended || shutdown.is_cancelled() {
                return None;
            }
            let is_first = self.shown.is_empty();
            let update = async {
                if !is_first {
                    let refresh = self.edge.config().refresh_interval();
                    tokio::time::sleep(refresh * self.page.intervals()).await;
                }
                self.render().await
            };
            let fragment = tokio::select! {
                () = shutdown.cancelled() => return None,
                fragment = update => fragment,
            };
            match fragment {
                Ok(fragment) if fragment != self.shown => {
                    self.shown.clone_from(&fragment);
                    return Some(Ok(Event::default().retry(RECONNECT_DELAY).data(fragment)));
                }
                // Unchanged; or a service does not respond, and the page shows as of when its figures are.
                Ok(_) | Err(PageError::Problem(_)) if !is_first => {}
                Ok(_) | Err(PageError::Problem(_)) => return None,
                Err(PageError::SignIn) => {
                    self.is_ended = true;
                    return Some(Ok(session_ended()));
                }
            }
        }
    }

    async fn render(&self) -> Result<String, PageError> {
        // The dashboard is shared between readers, so each reader's session is checked here.
        self.edge
            .token(&self.signed_in.session, Audience::Verification)
            .await?;
        match &self.page {
            UpdatedPage::Pipeline => pipeline::fragment(&self.edge, &self.signed_in).await,
            UpdatedPage::Overdue(position) => {
                overdue::fragment(&self.edge, &self.signed_in, position).await
            }
            UpdatedPage::Shift => shift::fragment(&self.edge, &self.signed_in).await,
        }
    }
}

fn session_ended() -> Event {
    Event::default().data(SESSION_ENDED)
}
