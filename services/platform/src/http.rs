//! A problem as an HTTP answer: `application/problem+json` (RFC 9457).
//!
//! Says what the problem says and nothing more; the status follows from its kind alone.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use crate::error::{Kind, Problem, seconds};

/// The document, for whoever describes it in an API.
#[derive(Debug, serde::Serialize)]
pub struct Document<'a> {
    /// A stable name, not a page to fetch.
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

    pub fn document(&self) -> Document<'_> {
        Document {
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
        Kind::Invalid => "The request is not right",
        Kind::NotFound => "Not found",
        Kind::Unauthenticated => "A credential is needed",
        Kind::Forbidden => "Not allowed",
        Kind::Conflict => "It collides with what is recorded",
        Kind::FailedPrecondition => "Not possible in this state",
        Kind::Exhausted => "Too much at once",
        Kind::Unavailable => "Not available at the moment",
        Kind::Internal => "An error on our side",
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
