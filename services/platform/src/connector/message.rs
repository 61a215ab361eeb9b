//! Requests as callers mean them, as they go over the wire, and answers. Neither is ever shown.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use url::Url;

use super::error::{ConnectorError, Refusal};

/// How much of an answer's body is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBody {
    /// None: the connection is closed at the end of the headers, whatever follows them.
    None,
    /// A whole body of at most so many bytes (and at most the policy's); a longer one is an error.
    UpTo(usize),
    /// None, but up to so many bytes are read and dropped behind the answer, so that the connection can be used again.
    /// More, or a body that does not end soon, costs the connection and never the answer.
    Drain(usize),
}

/// A request as the caller means it. `Host`, the length and connection handling are the connector's.
#[derive(Clone)]
pub struct Request {
    /// HEAD, GET or POST.
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub read: ReadBody,
    /// A shorter time than the policy's.
    pub within: Option<Duration>,
}

impl Request {
    pub fn head(url: Url) -> Self {
        Self::bare(Method::HEAD, url, ReadBody::None)
    }

    /// A GET that ends with the headers.
    pub fn get_headers(url: Url) -> Self {
        Self::bare(Method::GET, url, ReadBody::None)
    }

    pub fn get(url: Url, up_to: usize) -> Self {
        Self::bare(Method::GET, url, ReadBody::UpTo(up_to))
    }

    pub fn post(url: Url, headers: HeaderMap, body: Bytes, up_to: usize) -> Self {
        Self {
            headers,
            body,
            ..Self::bare(Method::POST, url, ReadBody::UpTo(up_to))
        }
    }

    fn bare(method: Method, url: Url, read: ReadBody) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            read,
            within: None,
        }
    }

    pub(super) fn repeats_harmlessly(&self) -> bool {
        matches!(self.method, Method::HEAD | Method::GET)
    }

    /// The request as it goes over the wire.
    pub(super) fn message(
        &self,
        user_agent: &HeaderValue,
    ) -> Result<hyper::Request<Full<Bytes>>, ConnectorError> {
        let unsendable = ConnectorError::Refused(Refusal::Request);
        if !matches!(self.method, Method::HEAD | Method::GET | Method::POST) {
            return Err(unsendable);
        }
        let path = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let host = match (self.url.host_str(), self.url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(unsendable),
        };
        let mut message = hyper::Request::new(Full::new(self.body.clone()));
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = Uri::try_from(path).map_err(|_| unsendable)?;
        let headers = message.headers_mut();
        headers.insert(header::USER_AGENT, user_agent.clone());
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        headers.extend(self.headers.clone());
        for ours in [
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
            header::EXPECT,
            header::UPGRADE,
        ] {
            headers.remove(ours);
        }
        headers.insert(
            header::HOST,
            HeaderValue::try_from(host).map_err(|_| unsendable)?,
        );
        Ok(message)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Request({} <url>, {} bytes)",
            self.method,
            self.body.len()
        )
    }
}

/// What came back. A redirect is an answer like any other.
#[derive(Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Empty unless it was asked for.
    pub body: Bytes,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Response({}, {} bytes)",
            self.status.as_u16(),
            self.body.len()
        )
    }
}
