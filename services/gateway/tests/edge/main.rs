//! The gateway's own job, over real HTTP and real gRPC: routing, parsing, problems, forwarding, pages, limits.
//!
//! Behind it stand recorders of what it asked, not the owners; what the owners make of it is tested with them.

mod access;
mod backend;
mod docs;
mod document;
mod events;
mod http;
mod limits;
mod mail;
mod page;
mod provider;
mod reports;
mod setup;
