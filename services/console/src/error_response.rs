//! The answer to a request that no page can answer: a redirect to the sign-in page, or an error page. An error page keeps
//! the menu and the name of the member of staff, and the form that could not be sent.

use std::sync::Arc;

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use http::{HeaderMap, Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::edge::Edge;
use crate::error_text;
use crate::frame::Frame;
use crate::page_error::{PageError, RawForm, retry_seconds, set_retry_after};
use crate::session::referring_page;

/// What an error page needs of the request that it answers.
pub(crate) struct FailedRequest {
    jar: CookieJar,
    /// A page that can be loaded again after the sign-in: for a form, the page that it was on.
    return_to: Option<String>,
    path: String,
}

impl FailedRequest {
    pub(crate) fn new(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        Self {
            jar: CookieJar::from_headers(headers),
            return_to: if *method == Method::GET {
                uri.path_and_query().map(ToString::to_string)
            } else {
                referring_page(headers)
            },
            path: uri.path().to_owned(),
        }
    }

    /// Replaces the response of a handler that failed with its page.
    pub(crate) async fn render(self, edge: &Edge, mut response: Response) -> Response {
        let status = response.status();
        let Some(error) = response.extensions_mut().remove::<Arc<PageError>>() else {
            return response;
        };
        let page = match Arc::unwrap_or_clone(error) {
            PageError::SignIn => {
                return Redirect::to(&sign_in_address(self.return_to.as_deref())).into_response();
            }
            PageError::Problem(page) => *page,
        };
        let template = ErrorPage {
            frame: Frame::for_error(edge, &self.jar, &self.path).await,
            title: error_text::title(&page.problem),
            sentence: error_text::sentence(&page.problem),
            retry_seconds: retry_seconds(&page.problem),
            code: page.problem.code.to_string(),
            back: page.back.or_else(|| {
                let is_form = page.problem.code == "form_token";
                let referring = self.return_to.filter(|_| is_form);
                referring.map(|path| (path, "the page"))
            }),
            form: page.form,
        };
        let mut response = match template.render() {
            Ok(html) => Html(html).into_response(),
            // A template fails only where a formatter does, and none of ours does.
            Err(_) => template.sentence.into_response(),
        };
        *response.status_mut() = status;
        set_retry_after(&mut response, &page.problem);
        response
    }
}

#[derive(Template)]
#[template(path = "error_page.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    sentence: String,
    retry_seconds: Option<u64>,
    code: String,
    back: Option<(String, &'static str)>,
    form: Option<RawForm>,
}

/// Characters that would end or split a query.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'=');

/// Encodes one value of a query.
pub(crate) fn encode_query(value: &str) -> String {
    utf8_percent_encode(value, QUERY).to_string()
}

fn sign_in_address(return_to: Option<&str>) -> String {
    match return_to.filter(|path| *path != "/") {
        Some(path) => format!("/sign-in?return={}", encode_query(path)),
        None => "/sign-in".to_owned(),
    }
}
