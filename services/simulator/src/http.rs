//! Web server of the simulated hosts: one loopback listener for every host, with and without TLS, and for the webhook of
//! every provider. Responds by the request's `Host` header.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use domain::url::CanonicalUrl;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::hosts::SimulatedHosts;
use super::pages::PageResponse;
use super::simulated_host::SimulatedHost;
use super::webhook;

/// Content type of a TLS handshake record, its first byte (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 22;
/// In bytes. Standard Webhooks advises bodies below 20 kB.
const BODY_LIMIT: usize = 64 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Closes the connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped")]
struct ConnectionDropped;

/// Serves until shutdown, which drops open connections.
pub async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    hosts: Arc<SimulatedHosts>,
    shutdown: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most likely out of file descriptors, until open connections end.
                tracing::warn!(%error, "the simulator cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, hosts) = (tls.clone(), Arc::clone(&hosts));
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                served = serve_connection(stream, tls, hosts) => drop(served),
                () = shutdown.cancelled() => {}
            }
        });
    }
}

async fn serve_connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    hosts: Arc<SimulatedHosts>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    if tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)).await?? == 0 {
        return Ok(());
    }
    if first[0] == TLS_HANDSHAKE {
        let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await??;
        serve_http(stream, "https", hosts).await
    } else {
        serve_http(stream, "http", hosts).await
    }
}

async fn serve_http<S>(stream: S, scheme: &'static str, hosts: Arc<SimulatedHosts>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let hosts = Arc::clone(&hosts);
        async move { respond(request, scheme, &hosts).await }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_mins(1))
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

async fn respond(
    request: Request<Incoming>,
    scheme: &str,
    hosts: &SimulatedHosts,
) -> Result<Response<Full<Bytes>>, ConnectionDropped> {
    let authority = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    let Some(authority) = authority.map(str::to_owned) else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    let name = authority
        .rsplit_once(':')
        .map_or(authority.as_str(), |(name, _)| name);
    if let Some(host) = hosts.by_webhook_host(name) {
        if request.method() != Method::POST {
            return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
            return Ok(empty(StatusCode::PAYLOAD_TOO_LARGE));
        };
        let status = webhook::receive(host, &parts.headers, body.to_bytes()).await;
        return status.map(empty).ok_or(ConnectionDropped);
    }
    if !matches!(*request.method(), Method::HEAD | Method::GET) {
        return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let response = CanonicalUrl::parse(&format!("{scheme}://{authority}{target}"))
        .map_or(PageResponse::Offline, |url| hosts.pages().respond(&url));
    Ok(match response {
        PageResponse::Offline => empty(StatusCode::NOT_FOUND),
        PageResponse::Online {
            length,
            etag,
            media_type,
        } => page(request.method(), length, &etag, media_type),
    })
}

/// A page: its headers, and for GET a body of spaces.
fn page(
    method: &Method,
    length: u64,
    etag: &str,
    media_type: &'static str,
) -> Response<Full<Bytes>> {
    let body = if method == Method::GET {
        Bytes::from(vec![b' '; usize::try_from(length).unwrap_or_default()])
    } else {
        Bytes::new()
    };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Serves the webhook of one provider on an address of its own, without TLS; a proxy in front terminates TLS.
pub async fn serve_webhook(
    listener: TcpListener,
    host: Arc<SimulatedHost>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = axum::Router::new().fallback(axum::routing::post(
        move |headers: http::HeaderMap, body: Bytes| async move {
            let status = webhook::receive(&host, &headers, body).await;
            Ok::<_, Infallible>(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        },
    ));
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}
