//! Adds a stable error code to every failed call that has none: calls that the library refused before a
//! handler ran or in the middle of a stream, and calls that exceeded the limit of time or concurrency.
//!
//! tonic returns INTERNAL for a message or frame that does not decode, and OUT_OF_RANGE for one that is too
//! large. Both are errors of the caller and become INVALID_ARGUMENT here.

use std::any::Any;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{FutureExt, Map};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Layer, Service};
use tower_http::catch_panic::ResponseForPanic;

use crate::error::{self, Kind, Problem};

/// Parts of tonic's messages for input that does not decode; there is no other way to recognise it.
const MALFORMED: [&str; 5] = [
    "failed to decode",
    "protocol error: received message",
    "Unexpected EOF",
    "Missing request message",
    "Error decompressing",
];

#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorCodeLayer;

impl<S> Layer<S> for ErrorCodeLayer {
    type Service = ErrorCodeService<S>;

    fn layer(&self, inner: S) -> ErrorCodeService<S> {
        ErrorCodeService(inner)
    }
}

#[derive(Debug, Clone)]
pub(super) struct ErrorCodeService<S>(S);

type HttpResult<B> = Result<Response<B>, BoxError>;

impl<S, B> Service<Request<Body>> for ErrorCodeService<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Map<S::Future, fn(HttpResult<B>) -> HttpResult<Body>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request).map(with_code)
    }
}

fn with_code<B>(result: HttpResult<B>) -> HttpResult<Body>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    match result {
        Ok(response) => {
            let mut response = response.map(|body| Body::new(body.map_frame(add_code_to_trailers)));
            add_code(response.headers_mut());
            Ok(response)
        }
        Err(error) => match limit_problem(&error) {
            Some(problem) => Ok(Status::from(problem).into_http()),
            None => Err(error),
        },
    }
}

/// Adds the code to the trailers at the end of a stream.
fn add_code_to_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            add_code(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}

/// Adds a code to an error status without one.
fn add_code(headers: &mut HeaderMap) {
    let Some(status) = Status::from_header_map(headers) else {
        return;
    };
    if status.code() == Code::Ok || !status.details().is_empty() {
        return;
    }
    let with_code = match status.code() {
        // Clients use this status to find out which methods a server has, so it must not change.
        Code::Unimplemented => error::status(
            Code::Unimplemented,
            "unknown_method",
            "There is no such method; take its name from the published protobuf files.",
        ),
        _ => from_library(&status).into(),
    };
    // Texts are percent-encoded and details in base64, so adding the headers cannot fail.
    let _ = with_code.add_header(headers);
}

fn from_library(status: &Status) -> Problem {
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

/// The error of a call that exceeded the limit of concurrency or time.
fn limit_problem(error: &BoxError) -> Option<Problem> {
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

/// The response of a handler that panicked. The panic hook logs the location.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panicked;

impl ResponseForPanic for Panicked {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, _: Box<dyn Any + Send>) -> Response<Body> {
        Status::from(Problem::from_kind(Kind::Internal)).into_http()
    }
}
