//! Every refused call has a stable code, also where the library refused it before a handler ran, in the middle of its
//! stream, or because there was no room or time for it.
//!
//! tonic answers a message that does not decode, or a frame that is none, with INTERNAL, and one that is too large
//! with OUT_OF_RANGE; these are the caller's to mend, and are said so here.

use std::any::Any;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{FutureExt, Map};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Layer, Service};
use tower_http::catch_panic::ResponseForPanic;

use crate::error::{CODE, Kind, Problem};

/// How tonic's sentences begin where what came was no message: the only sign that it gives.
const MALFORMED: [&str; 5] = [
    "failed to decode",
    "protocol error: received message",
    "Unexpected EOF",
    "Missing request message",
    "Error decompressing",
];

#[derive(Debug, Clone, Copy)]
pub(super) struct RefusalLayer;

impl<S> Layer<S> for RefusalLayer {
    type Service = Refusal<S>;

    fn layer(&self, inner: S) -> Refusal<S> {
        Refusal(inner)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Refusal<S>(S);

type Answer<B> = Result<Response<B>, BoxError>;

impl<S, B> Service<Request<Body>> for Refusal<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Map<S::Future, fn(Answer<B>) -> Answer<Body>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request).map(named)
    }
}

fn named<B>(answer: Answer<B>) -> Answer<Body>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    match answer {
        Ok(response) => {
            let mut response = response.map(|body| Body::new(body.map_frame(named_at_the_end)));
            name(response.headers_mut());
            Ok(response)
        }
        Err(error) => match not_admitted(&error) {
            Some(problem) => Ok(Status::from(problem).into_http()),
            None => Err(error),
        },
    }
}

/// A stream says in its trailers how it ended.
fn named_at_the_end(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            name(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}

/// Gives a refusal that carries no code of ours one.
fn name(headers: &mut HeaderMap) {
    if headers.contains_key(CODE) {
        return;
    }
    let Some(status) = Status::from_header_map(headers) else {
        return;
    };
    match status.code() {
        Code::Ok => {}
        // Clients find out by this code what a server does not speak; it must stay as it is.
        Code::Unimplemented => {
            headers.insert(CODE, HeaderValue::from_static("unknown_method"));
        }
        _ => {
            // Header values are made of ASCII codes and percent-encoded text: they always fit.
            let _ = Status::from(of_library(&status)).add_header(headers);
        }
    }
}

fn of_library(status: &Status) -> Problem {
    let malformed = || MALFORMED.iter().any(|text| status.message().contains(text));
    match status.code() {
        Code::Internal if malformed() => Problem::new(
            Kind::Invalid,
            "malformed_message",
            "The message does not decode; build it from the published protobuf files.",
        ),
        Code::OutOfRange => Problem::new(
            Kind::Invalid,
            "message_too_large",
            "The message is too large; send fewer items in one call.",
        ),
        _ => Problem::from(status),
    }
}

/// Why a call was cut off, or never begun.
fn not_admitted(error: &BoxError) -> Option<Problem> {
    if error.is::<Overloaded>() {
        Some(Problem::new(
            Kind::Exhausted,
            "too_many_calls",
            "Too many calls at once; send the same request again a little later.",
        ))
    } else if error.is::<Elapsed>() {
        Some(Problem::new(
            Kind::Unavailable,
            "timed_out",
            "This took too long; send the same request again.",
        ))
    } else {
        None
    }
}

/// What a caller gets for a handler that panicked. The place is in the log, by the panic hook.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panicked;

impl ResponseForPanic for Panicked {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, _: Box<dyn Any + Send>) -> Response<Body> {
        Status::from(Problem::of(Kind::Internal)).into_http()
    }
}
