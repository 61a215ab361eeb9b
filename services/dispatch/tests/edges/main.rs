//! The edges of dispatch: couriers, webhooks, mails and looks, against real servers on loopback and a real Postgres.

mod delivery;
mod host;
mod lanes;
mod mail;
mod probe;
mod relay;
mod street;
#[allow(
    dead_code,
    reason = "the bench of the core's tests; each program uses its own part"
)]
#[path = "../core/support.rs"]
mod support;
mod webhook;
