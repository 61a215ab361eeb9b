//! Webhooks: Standard Webhooks, signature version `v1a` (Ed25519). A body is parsed only after its signature and its time
//! have been verified.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use crate::keys::WebhookKey;
use crate::signed_notice::NoticeDocument;

/// Tolerance of the timestamp, in seconds; the value that Standard Webhooks recommends.
const TOLERANCE: u64 = 300;

/// The type of the message that the hotline sends to test an endpoint.
const TEST: &str = "endpoint.test";

/// An authentic webhook. Its notice is still to be verified.
pub enum Webhook {
    Notice(Box<NoticeDocument>),
    /// Asks only whether the endpoint works.
    Test,
}

/// Why a webhook is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRejection {
    #[error("the webhook has no signature")]
    Unsigned,
    #[error("the webhook was signed too long ago")]
    TooOld,
    #[error("the webhook's signature is invalid")]
    Forged,
    #[error("the webhook's body is not a notice")]
    Malformed,
}

impl WebhookRejection {
    /// Stable code, for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unsigned => "webhook_unsigned",
            Self::TooOld => "webhook_too_old",
            Self::Forged => "webhook_forged",
            Self::Malformed => "malformed",
        }
    }
}

#[derive(Deserialize)]
struct WebhookBody {
    #[serde(rename = "type")]
    kind: String,
    data: Value,
}

/// Verifies a webhook and parses its body.
///
/// # Errors
/// The first check that failed.
pub fn verify(
    headers: &HeaderMap,
    body: &[u8],
    key: &WebhookKey,
) -> Result<Webhook, WebhookRejection> {
    authenticate(headers, body, key, crate::now().unix_timestamp())?;
    let malformed = |_| WebhookRejection::Malformed;
    let body: WebhookBody = serde_json::from_slice(body).map_err(malformed)?;
    if body.kind == TEST {
        return Ok(Webhook::Test);
    }
    let notice = serde_json::from_value(body.data).map_err(malformed)?;
    Ok(Webhook::Notice(notice))
}

fn authenticate(
    headers: &HeaderMap,
    body: &[u8],
    key: &WebhookKey,
    now: i64,
) -> Result<(), WebhookRejection> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(timestamp), Some(signatures)) = (
        header("webhook-id"),
        header("webhook-timestamp"),
        header("webhook-signature"),
    ) else {
        return Err(WebhookRejection::Unsigned);
    };
    let sent: i64 = timestamp.parse().map_err(|_| WebhookRejection::Unsigned)?;
    if now.abs_diff(sent) > TOLERANCE {
        return Err(WebhookRejection::TooOld);
    }
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    // The header contains several signatures while the hotline replaces its key.
    let is_valid = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1a,"))
        .filter_map(|signature| STANDARD.decode(signature).ok())
        .any(|signature| key.is_valid(&signed, &signature));
    if is_valid {
        Ok(())
    } else {
        Err(WebhookRejection::Forged)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    #[test]
    fn a_webhook_is_valid_for_its_key_its_body_and_five_minutes() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let whpk = |key: &SigningKey| format!("whpk_{}", STANDARD.encode(key.verifying_key()));
        let ours = WebhookKey::parse(&whpk(&key)).unwrap();
        let other = WebhookKey::parse(&whpk(&SigningKey::from_bytes(&[2; 32]))).unwrap();
        let signature = STANDARD.encode(key.sign(b"msg_1.1000.{}").to_bytes());
        let mut headers = HeaderMap::new();
        assert_eq!(
            authenticate(&headers, b"{}", &ours, 1000),
            Err(WebhookRejection::Unsigned)
        );
        headers.insert("webhook-id", "msg_1".parse().unwrap());
        headers.insert("webhook-timestamp", "1000".parse().unwrap());
        let signatures = format!("v1,bm9uZQ== v1a,{signature}");
        headers.insert("webhook-signature", signatures.parse().unwrap());

        assert_eq!(authenticate(&headers, b"{}", &ours, 1300), Ok(()));
        assert_eq!(
            authenticate(&headers, b"{}", &ours, 1301),
            Err(WebhookRejection::TooOld)
        );
        assert_eq!(
            authenticate(&headers, b"{} ", &ours, 1000),
            Err(WebhookRejection::Forged)
        );
        assert_eq!(
            authenticate(&headers, b"{}", &other, 1000),
            Err(WebhookRejection::Forged)
        );
    }
}
