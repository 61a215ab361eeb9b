//! Mechanism that every role shares: database, event log, bus, errors, configuration, logs, servers.
//!
//! Platform never names a report, a case under assessment or a notice, decides nothing about them, and
//! depends on no service.

pub mod batch;
pub mod broker;
pub mod bus;
pub mod clock;
pub mod config;
pub mod connector;
pub mod db;
pub mod embedded;
pub mod error;
pub mod grpc;
pub mod http;
pub mod kafka;
pub mod lease;
pub mod log;
pub mod metrics;
pub mod monitor;
pub mod plant;
pub mod principal;
pub mod sealed;
pub mod shutdown;
pub mod smtp;
pub mod telemetry;
pub mod testing;
pub mod tls;
pub mod trace;
