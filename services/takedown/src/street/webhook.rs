//! Webhooks as a host receives them: Standard Webhooks, `v1a` (Ed25519). Nothing is read from a body whose signature
//! does not hold or whose time is off.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use platform::clock::wall;
use serde::Deserialize;

use super::files::Behaviour;
use super::mishap::Mishap;
use super::player::{Came, Player};
use super::signed::{Doubt, Shown};

/// How far the sender's clock may be off, in seconds; the standard's own figure.
const TOLERANCE: i64 = 300;

#[derive(Deserialize)]
struct Pushed {
    data: Shown,
}

/// What the host's server does with a webhook: an answer, or none where the connection is lost.
pub async fn take(player: &Arc<Player>, headers: &HeaderMap, body: Bytes) -> Option<StatusCode> {
    if player.behaviour() == Behaviour::Bounces {
        return Some(StatusCode::GONE);
    }
    if player.is_down() {
        return Some(StatusCode::SERVICE_UNAVAILABLE);
    }
    if let Err(reason) = authenticate(player, headers, &body) {
        player.log().refuse(reason);
        return Some(StatusCode::UNAUTHORIZED);
    }
    let Ok(pushed) = serde_json::from_slice::<Pushed>(&body) else {
        player.log().refuse(Doubt::Malformed.code());
        return Some(StatusCode::BAD_REQUEST);
    };
    let Ok(mishap) = player.hear(&pushed.data, Came::Pushed).await else {
        return Some(StatusCode::UNPROCESSABLE_ENTITY);
    };
    match mishap.come().await {
        Mishap::NotNow | Mishap::NotNowLate => Some(StatusCode::SERVICE_UNAVAILABLE),
        Mishap::ReplyLost | Mishap::ReplyLostLate => None,
        Mishap::None => Some(StatusCode::NO_CONTENT),
    }
}

fn authenticate(player: &Player, headers: &HeaderMap, body: &[u8]) -> Result<(), &'static str> {
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
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    // Several signatures stand beside each other while a key changes.
    let holds = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1a,"))
        .filter_map(|signature| STANDARD.decode(signature).ok())
        .any(|signature| player.is_from_hotline(&signed, &signature));
    if holds { Ok(()) } else { Err("webhook_forged") }
}
