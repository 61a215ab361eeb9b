//! Webhooks as a host receives them: Standard Webhooks, signature version `v1a` (Ed25519). A body is parsed only after
//! its signature and its time have been verified.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use platform::clock::wall;
use serde::Deserialize;

use super::network_fault::NetworkFault;
use super::scenario::Behaviour;
use super::signed_notice::{NoticeDocument, NoticeRejection};
use super::simulated_host::{DeliveredBy, SimulatedHost};

/// Tolerance of the timestamp, in seconds; the value that Standard Webhooks recommends.
const TOLERANCE: i64 = 300;

#[derive(Deserialize)]
struct WebhookBody {
    data: NoticeDocument,
}

/// Handles a webhook. `None` means that the connection is closed without a response.
pub async fn receive(
    host: &Arc<SimulatedHost>,
    headers: &HeaderMap,
    body: Bytes,
) -> Option<StatusCode> {
    if host.behaviour() == Behaviour::Bounces {
        return Some(StatusCode::GONE);
    }
    if host.is_down() {
        return Some(StatusCode::SERVICE_UNAVAILABLE);
    }
    if let Err(reason) = authenticate(host, headers, &body) {
        host.log().record_refusal(reason);
        return Some(StatusCode::UNAUTHORIZED);
    }
    let Ok(body) = serde_json::from_slice::<WebhookBody>(&body) else {
        host.log().record_refusal(NoticeRejection::Malformed.code());
        return Some(StatusCode::BAD_REQUEST);
    };
    let Ok(fault) = host.receive(&body.data, DeliveredBy::Webhook).await else {
        return Some(StatusCode::UNPROCESSABLE_ENTITY);
    };
    match fault.after_delay().await {
        NetworkFault::Refused | NetworkFault::RefusedLate => Some(StatusCode::SERVICE_UNAVAILABLE),
        NetworkFault::ReplyLost | NetworkFault::ReplyLostLate => None,
        NetworkFault::None => Some(StatusCode::NO_CONTENT),
    }
}

fn authenticate(
    host: &SimulatedHost,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), &'static str> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(timestamp), Some(signatures)) = (
        header("webhook-id"),
        header("webhook-timestamp"),
        header("webhook-signature"),
    ) else {
        return Err("webhook_unsigned");
    };
    let sent: i64 = timestamp.parse().map_err(|_| "webhook_unsigned")?;
    if wall().unix_timestamp().abs_diff(sent) > TOLERANCE.unsigned_abs() {
        return Err("webhook_too_old");
    }
    let mut signed_content = format!("{id}.{timestamp}.").into_bytes();
    signed_content.extend_from_slice(body);
    // The header contains several signatures during a key rotation.
    let is_valid = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1a,"))
        .filter_map(|signature| STANDARD.decode(signature).ok())
        .any(|signature| host.is_from_hotline(&signed_content, &signature));
    if is_valid {
        Ok(())
    } else {
        Err("webhook_forged")
    }
}
