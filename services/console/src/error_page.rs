//! The answer to a request that no page can answer: a redirect to the sign-in page, or an error page. An error page keeps
//! the menu and the name of the member of staff, and the form that could not be sent.

use std::sync::Arc;

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use domain::Invalid;
use http::{HeaderMap, Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use platform::error::{Kind, Problem};

use crate::edge::Edge;
use crate::error_text;
use crate::form::{RawForm, retry_seconds, set_retry_after};
use crate::frame::Frame;
use crate::session::referring_page;

#[derive(Debug, Clone)]
pub(crate) enum PageError {
    /// No valid session.
    SignIn,
    Problem(Box<ProblemPage>),
}

/// A problem, with the ways to continue.
#[derive(Debug, Clone)]
pub(crate) struct ProblemPage {
    pub(crate) problem: Problem,
    /// A page to go back to, and its name in a sentence.
    back: Option<(String, &'static str)>,
    /// The form that can be sent again as it is.
    form: Option<RawForm>,
}

impl PageError {
    /// A problem of the console's own; its text is in `error_text`.
    pub(crate) fn new(kind: Kind, code: &'static str) -> Self {
        Problem::new(kind, code, "").into()
    }

    /// Offers a link to a page.
    pub(crate) fn with_link(self, path: impl Into<String>, name: &'static str) -> Self {
        match self {
            Self::Problem(mut page) => {
                page.back = Some((path.into(), name));
                Self::Problem(page)
            }
            Self::SignIn => Self::SignIn,
        }
    }

    /// Offers to send a form again. Its token must have been checked.
    pub(crate) fn with_form(self, form: RawForm) -> Self {
        match self {
            Self::Problem(mut page) => {
                page.form = Some(form);
                Self::Problem(page)
            }
            Self::SignIn => Self::SignIn,
        }
    }
}

impl From<Problem> for PageError {
    fn from(problem: Problem) -> Self {
        if problem.kind == Kind::Unauthenticated {
            return Self::SignIn;
        }
        Self::Problem(Box::new(ProblemPage {
            problem,
            back: None,
            form: None,
        }))
    }
}

impl From<Invalid> for PageError {
    fn from(invalid: Invalid) -> Self {
        Problem::new(Kind::Invalid, invalid.code, invalid.detail)
            .field(invalid.field)
            .into()
    }
}

impl From<askama::Error> for PageError {
    fn from(_: askama::Error) -> Self {
        Problem::from_kind(Kind::Internal).into()
    }
}

impl IntoResponse for PageError {
    /// Without a body: the middleware renders the page, because it knows the session and the address of the request.
    fn into_response(self) -> Response {
        let mut response = match &self {
            Self::SignIn => http::StatusCode::SEE_OTHER.into_response(),
            Self::Problem(page) => page.problem.status().into_response(),
        };
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

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
