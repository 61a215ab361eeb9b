//! The bus on a real Kafka.

mod on_a_broker;
#[path = "../support/mod.rs"]
mod support;
