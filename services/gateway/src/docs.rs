//! The OpenAPI document as a web page: Swagger UI, with all its files served by the gateway itself.

use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use platform::error::{Kind, Problem};
use utoipa_swagger_ui::{Config, serve};

use crate::input::{NoQuery, Segment};
use crate::problem::{CommonProblems, NotFoundProblems, ProblemResponse};

/// Scripts and styles come from the gateway, images may be embedded in the style sheet, and requests made
/// from the page go to the gateway only.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Swagger UI's settings. The validator is off because it would send the document to a third party.
static SETTINGS: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let settings = Config::from("/openapi.json")
        .validator_url("none")
        .try_it_out_enabled(true)
        .persist_authorization(false)
        .use_base_layout();
    Arc::new(settings)
});

/// The documentation page.
#[utoipa::path(
    get, path = "/docs", operation_id = "docs", tag = "operation", security(()),
    responses((status = 308, description = "Redirects to `/docs/index.html`.", body = String, content_type = "text/plain"), CommonProblems)
)]
pub(crate) async fn index(_: NoQuery) -> Response {
    let headers = [
        (LOCATION, "/docs/index.html"),
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
    ];
    (
        StatusCode::PERMANENT_REDIRECT,
        headers,
        "The page is at /docs/index.html.",
    )
        .into_response()
}

/// A file of the documentation page.
#[utoipa::path(
    get, path = "/docs/{file}", operation_id = "docs_file", tag = "operation", security(()),
    params(("file" = String, Path, description = "For example `index.html`.", example = "index.html")),
    responses((status = 200, description = "The file.", content(
        (String = "text/html"), (String = "text/css"), (String = "text/javascript"), (String = "image/png"))), CommonProblems, NotFoundProblems)
)]
pub(crate) async fn file(Segment(name): Segment, _: NoQuery) -> Result<Response, ProblemResponse> {
    let file = serve(&name, Arc::clone(&SETTINGS))
        .map_err(|_| Problem::from_kind(Kind::Internal))?
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
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    ];
    Ok((headers, file.bytes.into_owned()).into_response())
}
