//! The simulator: synthetic hosts with their pages, mailboxes and webhooks, reporters and analysts, and a runner of one process
//! per role. Behind the feature `demo` of the program; nothing here is in a production build.
//!
//! Hosts are outside the hotline and know it only by what a host can see: its REST API, its webhooks and its mail, which they
//! receive with the reference client (`host_client`). No simulated host exists: names are reserved (RFC 2606), addresses are
//! documentation networks (RFC 5737, RFC 3849) or loopback.

pub mod behaviour;
pub mod expected_figures;
mod expected_outcome;
pub mod generator;
pub mod hosts;
mod http;
pub mod log;
pub mod multi_process;
pub mod network_fault;
mod outbox;
pub mod pages;
mod poll;
pub mod run;
pub mod scenario;
pub mod serve;
pub mod simulated_host;
mod smtp;
mod test_ca;
mod verdict;
mod webhook;
