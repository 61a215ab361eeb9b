//! The test kit: a database for each test, and a Kafka broker on this machine.
//!
//! Tests use it, and `takedown demo` for its broker. It knows no service.

mod broker;
mod database;

pub use broker::{Broker, BrokerError, BrokerTls};
pub use database::TestDatabase;
