//! For hosting providers: the notices that were sent to them, their answers and their settings. Whose a notice is, is
//! for dispatch to know; the gateway only carries the key.

pub(crate) mod answers;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod notices;
pub(crate) mod preferences;
pub(crate) mod verify;
mod view;
pub(crate) mod webhooks;

pub(crate) use view::state;
