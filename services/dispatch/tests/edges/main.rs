//! Deliveries by webhook and mail, and checks, against real servers on loopback and a real Postgres.

mod checks;
mod delivery;
mod endpoint_slots;
mod host;
mod mail;
mod relay;
mod simulated_hosts;
#[allow(
    dead_code,
    reason = "the fixture of the core tests; each test program uses a part of it"
)]
#[path = "../core/support.rs"]
mod support;
mod webhook;
