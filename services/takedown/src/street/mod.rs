//! The street: synthetic hosts with their pages, mailboxes and webhooks, and the reference client that plays them.
//!
//! Everything here stands on the far side of the hotline: it knows the hotline only by what a host can see, its REST
//! API, its webhooks and its mail. It must not reach into a service, and nothing on the street exists: reserved names,
//! documentation addresses, loopback.

mod authority;
pub mod behaviour;
pub mod expect;
pub mod files;
pub mod gateway;
pub mod generator;
mod http;
mod letter;
pub mod log;
pub mod mishap;
mod outbox;
pub mod pages;
pub mod player;
mod poll;
pub mod residents;
pub mod serve;
pub mod signed;
mod smtp;
mod verdict;
mod webhook;
