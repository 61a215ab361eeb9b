//! Simulator: synthetic hosts with their pages, mailboxes and webhooks. They receive notices with the reference client
//! (`host_client`).
//!
//! Everything here is outside the hotline and knows it only by what a host can see: its REST API, its webhooks and its
//! mail. It must not call into a service. No simulated host exists: names are reserved (RFC 2606), addresses are
//! documentation networks (RFC 5737, RFC 3849) or loopback.

pub mod behaviour;
pub mod expected_figures;
mod expected_outcome;
pub mod generator;
pub mod hosts;
mod http;
pub mod log;
pub mod network_fault;
mod outbox;
pub mod pages;
mod poll;
pub mod scenario;
pub mod serve;
pub mod simulated_host;
mod smtp;
mod test_ca;
mod verdict;
mod webhook;
