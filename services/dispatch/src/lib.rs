//! Dispatch: finds the providers that can remove content, sends them notices, handles their answers,
//! deadlines and escalation, and checks whether the content is offline.
//!
//! It acts only on decisions of verification: without a valid approval proof nothing is sent. It never
//! fetches the material, checks every claim of removal, and calls no other service to do its work.

pub mod attribution;
mod auth;
mod breaker;
pub mod channels;
pub mod checkpoint;
pub mod checks;
pub mod commands;
mod config;
pub mod delivery;
pub mod directory;
pub mod document;
mod error;
pub mod events;
mod gauges;
mod grants;
mod grpc;
pub mod lifecycle;
pub mod link;
pub mod policy;
mod retry;
pub mod return_address;
mod run;
pub mod store;
pub mod timers;

pub use config::Config;
pub use error::Error;
pub use gauges::GAUGES;
pub use grants::GRANTS;
pub use run::{Deps, SCHEMA, run};
