//! What a browser sends: the parameters of an address, and forms of signed-in staff. A form that is refused is shown again
//! in its page, with what was typed and the reason.

use std::fmt;

use askama::filters::HtmlSafe;
use axum::Form;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::response::{Html, IntoResponse, Response};
use http::request::Parts;
use platform::error::{Kind, Problem};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::edge::Edge;
use crate::error_text;
use crate::page_error::{PageError, RawForm, set_retry_after};
use crate::session::{Session, SignedIn};

/// The hidden field that proves that a form is from one of our pages.
const FORM_TOKEN: &str = "form_token";

/// The parameters of an address, after its question mark.
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Edge> for QueryParams<T> {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, PageError> {
        match Query::<T>::from_request_parts(parts, edge).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(_) => Err(PageError::new(Kind::Invalid, "query_malformed")),
        }
    }
}

/// A form without fields of its own.
#[derive(Deserialize)]
pub(crate) struct EmptyForm {}

/// A form that a member of staff sent from one of our pages.
pub(crate) struct SubmittedForm<T> {
    pub(crate) signed_in: SignedIn,
    pub(crate) fields: T,
    /// As it was sent, to show it again.
    pub(crate) raw: RawForm,
}

impl<T: DeserializeOwned> FromRequest<Edge> for SubmittedForm<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let session = Session::from_request_parts(&mut parts, edge).await?;
        let body = Bytes::from_request(Request::from_parts(parts.clone(), body), edge)
            .await
            .map_err(|_| incomplete())?;
        let mut fields: Vec<(String, String)> = decode(&parts, &body, edge).await?;
        let is_ours = fields
            .iter()
            .any(|(name, value)| name == FORM_TOKEN && session.accepts_form_token(value));
        fields.retain(|(name, _)| name != FORM_TOKEN);
        let raw = RawForm {
            action: parts.uri.path().to_owned(),
            fields,
        };
        // A session that has ended leads to the sign-in page, whatever token the form has.
        let signed_in = match SignedIn::from_session(session, edge).await {
            Ok(signed_in) if is_ours => signed_in,
            Ok(_) => return Err(PageError::new(Kind::Forbidden, "form_token")),
            // Only a form with a valid token may be offered to be sent again.
            Err(error) if is_ours => return Err(error.with_form(raw)),
            Err(error) => return Err(error),
        };
        let fields = decode(&parts, &body, edge).await?;
        Ok(Self {
            signed_in,
            fields,
            raw,
        })
    }
}

async fn decode<T: DeserializeOwned>(
    parts: &Parts,
    body: &Bytes,
    edge: &Edge,
) -> Result<T, PageError> {
    let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
    let Form(fields) = Form::<T>::from_request(request, edge)
        .await
        .map_err(|_| incomplete())?;
    Ok(fields)
}

pub(crate) fn incomplete() -> PageError {
    PageError::new(Kind::Invalid, "form_incomplete")
}

/// A form that was refused, to be shown again in its page.
#[derive(Debug, Clone)]
pub(crate) struct RefusedForm {
    /// The form's name within its page.
    name: String,
    raw: RawForm,
    problem: Problem,
}

impl RefusedForm {
    /// # Errors
    ///
    /// The session has ended: nothing is shown but the sign-in page.
    pub(crate) fn new(
        name: impl Into<String>,
        raw: RawForm,
        error: PageError,
    ) -> Result<Self, PageError> {
        match error {
            PageError::SignIn => Err(PageError::SignIn),
            PageError::Problem(page) => Ok(Self {
                name: name.into(),
                raw,
                problem: page.problem,
            }),
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        error_text::title(&self.problem)
    }

    pub(crate) fn sentence(&self) -> String {
        error_text::sentence(&self.problem)
    }

    /// The form can be sent again as it is: a service did not respond.
    pub(crate) fn retry(&self) -> Option<&RawForm> {
        (self.problem.kind == Kind::Unavailable).then_some(&self.raw)
    }

    pub(crate) fn offers_next_case(&self) -> bool {
        error_text::offers_next_case(&self.problem)
    }

    /// The page of the form with the refusal in it, under the status of the refusal. Where that page cannot be shown, an
    /// error page keeps the form.
    ///
    /// # Errors
    ///
    /// The page cannot be shown, or the session has ended.
    pub(crate) fn into_response(
        self,
        page: Result<Html<String>, PageError>,
    ) -> Result<Response, PageError> {
        match page {
            Ok(page) => {
                let mut response = (self.problem.status(), page).into_response();
                set_retry_after(&mut response, &self.problem);
                Ok(response)
            }
            Err(PageError::SignIn) => Err(PageError::SignIn),
            Err(PageError::Problem(_)) => {
                let error = PageError::from(self.problem.clone());
                Err(match self.retry() {
                    Some(raw) => error.with_form(raw.clone()),
                    None => error,
                })
            }
        }
    }

    /// The value that was sent in a field of this form; empty for other forms.
    pub(crate) fn value(&self, form: &str, field: &str) -> &str {
        if self.name == form {
            self.raw.value(field)
        } else {
            ""
        }
    }

    pub(crate) fn is_for(&self, form: &str) -> bool {
        self.name == form
    }

    fn is_about(&self, form: &str, field: &str) -> bool {
        self.name == form && self.problem.field.as_deref() == Some(field)
    }
}

/// The message at a field, and the attributes that tie the field to it. Empty where the field was not refused.
pub(crate) struct FieldError<'a> {
    refused: Option<&'a RefusedForm>,
    id: String,
}

impl<'a> FieldError<'a> {
    pub(crate) fn new(refused: Option<&'a RefusedForm>, form: &str, field: &str) -> Self {
        Self {
            refused: refused.filter(|refused| refused.is_about(form, field)),
            id: format!("{form}-{field}-error"),
        }
    }

    pub(crate) fn attributes(&self) -> FieldErrorAttributes<'_> {
        FieldErrorAttributes(self)
    }
}

impl fmt::Display for FieldError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(refused) = self.refused else {
            return Ok(());
        };
        let (id, sentence) = (&self.id, refused.sentence());
        // Sentences are ours and contain nothing that HTML would interpret.
        write!(
            f,
            "<p class=\"field-error\" id=\"{id}\"><span aria-hidden=\"true\">! </span>{sentence}</p>"
        )
    }
}

impl HtmlSafe for FieldError<'_> {}

pub(crate) struct FieldErrorAttributes<'a>(&'a FieldError<'a>);

impl fmt::Display for FieldErrorAttributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.refused {
            Some(_) => write!(
                f,
                "aria-invalid=\"true\" aria-describedby=\"{}\"",
                self.0.id
            ),
            None => Ok(()),
        }
    }
}

impl HtmlSafe for FieldErrorAttributes<'_> {}
