//! Webhooks as the Standard Webhooks specification has them: signed with Ed25519 (`v1a`), and with each shared secret of
//! the endpoint (`v1`) where it has one.
//!
//! The message id is that of the notice and its sequence, so that whoever is sent it twice sees one. Everything goes
//! through the connector; a redirect is a failure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::id::NoticeId;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use platform::connector::{Connector, ConnectorError, ReadBody, Request, Response};
use platform::sealed::{Opened, Signer};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;
use uuid::Uuid;

use super::{Failure, Outcome};
use crate::document::{Signed, rfc3339, view};
use crate::lifecycle::Message;
use crate::store::Content;

/// What follows an answer is read to its end up to here, so that the connection can be used again.
const ANSWER: usize = 16 * 1024;

/// Where a message goes, and the secrets that its receiver may check it with, the present one first.
pub struct Target {
    pub address: Opened,
    pub secrets: Vec<standardwebhooks::Webhook>,
}

/// What one attempt came to, with the status of the answer where there was one.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub outcome: Outcome,
    pub status: Option<StatusCode>,
}

impl From<Outcome> for Answered {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            status: None,
        }
    }
}

/// Sends webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Webhook {
    connector: Connector,
    signer: Signer,
    timeout: Duration,
}

impl Webhook {
    /// `signer` is that of notices: one key to know for whoever receives them.
    pub fn new(connector: Connector, signer: Signer, timeout: Duration) -> Self {
        Self {
            connector,
            signer,
            timeout,
        }
    }

    /// Makes one attempt to hand a notice over.
    pub async fn send(&self, target: &Target, content: &Content, signed: &Signed) -> Answered {
        let id = message_id(content.notice_id, content.sequence);
        let kind = kind(content.message);
        let data = view(content, signed);
        self.post(target, &id, kind, signed.issued_at, &data).await
    }

    /// Makes one attempt with a message that is no notice.
    pub async fn test(
        &self,
        target: &Target,
        id: &str,
        endpoint_id: Uuid,
        now: OffsetDateTime,
    ) -> Answered {
        let data = json!({ "endpoint_id": endpoint_id });
        self.post(target, id, "endpoint.test", now, &data).await
    }

    async fn post(
        &self,
        target: &Target,
        id: &str,
        kind: &str,
        now: OffsetDateTime,
        data: &Value,
    ) -> Answered {
        let url = target.address.text().ok();
        let Some(url) = url.and_then(|text| text.parse::<Url>().ok()) else {
            return Outcome::Unreachable("gone").into();
        };
        let body = json!({ "type": kind, "timestamp": rfc3339(now), "data": data }).to_string();
        let Some(headers) = self.headers(target, id, now, &body) else {
            return Outcome::Failed(Failure::ours("unsendable")).into();
        };
        let body = Bytes::from(body);
        let mut request = Request::post(url, headers, body, ANSWER);
        // The status line is the answer: whoever goes on with too much, or never ends, has answered.
        request.read = ReadBody::Drain(ANSWER);
        request.within = Some(self.timeout);
        match self.connector.send(request).await {
            Ok(response) => Answered {
                outcome: judge(&response, now),
                status: Some(response.status),
            },
            Err(error) => Outcome::Failed(failure(error)).into(),
        }
    }

    /// The signatures are over exactly these bytes.
    fn headers(
        &self,
        target: &Target,
        id: &str,
        now: OffsetDateTime,
        body: &str,
    ) -> Option<HeaderMap> {
        let timestamp = now.unix_timestamp();
        let content = format!("{id}.{timestamp}.{body}");
        let signature = self.signer.sign_raw(content.as_bytes()).ok()?;
        let mut signatures = format!("v1a,{}", STANDARD.encode(signature));
        for secret in &target.secrets {
            signatures.push(' ');
            signatures.push_str(&secret.sign(id, timestamp, body.as_bytes()).ok()?);
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signatures),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().ok()?);
        }
        Some(headers)
    }
}

/// The same for every attempt to hand this message over.
pub fn message_id(notice: NoticeId, sequence: i32) -> String {
    format!("msg_{notice}_{sequence}")
}

const fn kind(message: Message) -> &'static str {
    match message {
        Message::Notice => "notice.created",
        Message::Reminder => "notice.reminder",
        Message::Information => "notice.information",
        Message::Upheld => "notice.upheld",
        Message::Retraction => "notice.retracted",
    }
}

fn judge(response: &Response, now: OffsetDateTime) -> Outcome {
    let code = match response.status {
        status if status.is_success() => return Outcome::Delivered,
        StatusCode::GONE => return Outcome::Unreachable("gone"),
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        status if status.is_redirection() => "redirected",
        status if status.is_client_error() => "http_4xx",
        _ => "http_5xx",
    };
    Outcome::Failed(Failure {
        retry_after: response
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?, now)),
        ..Failure::of_endpoint(code, true)
    })
}

fn failure(error: ConnectorError) -> Failure {
    Failure::of_endpoint(error.code(), error.outcome_unknown())
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
    Duration::try_from(at - now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2025-03-01 12:00 UTC);

    fn judged(status: u16, retry: Option<&'static str>) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(retry) = retry {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(retry));
        }
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::new(),
        };
        judge(&response, NOW)
    }

    #[test]
    fn an_answer_means_what_the_specification_says() {
        for status in [200, 202, 204] {
            assert_eq!(judged(status, None), Outcome::Delivered);
        }
        assert_eq!(judged(410, None), Outcome::Unreachable("gone"));
        for (status, code) in [
            (301, "redirected"),
            (308, "redirected"),
            (404, "http_4xx"),
            (500, "http_5xx"),
        ] {
            let Outcome::Failed(failure) = judged(status, None) else {
                panic!("{status}")
            };
            assert_eq!(failure.code, code);
            assert!(failure.endpoint && failure.in_doubt);
        }
    }

    #[test]
    fn quiet_is_asked_for_in_seconds_or_by_date() {
        let asked = |retry| match judged(503, Some(retry)) {
            Outcome::Failed(failure) => failure.retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(asked("120"), Some(Duration::from_mins(2)));
        assert_eq!(
            asked("Sat, 01 Mar 2025 12:01:00 GMT"),
            Some(Duration::from_mins(1))
        );
        assert_eq!(asked("Sat, 01 Mar 2025 11:00:00 GMT"), None, "in the past");
        assert_eq!(asked("soon"), None);
    }
}
