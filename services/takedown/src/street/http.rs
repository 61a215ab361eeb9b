//! The street's web server: one loopback listener that is every host of the street, with and without TLS, and the
//! webhook of every provider. Answers by the name that was asked for.

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

use super::pages::Look;
use super::residents::Residents;
use super::webhook;

/// The first byte of a TLS record that carries a handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 22;
/// A webhook is smaller than this; the standard advises 20 kB.
const BODY_LIMIT: usize = 64 * 1024;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The connection ends without a reply.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped")]
struct Dropped;

/// Serves until shutdown; connections that are open then are dropped.
pub async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    residents: Arc<Residents>,
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
                // Out of file descriptors, most likely; those in use come free.
                tracing::warn!(%error, "the street cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, residents) = (tls.clone(), Arc::clone(&residents));
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                served = converse(stream, tls, residents) => drop(served),
                () = shutdown.cancelled() => {}
            }
        });
    }
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, residents: Arc<Residents>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    if tokio::time::timeout(HANDSHAKE_LIMIT, stream.peek(&mut first)).await?? == 0 {
        return Ok(());
    }
    if first[0] == TLS_HANDSHAKE {
        let stream = tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await??;
        speak(stream, "https", residents).await
    } else {
        speak(stream, "http", residents).await
    }
}

async fn speak<S>(stream: S, scheme: &'static str, residents: Arc<Residents>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let residents = Arc::clone(&residents);
        async move { answer(request, scheme, &residents).await }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_mins(1))
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    scheme: &str,
    residents: &Residents,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(host) = host.map(str::to_owned) else {
        return Ok(bare(StatusCode::BAD_REQUEST));
    };
    let name = host
        .rsplit_once(':')
        .map_or(host.as_str(), |(name, _)| name);
    if let Some(player) = residents.by_webhook_host(name) {
        if request.method() != Method::POST {
            return Ok(bare(StatusCode::METHOD_NOT_ALLOWED));
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
            return Ok(bare(StatusCode::PAYLOAD_TOO_LARGE));
        };
        let status = webhook::take(player, &parts.headers, body.to_bytes()).await;
        return status.map(bare).ok_or(Dropped);
    }
    if !matches!(*request.method(), Method::HEAD | Method::GET) {
        return Ok(bare(StatusCode::METHOD_NOT_ALLOWED));
    }
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let look = CanonicalUrl::parse(&format!("{scheme}://{host}{target}"))
        .map_or(Look::Gone, |url| residents.pages().look(&url));
    Ok(match look {
        Look::Gone => bare(StatusCode::NOT_FOUND),
        Look::Up { length, etag, kind } => page(request.method(), length, &etag, kind),
    })
}

/// A page's head; a GET is given spaces for a body.
fn page(method: &Method, length: u64, etag: &str, kind: &'static str) -> Response<Full<Bytes>> {
    let body = if method == Method::GET {
        Bytes::from(vec![b' '; usize::try_from(length).unwrap_or_default()])
    } else {
        Bytes::new()
    };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Serves the webhook of one provider, on an address of its own, without TLS: a proxy stands in front.
pub async fn serve_one(
    listener: TcpListener,
    player: Arc<super::player::Player>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = axum::Router::new().fallback(axum::routing::post(
        move |headers: http::HeaderMap, body: Bytes| async move {
            let status = webhook::take(&player, &headers, body).await;
            Ok::<_, Infallible>(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        },
    ));
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}
