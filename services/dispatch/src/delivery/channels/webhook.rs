//! Webhooks according to the Standard Webhooks specification: signed with Ed25519 (`v1a`), and with each
//! shared secret of the endpoint (`v1`), if it has any.
//!
//! The message id is derived from notice and sequence, so that a receiver recognises a message that is sent
//! twice. All requests go through the connector; a redirect is a failure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::id::NoticeId;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use platform::connector::{Connector, ConnectorError, ReadBody, Request, Response};
use platform::sealed::{Signer, UnsealedValue};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;
use uuid::Uuid;

use super::{DeliveryOutcome, Failure};
use crate::cases::{Message, NoticeContent};
use crate::delivery::document::{SignedNotice, notice_json, rfc3339};

/// Up to this many bytes of a response body are drained so that the connection can be reused.
const MAX_RESPONSE: usize = 16 * 1024;

/// The endpoint's URL and its shared secrets, the present one first.
pub struct WebhookTarget {
    pub address: UnsealedValue,
    pub secrets: Vec<standardwebhooks::Webhook>,
}

/// Outcome of one attempt, with the HTTP status if there was a response.
#[derive(Debug, Clone, Copy)]
pub struct WebhookAttempt {
    pub outcome: DeliveryOutcome,
    pub status: Option<StatusCode>,
}

impl From<DeliveryOutcome> for WebhookAttempt {
    fn from(outcome: DeliveryOutcome) -> Self {
        Self {
            outcome,
            status: None,
        }
    }
}

/// Sends webhooks. Cheap to clone.
#[derive(Clone)]
pub struct WebhookSender {
    connector: Connector,
    signer: Signer,
    timeout: Duration,
}

impl WebhookSender {
    /// `signer` is the notices' signer, so that receivers need only one public key.
    pub fn new(connector: Connector, signer: Signer, timeout: Duration) -> Self {
        Self {
            connector,
            signer,
            timeout,
        }
    }

    /// Makes one attempt to deliver a notice.
    pub async fn send(
        &self,
        target: &WebhookTarget,
        content: &NoticeContent,
        signed: &SignedNotice,
    ) -> WebhookAttempt {
        let id = message_id(content.notice_id, content.sequence);
        let event_type = event_type(content.message);
        let data = notice_json(content, signed);
        self.post(target, &id, event_type, signed.issued_at, &data)
            .await
    }

    /// Makes one attempt with a test message instead of a notice.
    pub async fn send_test(
        &self,
        target: &WebhookTarget,
        id: &str,
        endpoint_id: Uuid,
        now: OffsetDateTime,
    ) -> WebhookAttempt {
        let data = json!({ "endpoint_id": endpoint_id });
        self.post(target, id, "endpoint.test", now, &data).await
    }

    async fn post(
        &self,
        target: &WebhookTarget,
        id: &str,
        event_type: &str,
        now: OffsetDateTime,
        data: &Value,
    ) -> WebhookAttempt {
        let url = target.address.text().ok();
        let Some(url) = url.and_then(|text| text.parse::<Url>().ok()) else {
            return DeliveryOutcome::Unreachable("gone").into();
        };
        let body =
            json!({ "type": event_type, "timestamp": rfc3339(now), "data": data }).to_string();
        let Some(headers) = self.headers(target, id, now, &body) else {
            return DeliveryOutcome::Failed(Failure::not_endpoint("unsendable")).into();
        };
        let body = Bytes::from(body);
        let mut request = Request::post(url, headers, body, MAX_RESPONSE);
        // The status decides: a body that is too long or never ends does not change the outcome.
        request.read = ReadBody::Drain(MAX_RESPONSE);
        request.timeout = Some(self.timeout);
        match self.connector.send(request).await {
            Ok(response) => WebhookAttempt {
                outcome: classify_response(&response, now),
                status: Some(response.status),
            },
            Err(error) => DeliveryOutcome::Failed(connection_failure(error)).into(),
        }
    }

    /// The signatures cover exactly the bytes of `body` (Standard Webhooks, "Signature scheme").
    fn headers(
        &self,
        target: &WebhookTarget,
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

/// The same for every attempt to deliver this message.
pub fn message_id(notice: NoticeId, sequence: i32) -> String {
    format!("msg_{notice}_{sequence}")
}

const fn event_type(message: Message) -> &'static str {
    match message {
        Message::Notice => "notice.created",
        Message::Reminder => "notice.reminder",
        Message::Information => "notice.information",
        Message::Upheld => "notice.upheld",
        Message::Retraction => "notice.retracted",
    }
}

fn classify_response(response: &Response, now: OffsetDateTime) -> DeliveryOutcome {
    let code = match response.status {
        status if status.is_success() => return DeliveryOutcome::Delivered,
        StatusCode::GONE => return DeliveryOutcome::Unreachable("gone"),
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        status if status.is_redirection() => "redirected",
        status if status.is_client_error() => "http_4xx",
        _ => "http_5xx",
    };
    DeliveryOutcome::Failed(Failure {
        retry_after: response
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?, now)),
        ..Failure::endpoint_fault(code, true)
    })
}

fn connection_failure(error: ConnectorError) -> Failure {
    Failure::endpoint_fault(error.code(), error.outcome_unknown())
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
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

    fn classify(status: u16, retry: Option<&'static str>) -> DeliveryOutcome {
        let mut headers = HeaderMap::new();
        if let Some(retry) = retry {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(retry));
        }
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::new(),
        };
        classify_response(&response, NOW)
    }

    #[test]
    fn a_status_has_the_meaning_that_the_specification_gives_it() {
        for status in [200, 202, 204] {
            assert_eq!(classify(status, None), DeliveryOutcome::Delivered);
        }
        assert_eq!(classify(410, None), DeliveryOutcome::Unreachable("gone"));
        for (status, code) in [
            (301, "redirected"),
            (308, "redirected"),
            (404, "http_4xx"),
            (500, "http_5xx"),
        ] {
            let DeliveryOutcome::Failed(failure) = classify(status, None) else {
                panic!("{status}")
            };
            assert_eq!(failure.code, code);
            assert!(failure.endpoint_fault && failure.in_doubt);
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let delay = |retry| match classify(503, Some(retry)) {
            DeliveryOutcome::Failed(failure) => failure.retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(delay("120"), Some(Duration::from_mins(2)));
        assert_eq!(
            delay("Sat, 01 Mar 2025 12:01:00 GMT"),
            Some(Duration::from_mins(1))
        );
        assert_eq!(delay("Sat, 01 Mar 2025 11:00:00 GMT"), None, "in the past");
        assert_eq!(delay("soon"), None);
    }
}
