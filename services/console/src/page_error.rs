//! What a handler returns where it has no page to show, with what was typed into its form. The middleware renders it
//! (`error_response`).

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use domain::Invalid;
use http::header::RETRY_AFTER;
use platform::error::{Kind, Problem};

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
    pub(crate) back: Option<(String, &'static str)>,
    /// The form that can be sent again as it is.
    pub(crate) form: Option<RawForm>,
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

/// The fields of a form as they were sent, without its token, and where they were sent to.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawForm {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl RawForm {
    pub(crate) fn value(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.map_or("", |(_, value)| value)
    }

    /// What a person typed, with its label: an error page shows it beside the hidden fields that send it again.
    pub(crate) fn typed(&self) -> Vec<(&'static str, &str)> {
        let labels = [
            ("reason", "Reason"),
            ("text", "Your answer"),
            ("url", "URL"),
        ];
        let typed = labels.map(|(name, label)| (label, self.value(name)));
        typed
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }
}

/// When to try again, in whole seconds, rounded up.
pub(crate) fn retry_seconds(problem: &Problem) -> Option<u64> {
    let after = problem.retry_after?;
    Some(after.as_secs() + u64::from(after.subsec_nanos() > 0))
}

pub(crate) fn set_retry_after(response: &mut Response, problem: &Problem) {
    if let Some(seconds) = retry_seconds(problem) {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
}
