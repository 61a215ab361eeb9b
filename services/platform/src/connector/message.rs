//! Requests and responses. `Debug` shows neither URLs nor bodies.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use url::Url;

use super::error::{ConnectorError, Refusal};

/// How much of the response body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBody {
    /// Nothing: the connection is closed after the headers.
    None,
    /// The whole body, of at most this many bytes and at most the policy's limit; a longer one is an error.
    UpTo(usize),
    /// Nothing, but up to this many bytes are read and discarded in the background, so that the connection
    /// can be reused. If the body is longer or slow, the connection is closed; the response is not affected.
    Drain(usize),
}

/// A request. The connector sets `Host`, the length and the connection headers.
#[derive(Clone)]
pub struct Request {
    /// HEAD, GET or POST.
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub read: ReadBody,
    /// A shorter time limit than the policy's.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A HEAD request.
    pub fn head(url: Url) -> Self {
        Self::bare(Method::HEAD, url, ReadBody::None)
    }

    /// A GET request that reads only the headers.
    pub fn get_headers(url: Url) -> Self {
        Self::bare(Method::GET, url, ReadBody::None)
    }

    /// A GET request that reads a body of at most `up_to` bytes.
    pub fn get(url: Url, up_to: usize) -> Self {
        Self::bare(Method::GET, url, ReadBody::UpTo(up_to))
    }

    /// A POST request that reads a body of at most `up_to` bytes.
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
            timeout: None,
        }
    }

    pub(super) fn is_idempotent(&self) -> bool {
        matches!(self.method, Method::HEAD | Method::GET)
    }

    /// Builds the HTTP request.
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
        for reserved in [
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
            header::EXPECT,
            header::UPGRADE,
        ] {
            headers.remove(reserved);
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

/// A response. Redirects are returned and not followed.
#[derive(Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Empty unless the request reads it.
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
