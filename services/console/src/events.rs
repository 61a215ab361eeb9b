//! Live pages: a fragment, rendered again and sent when it has changed. Ends with its session, its reader or the process.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use platform::error::{Kind, Problem};
use tokio::sync::OwnedSemaphorePermit;

use crate::edge::Edge;
use crate::pages::{overdue, pipeline, shift};
use crate::posted::Asked;
use crate::refused::Refused;
use crate::session::Signed;
use crate::tokens::Audience;

/// A browser that lost the stream waits so long before it asks again.
const RETRY: Duration = Duration::from_secs(2);

/// What is shown in place of the figures once nobody is signed in any more.
const SIGNED_OUT: &str = "<p class=\"alarm\" role=\"alert\">Your session is over and this page no longer follows. \
    <a href=\"/sign-in\">Sign in again</a></p>";

enum Live {
    Pipeline,
    Overdue(overdue::Place),
    Shift,
}

impl Live {
    /// Looks of the others for one of this: what an owner has to add up for each reader is asked for less often.
    fn pace(&self) -> u32 {
        match self {
            Self::Pipeline | Self::Overdue(_) => 1,
            Self::Shift => 5,
        }
    }
}

pub(crate) async fn pipeline(
    State(edge): State<Edge>,
    signed: Result<Signed, Refused>,
) -> Result<Response, Refused> {
    follow(edge, signed, Live::Pipeline)
}

pub(crate) async fn overdue(
    State(edge): State<Edge>,
    Asked(place): Asked<overdue::Place>,
    signed: Result<Signed, Refused>,
) -> Result<Response, Refused> {
    follow(edge, signed, Live::Overdue(place))
}

pub(crate) async fn shift(
    State(edge): State<Edge>,
    signed: Result<Signed, Refused>,
) -> Result<Response, Refused> {
    follow(edge, signed, Live::Shift)
}

fn follow(edge: Edge, signed: Result<Signed, Refused>, live: Live) -> Result<Response, Refused> {
    let signed = match signed {
        Ok(signed) => signed,
        // A redirect would be followed, and the sign-in page would land in the middle of this one.
        Err(Refused::SignIn(_)) => {
            let last = stream::iter([Ok::<_, Infallible>(over())]);
            return Ok(Sse::new(last).into_response());
        }
        Err(problem) => return Err(problem),
    };
    let permit = edge.streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(
            Kind::Unavailable,
            "streams_full",
            "As many pages are followed as the console can keep live; load this one again to see newer figures.",
        )
        .retry_after(Duration::from_secs(30))
    })?;
    let follower = Follower {
        edge,
        signed,
        live,
        shown: String::new(),
        ended: false,
        _permit: permit,
    };
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(follower.stream())
        .keep_alive(keep_alive)
        .into_response())
}

struct Follower {
    edge: Edge,
    signed: Signed,
    live: Live,
    shown: String,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((event, follower))
        })
    }

    /// The next change; none when it is over.
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        let shutdown = self.edge.shutdown.clone();
        loop {
            if self.ended || shutdown.is_cancelled() {
                return None;
            }
            let first = self.shown.is_empty();
            let turn = async {
                if !first {
                    let refresh = self.edge.config().refresh();
                    tokio::time::sleep(refresh * self.live.pace()).await;
                }
                self.render().await
            };
            let page = tokio::select! {
                () = shutdown.cancelled() => return None,
                page = turn => page,
            };
            match page {
                Ok(page) if page != self.shown => {
                    self.shown.clone_from(&page);
                    return Some(Ok(Event::default().retry(RETRY).data(page)));
                }
                // Unchanged; or an owner is away, and what is shown says when it was true.
                Ok(_) | Err(Refused::Problem(_)) if !first => {}
                Ok(_) | Err(Refused::Problem(_)) => return None,
                Err(Refused::SignIn(_)) => {
                    self.ended = true;
                    return Some(Ok(over()));
                }
            }
        }
    }

    async fn render(&self) -> Result<String, Refused> {
        // The board is shared: whether this session still holds is asked for each reader.
        self.edge
            .token(&self.signed.session, Audience::Verification)
            .await?;
        match &self.live {
            Live::Pipeline => pipeline::fragment(&self.edge, &self.signed).await,
            Live::Overdue(place) => overdue::fragment(&self.edge, &self.signed, place).await,
            Live::Shift => shift::fragment(&self.edge, &self.signed).await,
        }
    }
}

fn over() -> Event {
    Event::default().data(SIGNED_OUT)
}
