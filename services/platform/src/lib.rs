//! Mechanisms that every role shares: database, event log, bus, errors, configuration, telemetry, servers.
//!
//! Platform depends on no service and knows nothing of reports, assessments or notices.

pub mod batch;
pub mod bus;
pub mod clock;
pub mod config;
pub mod connector;
pub mod db;
#[cfg(feature = "private-postgres")]
pub mod embedded;
mod envelope;
pub mod error;
pub mod folder_lock;
pub mod grpc;
pub mod http;
pub mod kafka;
pub mod log;
pub mod metrics;
pub mod monitor;
pub mod principal;
pub mod sealed;
pub mod service;
pub mod shutdown;
pub mod smtp;
pub mod telemetry;
pub mod tls;
pub mod trace;

/// Reports progress to a person: what takes time, and where files are placed.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);
