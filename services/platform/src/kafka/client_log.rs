//! Forwards the Kafka library's own log to ours, at debug level only: its errors are reported by the caller
//! that they affect.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLogger;

impl ClientContext for ClientLogger {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(kafka.facility = facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(kafka.error = %error, "{reason}");
    }
}

impl ConsumerContext for ClientLogger {}
