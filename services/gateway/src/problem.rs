//! What a refusal looks like: `application/problem+json` (RFC 9457), with the statuses that only HTTP knows.
//!
//! Carries sentences of ours and names of fields; never what the caller sent as a value.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use domain::Invalid;
use http::StatusCode;
use platform::batch::fold::KEY_REUSED;
use platform::error::{Kind, Problem};
use proto::v1;
use utoipa::{IntoResponses, ToSchema};

/// A problem with its status, and what else is said beside it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) problem: Box<Problem>,
    results: Option<serde_json::Value>,
}

impl Refused {
    pub(crate) fn with_status(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            problem: Box::new(Problem::new(Kind::Invalid, code, detail)),
            results: None,
        }
    }

    /// A request that could not even be read.
    pub(crate) fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, code, detail)
    }

    #[must_use]
    pub(crate) fn field(mut self, path: impl Into<String>) -> Self {
        self.problem.field = Some(path.into());
        self
    }

    /// The same refusal, with what became of each item.
    #[must_use]
    pub(crate) fn results(mut self, results: serde_json::Value) -> Self {
        self.results = Some(results);
        self
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.status(),
            problem: Box::new(problem),
            results: None,
        }
    }
}

impl From<tonic::Status> for Refused {
    fn from(status: tonic::Status) -> Self {
        Problem::from(status).into()
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        of_invalid(invalid).into()
    }
}

pub(crate) fn of_invalid(invalid: Invalid) -> Problem {
    Problem::new(Kind::Invalid, invalid.code, invalid.detail).field(invalid.field)
}

/// An item's problem has no kind on the wire; its code tells the few that are not the item's own fault.
pub(crate) fn of_item(item: &v1::ItemProblem) -> Problem {
    let kind = match item.code.as_str() {
        "not_found" => Kind::NotFound,
        "forbidden" | "scope_required" | "role_required" => Kind::Forbidden,
        "conflict" | KEY_REUSED => Kind::Conflict,
        // The clock has passed what was asked for: nothing is wrong with how it is written.
        "failed_precondition" | "until_past" => Kind::FailedPrecondition,
        "exhausted" | "quota_exceeded" | "database_exhausted" => Kind::Exhausted,
        "unavailable" | "database_unavailable" => Kind::Unavailable,
        "internal" | "database" => Kind::Internal,
        _ => Kind::Invalid,
    };
    let problem = Problem::new(kind, item.code.clone(), item.detail.clone());
    if item.field.is_empty() {
        problem
    } else {
        problem.field(item.field.clone())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (mut parts, _) = Problem::clone(&self.problem).into_response().into_parts();
        parts.status = self.status;
        let mut document = self.problem.document();
        document.status = self.status.as_u16();
        let extended = Extended {
            document,
            results: self.results,
        };
        match serde_json::to_vec(&extended) {
            Ok(body) => Response::from_parts(parts, Body::from(body)),
            // Text and numbers always become JSON; the status alone would still be right.
            Err(_) => Response::from_parts(parts, Body::empty()),
        }
    }
}

#[derive(serde::Serialize)]
struct Extended<'a> {
    #[serde(flatten)]
    document: platform::http::Document<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<serde_json::Value>,
}

/// A refusal (RFC 9457). Programs go by `code`; people read `detail`.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "describes the document that platform writes")]
pub(crate) struct ProblemDocument {
    /// A stable name, not a page to fetch.
    #[schema(example = "urn:takedown:problem:field_missing")]
    r#type: String,
    #[schema(example = "The request is not right")]
    title: String,
    #[schema(minimum = 400, maximum = 599, example = 422)]
    status: u16,
    /// A sentence that says what to send instead.
    #[schema(example = "`answer` is required; send a value for it")]
    detail: String,
    /// Stable, for programs.
    #[schema(example = "field_missing")]
    code: String,
    /// Where it was, as a path.
    #[schema(required = false, nullable = false, example = "answers[3].until")]
    field: Option<String>,
}

/// What any route may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(crate) enum Always {
    /// The request cannot be read: a malformed body, header, or an unknown parameter or field.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(#[to_schema] ProblemDocument),
    /// Too many requests; `Retry-After` says when to come again.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(#[to_schema] ProblemDocument),
    /// An error on our side.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(#[to_schema] ProblemDocument),
    /// Not available at the moment; the same request may be sent again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] ProblemDocument),
}

/// What a route with a credential may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(crate) enum WithKey {
    /// No credential, or one that does not hold.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(#[to_schema] ProblemDocument),
    /// The credential lacks this right.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] ProblemDocument),
}

/// What a route with a body may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(crate) enum WithBody {
    /// It collides with what is recorded, such as an idempotency key with another body.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] ProblemDocument),
    /// The body is larger than 1 MiB.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] ProblemDocument),
    /// The body is of another media type.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(#[to_schema] ProblemDocument),
}

/// What a route with values to judge may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(crate) enum WithValues {
    /// A value is not right; `field` says which.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(#[to_schema] ProblemDocument),
}

/// What a route that names one thing may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes answers in the OpenAPI document")]
pub(crate) enum WithName {
    /// There is no such thing, or it is not the caller's: both look the same.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] ProblemDocument),
}
