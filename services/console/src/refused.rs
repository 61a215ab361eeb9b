//! What a page answers when it cannot do what was asked: sign in first, or a page that says what to do.

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::Invalid;
use http::header::RETRY_AFTER;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use platform::error::{Kind, Problem};

use crate::pages::Frame;

pub(crate) enum Refused {
    /// Nobody is signed in; where to come back to, if that can be read again.
    SignIn(Option<String>),
    Problem(Box<Told>),
}

/// A problem and the way on from it.
pub(crate) struct Told {
    problem: Problem,
    back: Option<(String, &'static str)>,
}

impl Told {
    pub(crate) fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl Refused {
    /// Offers a way back to where the reader came from.
    pub(crate) fn back(self, path: impl Into<String>, name: &'static str) -> Self {
        match self {
            Self::Problem(mut told) => {
                told.back = Some((path.into(), name));
                Self::Problem(told)
            }
            Self::SignIn(back) => Self::SignIn(back),
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        if problem.kind == Kind::Unauthenticated {
            return Self::SignIn(None);
        }
        Self::Problem(Box::new(Told {
            problem,
            back: None,
        }))
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Problem::new(Kind::Invalid, invalid.code, invalid.detail)
            .field(invalid.field)
            .into()
    }
}

impl From<askama::Error> for Refused {
    fn from(_: askama::Error) -> Self {
        Problem::of(Kind::Internal).into()
    }
}

/// What would end or part a query.
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

/// One value of a query.
pub(crate) fn query(value: &str) -> String {
    utf8_percent_encode(value, QUERY).to_string()
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    title: &'static str,
    told: &'a Told,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let told = match self {
            Self::SignIn(back) => return Redirect::to(&sign_in(back.as_deref())).into_response(),
            Self::Problem(told) => told,
        };
        let page = ProblemPage {
            frame: Frame::outside(),
            title: title(&told.problem),
            told: &told,
        };
        let mut response = match page.render() {
            Ok(page) => Html(page).into_response(),
            // Nothing in it can fail to be written; its sentence alone would still be right.
            Err(_) => told.problem.detail.clone().into_response(),
        };
        *response.status_mut() = told.problem.status();
        if let Some(after) = told.problem.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

pub(crate) fn sign_in(back: Option<&str>) -> String {
    match back.filter(|back| *back != "/") {
        Some(back) => format!("/sign-in?return={}", query(back)),
        None => "/sign-in".to_owned(),
    }
}

fn title(problem: &Problem) -> &'static str {
    if matches!(problem.code.as_ref(), "form_token" | "other_site") {
        return "This form was not taken";
    }
    match problem.kind {
        Kind::Invalid => "That cannot be taken as it is",
        Kind::NotFound => "There is no such thing here",
        Kind::Unauthenticated => "Sign in first",
        Kind::Forbidden => "Your roles do not allow this",
        Kind::Conflict => "Somebody was here before you",
        Kind::FailedPrecondition => "Not possible as things stand",
        Kind::Exhausted => "Too much at once",
        Kind::Unavailable => "Part of the system does not answer",
        Kind::Internal => "An error on our side",
    }
}
