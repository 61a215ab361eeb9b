//! The gateway over real HTTP, SMTP and gRPC: routing, parsing, problems, forwarding, the notice page,
//! limits.
//!
//! Intake and dispatch are replaced by a backend that records the calls; the services themselves have their
//! own tests.

mod access;
mod backend;
mod docs;
mod events;
mod http;
mod inbound_mail;
mod notice_page;
mod openapi;
mod provider;
mod rate_limits;
mod reports;
mod setup;
