//! The API's document as a page to read and try: Swagger UI, served from here. Nothing of it comes from anybody else.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use platform::error::{Kind, Problem};
use utoipa_swagger_ui::{Config, serve};

use crate::edge::Edge;
use crate::input::{NoQuery, Segment};
use crate::problem::{Always, Refused, WithName};

/// Scripts and styles are files of ours; pictures may lie in the style sheet. Requests that are tried go here and nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The file that names the document; the others are as they were released.
const DOCUMENT: &str = "/openapi.json";

/// This document as a page.
#[utoipa::path(
    get, path = "/docs", operation_id = "docs", tag = "operation", security(()),
    responses((status = 308, description = "To `/docs/index.html`.", body = String, content_type = "text/plain"), Always)
)]
pub(crate) async fn index(_: NoQuery) -> Response {
    let headers = [
        (LOCATION, "/docs/index.html"),
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
    ];
    (
        StatusCode::PERMANENT_REDIRECT,
        headers,
        "It is at /docs/index.html.",
    )
        .into_response()
}

/// A file of the page.
#[utoipa::path(
    get, path = "/docs/{file}", operation_id = "docs_file", tag = "operation", security(()),
    params(("file" = String, Path, description = "Such as `index.html`.", example = "index.html")),
    responses((status = 200, description = "The file.", content(
        (String = "text/html"), (String = "text/css"), (String = "text/javascript"), (String = "image/png"))), Always, WithName)
)]
pub(crate) async fn file(
    State(edge): State<Edge>,
    Segment(name): Segment,
    _: NoQuery,
) -> Result<Response, Refused> {
    let file = serve(&name, Arc::clone(&edge.docs))
        .map_err(|_| Problem::of(Kind::Internal))?
        .ok_or_else(|| {
            Problem::new(
                Kind::NotFound,
                "not_found",
                "There is no such file; the page is at /docs/index.html.",
            )
        })?;
    let headers = [
        (CONTENT_TYPE, file.content_type.as_str()),
        (CACHE_CONTROL, "public, max-age=3600"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    Ok((headers, file.bytes.into_owned()).into_response())
}

/// How the page shows the document. The validator would be a request to somebody else.
pub(crate) fn config<'a>() -> Config<'a> {
    Config::from(DOCUMENT)
        .validator_url("none")
        .try_it_out_enabled(true)
        .persist_authorization(false)
        .use_base_layout()
}
