//! Dispatch: finds the providers that can remove content, sends them notices, handles their answers,
//! deadlines and escalation, and checks whether the content is offline.
//!
//! It acts only on decisions of verification: without a valid approval proof nothing is sent. It never
//! fetches the material, checks every claim of removal, and calls no other service to do its work.

mod auth;
pub mod cases;
pub mod checks;
mod config;
pub mod delivery;
pub mod directory;
mod error;
pub mod events;
mod gauges;
mod grants;
mod grpc;
mod idempotency;
pub mod policy;
mod row;
mod run;

pub use config::Config;
pub use error::Error;
pub use gauges::GAUGES;
pub use grants::GRANTS;
pub use run::{Deps, SCHEMA, run};
