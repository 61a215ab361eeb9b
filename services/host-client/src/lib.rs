//! The reference client for a provider's engineers: receives notices by pull API, webhook or mail, verifies each with the
//! hotline's published keys, and answers only on command.
//!
//! It depends on no crate of the hotline's software, so that it verifies what the hotline sends by the published formats
//! alone. `docs/PROVIDER_API.md` and `docs/PROVIDER_MAIL.md` describe these.

pub mod answer;
pub mod gateway_client;
mod keys;
pub mod notice_mail;
mod notice_verifier;
pub mod signed_notice;
pub mod watch;
pub mod webhook;

pub use keys::{HotlineKeys, KeyError, WebhookKey};
pub use notice_verifier::NoticeVerifier;

/// The current time, for the expiry of a notice and the age of a webhook.
#[expect(
    clippy::disallowed_methods,
    reason = "the only place of this client that reads the clock; it cannot use the hotline's crates"
)]
fn now() -> time::OffsetDateTime {
    time::OffsetDateTime::now_utc()
}
