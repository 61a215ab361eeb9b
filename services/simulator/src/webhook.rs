//! Webhooks as a simulated host receives them: the reference client verifies them, and the host acts by its behaviour.

use std::sync::Arc;

use bytes::Bytes;
use host_client::webhook::{Webhook, WebhookRejection};
use http::{HeaderMap, StatusCode};

use super::network_fault::NetworkFault;
use super::scenario::Behaviour;
use super::simulated_host::{DeliveredBy, SimulatedHost};

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
    let notice = match host.verify_webhook(headers, &body) {
        Ok(Webhook::Notice(notice)) => notice,
        Ok(Webhook::Test) => return Some(StatusCode::NO_CONTENT),
        Err(rejection) => {
            host.log().record_refusal(rejection.code());
            return Some(match rejection {
                WebhookRejection::Malformed => StatusCode::BAD_REQUEST,
                _ => StatusCode::UNAUTHORIZED,
            });
        }
    };
    let Ok(fault) = host.receive(&notice, DeliveredBy::Webhook).await else {
        return Some(StatusCode::UNPROCESSABLE_ENTITY);
    };
    match fault.after_delay().await {
        NetworkFault::Refused | NetworkFault::RefusedLate => Some(StatusCode::SERVICE_UNAVAILABLE),
        NetworkFault::ReplyLost | NetworkFault::ReplyLostLate => None,
        NetworkFault::None => Some(StatusCode::NO_CONTENT),
    }
}
