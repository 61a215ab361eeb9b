//! Error responses: `application/problem+json` (RFC 9457), including the statuses that exist only in HTTP.
//!
//! They contain our own sentences and field names, never a value that the caller sent.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use domain::Invalid;
use http::StatusCode;
use platform::batch::fold::KEY_REUSED;
use platform::error::{Kind, Problem};
use proto::v1;
use utoipa::{IntoResponses, ToSchema};

/// A problem with its HTTP status, and optionally the results of the elements of a list.
#[derive(Debug)]
pub(crate) struct ProblemResponse {
    pub(crate) status: StatusCode,
    pub(crate) problem: Box<Problem>,
    results: Option<serde_json::Value>,
}

impl ProblemResponse {
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

    /// 400, for a request that cannot be parsed.
    pub(crate) fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, code, detail)
    }

    #[must_use]
    pub(crate) fn field(mut self, path: impl Into<String>) -> Self {
        self.problem.field = Some(path.into());
        self
    }

    /// Adds the result of each element of a list.
    #[must_use]
    pub(crate) fn results(mut self, results: serde_json::Value) -> Self {
        self.results = Some(results);
        self
    }
}

impl From<Problem> for ProblemResponse {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.status(),
            problem: Box::new(problem),
            results: None,
        }
    }
}

impl From<tonic::Status> for ProblemResponse {
    fn from(status: tonic::Status) -> Self {
        Problem::from(status).into()
    }
}

impl From<Invalid> for ProblemResponse {
    fn from(invalid: Invalid) -> Self {
        problem_from_invalid(invalid).into()
    }
}

pub(crate) fn problem_from_invalid(invalid: Invalid) -> Problem {
    Problem::new(Kind::Invalid, invalid.code, invalid.detail).field(invalid.field)
}

/// Derives the kind of an element's problem from its code, because `ItemProblem` has no kind. Codes that are
/// not listed mean that the element itself is invalid.
pub(crate) fn problem_from_item(item: &v1::ItemProblem) -> Problem {
    let kind = match item.code.as_str() {
        "not_found" => Kind::NotFound,
        "forbidden" | "scope_required" | "role_required" => Kind::Forbidden,
        "conflict" | KEY_REUSED => Kind::Conflict,
        // `until_past`: the time is well formed and has passed since.
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

impl IntoResponse for ProblemResponse {
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
            // Strings and numbers can always be serialized; if not, the status alone is still correct.
            Err(_) => Response::from_parts(parts, Body::empty()),
        }
    }
}

#[derive(serde::Serialize)]
struct Extended<'a> {
    #[serde(flatten)]
    document: platform::http::ProblemDocument<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<serde_json::Value>,
}

/// An error (RFC 9457). `code` is for programs, `detail` for people.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "describes the document that platform writes")]
pub(crate) struct ProblemDocument {
    /// A stable URN; not a page to fetch.
    #[schema(example = "urn:takedown:problem:field_missing")]
    r#type: String,
    #[schema(example = "Invalid request")]
    title: String,
    #[schema(minimum = 400, maximum = 599, example = 422)]
    status: u16,
    /// What is wrong and what to send instead.
    #[schema(example = "`answer` is required; send a value for it")]
    detail: String,
    /// A stable code, for programs.
    #[schema(example = "field_missing")]
    code: String,
    /// The path of the field at fault.
    #[schema(required = false, nullable = false, example = "answers[3].until")]
    field: Option<String>,
}

/// Errors of every route.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes responses in the OpenAPI document")]
pub(crate) enum CommonProblems {
    /// The request cannot be parsed: a malformed body or header, or an unknown parameter or field.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(#[to_schema] ProblemDocument),
    /// Too many requests; send the request again after the time in `Retry-After`.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(#[to_schema] ProblemDocument),
    /// An error on our side.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(#[to_schema] ProblemDocument),
    /// Temporarily unavailable; the same request may be sent again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] ProblemDocument),
}

/// Errors of routes with a credential.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes responses in the OpenAPI document")]
pub(crate) enum CredentialProblems {
    /// The credential is missing or invalid.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(#[to_schema] ProblemDocument),
    /// The credential lacks the required scope.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] ProblemDocument),
}

/// Errors of routes with a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes responses in the OpenAPI document")]
pub(crate) enum BodyProblems {
    /// The request conflicts with an earlier one, for example an idempotency key with a different body.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] ProblemDocument),
    /// The body is larger than 1 MiB.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] ProblemDocument),
    /// The media type is not supported.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(#[to_schema] ProblemDocument),
}

/// Errors of routes that validate values.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes responses in the OpenAPI document")]
pub(crate) enum ValidationProblems {
    /// A value is invalid; `field` names it.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(#[to_schema] ProblemDocument),
}

/// Errors of routes with an id in the path.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes responses in the OpenAPI document")]
pub(crate) enum NotFoundProblems {
    /// It does not exist, or it belongs to another caller; the two are not distinguished.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] ProblemDocument),
}
