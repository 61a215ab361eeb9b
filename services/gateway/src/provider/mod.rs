//! The API for hosting providers: notices, answers and settings. Dispatch decides which notices a key may
//! see; the gateway only forwards the key.

pub(crate) mod answers;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod keys;
mod notice_json;
pub(crate) mod notices;
pub(crate) mod preferences;
pub(crate) mod verify;
pub(crate) mod webhooks;

pub(crate) use notice_json::state;
