//! Dispatch: who can remove it, the notices to them, their answers, clocks, escalation, and whether it is really gone.
//!
//! It acts on what verification decided and on nothing else: without a true proof nothing leaves. It never fetches
//! material, never believes a claim of removal, and calls no other service for work.

pub mod attribution;
mod auth;
mod breaker;
pub mod channels;
pub mod checkpoint;
pub mod commands;
mod config;
pub mod delivery;
pub mod directory;
pub mod document;
mod error;
pub mod events;
mod grants;
mod grpc;
pub mod lifecycle;
pub mod link;
pub mod mailbox;
pub mod policy;
pub mod probe;
mod retry;
mod run;
mod signs;
pub mod store;
pub mod timers;

pub use config::Config;
pub use error::Error;
pub use grants::GRANTS;
pub use run::{Deps, Hints, SCHEMA, run};
pub use signs::SIGNS;
