//! How the bus is reached, as a role's configuration says it. Parsed here or nowhere.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

/// The table `[bus]` of a role's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    pub kind: Kind,
    /// `host:port`, several with commas between them.
    pub bootstrap: String,
    /// Needed wherever a broker is not on loopback.
    pub tls: Option<Tls>,
    /// The name under which a broker's log shows this process.
    pub client_id: String,
    /// Stable name of this process among those of its role (static membership): with it a restart takes its place
    /// again at once. Two processes of a role must not share one. Without it a process joins anew and leaves cleanly.
    pub instance: Option<String>,
    /// Topics are `PREFIX.SERVICE.v1`, consumer groups `PREFIX.CONSUMER.PRODUCER`.
    pub topic_prefix: String,
    /// How long a record may be on its way before it counts as not acknowledged and is sent again.
    pub delivery_timeout_millis: u32,
    /// The largest record, as the topics allow it. An event beyond it is skipped with an alarm and read from the log.
    pub record_bytes: u32,
    /// Records that may wait in memory to be sent; beyond it publishing waits.
    pub queue_records: u32,
    /// How often cursors are compared with the heads of the logs. Twice this is how long a loss may stay unseen.
    pub compare_millis: u32,
    /// After this silence the group gives a process's partitions to others.
    pub session_timeout_millis: u32,
    /// The longest time that the work on one batch may take; see `max.poll.interval.ms`.
    pub poll_interval_millis: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Consumers read the producers' logs in the database.
    #[default]
    Local,
    Kafka,
}

/// Files in PEM form; read when a client is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Who may have signed a broker's certificate.
    pub ca: PathBuf,
    /// Ours, by which the brokers know us and what we may write.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            kind: Kind::Local,
            bootstrap: "127.0.0.1:9092".into(),
            tls: None,
            client_id: "takedown".into(),
            instance: None,
            topic_prefix: "takedown".into(),
            delivery_timeout_millis: 30_000,
            record_bytes: 1_000_000,
            queue_records: 20_000,
            compare_millis: 20_000,
            session_timeout_millis: 10_000,
            poll_interval_millis: 300_000,
        }
    }
}

/// Why a bus cannot be used as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusConfigError {
    #[error("bus.bootstrap names no broker; give host:port, several with commas between them")]
    NoBroker,
    #[error(
        "bus.bootstrap names `{0}`, which is not on this machine, and bus.tls is not set; plain Kafka is for loopback alone"
    )]
    PlainBeyondLoopback(String),
    #[error("bus.{0} may have letters, digits, dots, hyphens and underscores only")]
    Name(&'static str),
    #[error("bus.{0} must not be 0")]
    Zero(&'static str),
}

impl BusConfig {
    /// Refuses what would be wrong or unsafe, before anything is connected.
    pub fn check(&self) -> Result<(), BusConfigError> {
        let brokers: Vec<&str> = self.brokers().collect();
        if brokers.is_empty() {
            return Err(BusConfigError::NoBroker);
        }
        if self.tls.is_none()
            && let Some(far) = brokers.into_iter().find(|broker| !is_loopback(broker))
        {
            return Err(BusConfigError::PlainBeyondLoopback(far.to_owned()));
        }
        let instance = self.instance.as_deref().unwrap_or("none");
        for (field, name) in [
            ("topic_prefix", &*self.topic_prefix),
            ("instance", instance),
        ] {
            if !is_name(name) {
                return Err(BusConfigError::Name(field));
            }
        }
        for (field, value) in [
            ("delivery_timeout_millis", self.delivery_timeout_millis),
            ("record_bytes", self.record_bytes),
            ("queue_records", self.queue_records),
            ("compare_millis", self.compare_millis),
            ("session_timeout_millis", self.session_timeout_millis),
            ("poll_interval_millis", self.poll_interval_millis),
        ] {
            if value == 0 {
                return Err(BusConfigError::Zero(field));
            }
        }
        Ok(())
    }

    pub fn topic(&self, service: &str) -> String {
        format!("{}.{service}.v1", self.topic_prefix)
    }

    pub fn group(&self, consumer: &str, producer: &str) -> String {
        format!("{}.{consumer}.{producer}", self.topic_prefix)
    }

    pub(crate) fn compare_every(&self) -> Duration {
        Duration::from_millis(self.compare_millis.into())
    }

    fn brokers(&self) -> impl Iterator<Item = &str> {
        self.bootstrap
            .split(',')
            .map(str::trim)
            .filter(|broker| !broker.is_empty())
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", &self.client_id)
            // A broker that comes back is found within a second, and one that hangs is given up in ten.
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.timeout.ms", "10000")
            .set("socket.keepalive.enable", "true")
            // A topic that was made again is seen soon.
            .set("topic.metadata.refresh.interval.ms", "5000");
        match &self.tls {
            None => client.set("security.protocol", "plaintext"),
            Some(tls) => client
                .set("security.protocol", "ssl")
                .set("ssl.endpoint.identification.algorithm", "https")
                .set("ssl.ca.location", tls.ca.to_string_lossy())
                .set(
                    "ssl.certificate.location",
                    tls.certificate.to_string_lossy(),
                )
                .set("ssl.key.location", tls.key.to_string_lossy()),
        };
        client
    }
}

fn is_loopback(broker: &str) -> bool {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bootstrap: &str) -> BusConfig {
        BusConfig {
            kind: Kind::Kafka,
            bootstrap: bootstrap.into(),
            ..BusConfig::default()
        }
    }

    #[test]
    fn plain_kafka_is_for_loopback_alone() {
        for near in [
            "127.0.0.1:9092",
            "localhost:9092, [::1]:9093",
            "127.9.9.9:1",
        ] {
            assert_eq!(at(near).check(), Ok(()), "{near}");
        }
        for far in [
            "kafka:9092",
            "127.0.0.1:9092,10.0.0.1:9092",
            "localhost.example:9092",
            "[2001:db8::1]:9092",
        ] {
            let refused = at(far).check();
            assert!(
                matches!(refused, Err(BusConfigError::PlainBeyondLoopback(_))),
                "{far}: {refused:?}"
            );
            let tls = Tls {
                ca: "ca.pem".into(),
                certificate: "us.pem".into(),
                key: "us.key".into(),
            };
            let sealed = BusConfig {
                tls: Some(tls),
                ..at(far)
            };
            assert_eq!(sealed.check(), Ok(()), "{far}");
        }
        assert_eq!(at(" , ").check(), Err(BusConfigError::NoBroker));
    }

    #[test]
    fn a_mistake_in_the_table_is_named() {
        for (text, named) in [
            ("kind = \"carrier pigeon\"", "kind"),
            ("bootstraps = \"x\"", "bootstraps"),
            ("tls = { ca = \"a\" }", "certificate"),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let wrong = crate::config::load::<BusConfig>(Some(file.path()), "TAKEDOWN_NOWHERE");
            let wrong = wrong.unwrap_err().to_string();
            assert!(wrong.contains(named), "{wrong}");
        }
        let spaced = BusConfig {
            topic_prefix: "take down".into(),
            ..at("127.0.0.1:1")
        };
        assert_eq!(spaced.check(), Err(BusConfigError::Name("topic_prefix")));
    }
}
