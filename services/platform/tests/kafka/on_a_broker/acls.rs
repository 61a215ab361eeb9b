//! TLS with a certificate for each client, and ACLs for each topic. The ACL commands are those of
//! docs/OPERATIONS.md.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use platform::bus::{BusConfig, BusTls, ensure_topics};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{FutureProducer, FutureRecord};
use testkit::{Broker, BrokerTls};

use super::{all_in_order, interleaved};
use crate::support::kafka::{KafkaFixture, config};

const TOPIC: &str = "takedown.intake.v1";
const TIMEOUT: Duration = Duration::from_secs(30);

/// A certificate authority and the folder of the certificates that it signs.
struct TestAuthority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl TestAuthority {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("ca.pem"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    fn issue(&self, name: &str) -> BusTls {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str, text: String| {
            let path = self.dir.join(format!("{name}.{end}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        BusTls {
            ca: self.dir.join("ca.pem"),
            certificate: file("crt", certificate.pem()),
            key: file("key", key.serialize_pem()),
        }
    }
}

fn config_with(tls: BusTls, broker: &Broker) -> BusConfig {
    BusConfig {
        topic_prefix: "takedown".into(),
        tls: Some(tls),
        ..config(broker.bootstrap())
    }
}

fn client(tls: &BusTls, broker: &Broker) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", broker.bootstrap())
        .set("security.protocol", "ssl")
        .set("ssl.ca.location", tls.ca.to_string_lossy())
        .set(
            "ssl.certificate.location",
            tls.certificate.to_string_lossy(),
        )
        .set("ssl.key.location", tls.key.to_string_lossy())
        .set("message.timeout.ms", "10000");
    client
}

/// The ACL commands of the documentation, as an administrator runs them.
fn documented_commands() -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/OPERATIONS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let commands = text
        .lines()
        .filter_map(|line| line.strip_prefix("kafka-acls.sh $ADMIN "));
    commands
        .map(|rest| rest.split_whitespace().map(str::to_owned).collect())
        .collect()
}

fn add_acls(broker: &Broker, admin: &BusTls, dir: &Path) {
    let pair = dir.join("admin.pem");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    std::fs::write(&pair, read(&admin.key) + &read(&admin.certificate)).unwrap();
    let properties = dir.join("admin.properties");
    let text = format!(
        "security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.location={}\nssl.truststore.type=PEM\nssl.truststore.location={}\n",
        pair.display(),
        admin.ca.display(),
    );
    std::fs::write(&properties, text).unwrap();
    let commands = documented_commands();
    assert_eq!(commands.len(), 8);
    for command in commands {
        let output = Command::new("java")
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(broker.jars().join("*"))
            .arg("org.apache.kafka.tools.AclCommand")
            .args([
                "--bootstrap-server",
                &broker.bootstrap(),
                "--command-config",
            ])
            .arg(&properties)
            .args(&command)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(
            output.status.success() && text.contains("Adding ACLs"),
            "{command:?}: {text}"
        );
    }
}

async fn write(tls: &BusTls, broker: &Broker) -> Result<(), KafkaError> {
    let producer: FutureProducer = client(tls, broker).create().unwrap();
    let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload("x");
    let sent = producer.send(record, TIMEOUT).await;
    sent.map(drop).map_err(|(error, _)| error)
}

/// Reads the offsets of a partition, which needs the right to read.
fn read(tls: &BusTls, broker: &Broker) -> Result<(), KafkaError> {
    let consumer: BaseConsumer = client(tls, broker).create()?;
    consumer.fetch_watermarks(TOPIC, 0, TIMEOUT).map(drop)
}

fn code(outcome: Result<(), KafkaError>) -> Option<Code> {
    outcome.err().and_then(|error| error.rdkafka_error_code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_writable_by_its_owner_and_readable_by_its_consumers_only() {
    let dir = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new(dir.path(), "authority");
    let admin = authority.issue("admin");
    let tls = BrokerTls {
        broker: authority.issue("broker"),
        admin: admin.clone(),
    };
    let home = dir.path().join("kafka");
    let broker = Broker::start_with_tls(&home, tls, &|_| {}).await.unwrap();
    add_acls(&broker, &admin, dir.path());

    // The topics are created with the certificate of `takedown migrate`; producer and consumer have their
    // own.
    let migrating = config_with(authority.issue("takedown-migrate"), &broker);
    ensure_topics(&migrating, &["intake", "verification", "dispatch"])
        .await
        .unwrap();
    let (intake, ledger) = (
        authority.issue("takedown-intake"),
        authority.issue("takedown-ledger"),
    );
    let fixture = KafkaFixture::with_two_configs(
        config_with(intake.clone(), &broker),
        config_with(ledger.clone(), &broker),
    )
    .await;
    let consumer = fixture.start_consumer();
    fixture.emit(&interleaved(8, 5)).await;
    fixture.until_received(40).await;
    all_in_order(&fixture, 8, 5).await;

    let denied = Some(Code::TopicAuthorizationFailed);
    assert_eq!(code(write(&intake, &broker).await), None);
    assert_eq!(code(write(&ledger, &broker).await), denied);
    let verification = authority.issue("takedown-verification");
    assert_eq!(code(write(&verification, &broker).await), denied);
    let gateway = authority.issue("takedown-gateway");
    assert_eq!(code(write(&gateway, &broker).await), denied);
    assert_eq!(code(read(&ledger, &broker)), None);
    let dispatch = authority.issue("takedown-dispatch");
    for stranger in [&gateway, &dispatch] {
        assert!(read(stranger, &broker).is_err());
    }

    // A certificate of another authority, and no certificate at all: no response.
    let stranger = TestAuthority::new(dir.path(), "elsewhere").issue("takedown-intake");
    let stranger = BusTls {
        ca: intake.ca.clone(),
        ..stranger
    };
    assert!(write(&stranger, &broker).await.is_err());
    let unencrypted: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("message.timeout.ms", "3000")
        .create()
        .unwrap();
    let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload("x");
    assert!(unencrypted.send(record, TIMEOUT).await.is_err());
    consumer.stop().await.unwrap();
}
