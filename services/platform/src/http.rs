//! A problem as an HTTP response: `application/problem+json` (RFC 9457).
//!
//! The response contains the problem and nothing more; the status follows from its kind alone.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use crate::error::{Kind, Problem, seconds};

/// The problem document (RFC 9457, section 3), also for API descriptions.
#[derive(Debug, serde::Serialize)]
pub struct ProblemDocument<'a> {
    /// A stable name, not a URL to fetch.
    pub r#type: String,
    pub title: &'static str,
    pub status: u16,
    pub detail: &'a str,
    pub code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'a str>,
}

impl Problem {
    pub fn status(&self) -> StatusCode {
        match self.kind {
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::Conflict | Kind::FailedPrecondition => StatusCode::CONFLICT,
            Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub fn document(&self) -> ProblemDocument<'_> {
        ProblemDocument {
            r#type: format!("urn:takedown:problem:{}", self.code),
            title: title(self.kind),
            status: self.status().as_u16(),
            detail: &self.detail,
            code: &self.code,
            field: self.field.as_deref(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), axum::Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds(after).into());
        }
        if self.kind == Kind::Unauthenticated {
            headers.insert(
                http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer"),
            );
        }
        response
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "Invalid request",
        Kind::NotFound => "Not found",
        Kind::Unauthenticated => "Authentication required",
        Kind::Forbidden => "Not allowed",
        Kind::Conflict => "Conflict",
        Kind::FailedPrecondition => "Not possible in this state",
        Kind::Exhausted => "Too many requests",
        Kind::Unavailable => "Temporarily unavailable",
        Kind::Internal => "Internal error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_problem_becomes_a_problem_document() {
        let response = Problem::new(Kind::Exhausted, "quota", "Wait for tomorrow's quota.")
            .field("items")
            .retry_after(Duration::from_mins(1))
            .into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[RETRY_AFTER], "60");
        let body = axum::body::to_bytes(response.into_body(), 4096)
            .await
            .unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["code"], "quota");
        assert_eq!(json["status"], 429);
        assert_eq!(json["field"], "items");
    }
}
