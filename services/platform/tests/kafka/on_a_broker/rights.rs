//! TLS, a certificate for each client, and an ACL for each topic: the commands are those of docs/OPERATIONS.md.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use platform::broker::{Broker, Guarded};
use platform::bus::{BusConfig, Tls, ensure_topics};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::{all_in_order, street};
use crate::support::kafka::{World, config};

const TOPIC: &str = "takedown.intake.v1";
const PATIENCE: Duration = Duration::from_secs(30);

/// An authority and the certificates that it signed.
struct Authority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
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

    fn issue(&self, name: &str) -> Tls {
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
        Tls {
            ca: self.dir.join("ca.pem"),
            certificate: file("crt", certificate.pem()),
            key: file("key", key.serialize_pem()),
        }
    }
}

fn by(tls: Tls, broker: &Broker) -> BusConfig {
    BusConfig {
        topic_prefix: "takedown".into(),
        tls: Some(tls),
        ..config(broker.bootstrap())
    }
}

fn client(tls: &Tls, broker: &Broker) -> ClientConfig {
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

/// The commands of the documents, as an administrator types them.
fn documented() -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/OPERATIONS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let commands = text
        .lines()
        .filter_map(|line| line.strip_prefix("kafka-acls.sh $ADMIN "));
    commands
        .map(|rest| rest.split_whitespace().map(str::to_owned).collect())
        .collect()
}

fn allow(broker: &Broker, admin: &Tls, dir: &Path) {
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
    let commands = documented();
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
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(
            output.status.success() && said.contains("Adding ACLs"),
            "{command:?}: {said}"
        );
    }
}

async fn write(tls: &Tls, broker: &Broker) -> Result<(), KafkaError> {
    let producer: FutureProducer = client(tls, broker).create().unwrap();
    let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload("x");
    let sent = producer.send(record, PATIENCE).await;
    sent.map(drop).map_err(|(error, _)| error)
}

/// As far as any reading begins: what the partition holds.
fn look(tls: &Tls, broker: &Broker) -> Result<(), KafkaError> {
    let consumer: BaseConsumer = client(tls, broker).create()?;
    consumer.fetch_watermarks(TOPIC, 0, PATIENCE).map(drop)
}

fn code(outcome: Result<(), KafkaError>) -> Option<Code> {
    outcome.err().and_then(|error| error.rdkafka_error_code())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_writes_a_topic_and_only_those_who_hear_it_read() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "authority");
    let admin = authority.issue("admin");
    let guarded = Guarded {
        broker: authority.issue("broker"),
        admin: admin.clone(),
    };
    let home = dir.path().join("kafka");
    let broker = Broker::start_guarded(&home, guarded, &|_| {})
        .await
        .unwrap();
    allow(&broker, &admin, dir.path());

    // `takedown migrate` with its own certificate, then both ends with theirs.
    let migrating = by(authority.issue("takedown-migrate"), &broker);
    ensure_topics(&migrating, &["intake", "verification", "dispatch"])
        .await
        .unwrap();
    let (intake, ledger) = (
        authority.issue("takedown-intake"),
        authority.issue("takedown-ledger"),
    );
    let world = World::on_two(by(intake.clone(), &broker), by(ledger.clone(), &broker)).await;
    let consumer = world.consumer();
    world.say(&street(8, 5)).await;
    world.until_heard(40).await;
    all_in_order(&world, 8, 5).await;

    let denied = Some(Code::TopicAuthorizationFailed);
    assert_eq!(code(write(&intake, &broker).await), None);
    assert_eq!(code(write(&ledger, &broker).await), denied);
    let verification = authority.issue("takedown-verification");
    assert_eq!(code(write(&verification, &broker).await), denied);
    let gateway = authority.issue("takedown-gateway");
    assert_eq!(code(write(&gateway, &broker).await), denied);
    assert_eq!(code(look(&ledger, &broker)), None);
    let dispatch = authority.issue("takedown-dispatch");
    for stranger in [&gateway, &dispatch] {
        assert!(look(stranger, &broker).is_err());
    }

    // A certificate of somebody else's authority, and none at all: not even an answer.
    let stranger = Authority::new(dir.path(), "elsewhere").issue("takedown-intake");
    let stranger = Tls {
        ca: intake.ca.clone(),
        ..stranger
    };
    assert!(write(&stranger, &broker).await.is_err());
    let plain: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("message.timeout.ms", "3000")
        .create()
        .unwrap();
    let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload("x");
    assert!(plain.send(record, PATIENCE).await.is_err());
    consumer.stop().await.unwrap();
}
