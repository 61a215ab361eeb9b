//! One broker process: its settings, its start and its end.
//!
//! A shell holds it by a pipe: when the pipe closes, because whoever started it ended in whatever way, the broker is
//! killed. So no test and no demo leaves one behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::{BrokerError, Guarded, jars};
use crate::bus::BusConfig;

/// Starts `$@` with its output in `$0`, says its process id, and ends it by the signal that it is told; by KILL when
/// nobody is there any more to tell.
const GUARD: &str = r#"
"$@" </dev/null >>"$0" 2>&1 &
pid=$!
echo "$pid"
read -r signal || signal=KILL
kill "-$signal" "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
"#;

/// A cold start takes seconds; on a busy machine many.
const PATIENCE: Duration = Duration::from_mins(3);
const CLASSPATH_TOOL: &str = "kafka.tools.StorageTool";
const CLASSPATH_BROKER: &str = "kafka.Kafka";

#[derive(Debug)]
pub(super) struct Server {
    guard: Child,
    pipe: Option<ChildStdin>,
    pid: u32,
    port: u16,
}

impl Server {
    pub(super) fn start(
        jars: &Path,
        dir: &Path,
        guarded: Option<&Guarded>,
    ) -> Result<Self, BrokerError> {
        fs::create_dir_all(dir)
            .map_err(|e| BrokerError::io(format!("creating {}", dir.display()), e))?;
        let settings = dir.join("server.properties");
        if !settings.is_file() {
            initialise(jars, dir, &settings, guarded)?;
        }
        let port = port(&settings)?;
        let log = dir.join("server.log");
        let mut server = Self::spawn(jars, dir, &settings, &log, port)?;
        if server.answers(guarded) {
            Ok(server)
        } else {
            server.end("KILL");
            Err(BrokerError::NotStarted(log))
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn stop(mut self) {
        self.end("TERM");
    }

    fn spawn(
        jars: &Path,
        dir: &Path,
        settings: &Path,
        log: &Path,
        port: u16,
    ) -> Result<Self, BrokerError> {
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD])
            .arg(log)
            .arg(jars::program("java")?)
            .args([
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
            ])
            .arg(jars.join("*"))
            .arg(CLASSPATH_BROKER)
            .arg(settings)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| BrokerError::io("running sh", e))?;
        let (pipe, said) = (guard.stdin.take(), guard.stdout.take());
        let mut line = String::new();
        if let Some(said) = said {
            BufReader::new(said)
                .read_line(&mut line)
                .map_err(|e| BrokerError::io("starting the broker", e))?;
        }
        let pid = line
            .trim()
            .parse()
            .map_err(|_| BrokerError::NotStarted(log.to_owned()))?;
        Ok(Self {
            guard,
            pipe,
            pid,
            port,
        })
    }

    /// Waits until it gives metadata to a client, or has ended.
    fn answers(&self, guarded: Option<&Guarded>) -> bool {
        let bus = BusConfig {
            bootstrap: format!("127.0.0.1:{}", self.port),
            tls: guarded.map(|guarded| guarded.admin.clone()),
            ..BusConfig::default()
        };
        let client: Result<BaseConsumer, _> =
            bus.client().set("reconnect.backoff.max.ms", "200").create();
        let Ok(client) = client else { return false };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && Path::new(&format!("/proc/{}", self.pid)).exists() {
            let metadata = client.fetch_metadata(None, Duration::from_secs(1));
            if metadata.is_ok_and(|found| !found.brokers().is_empty()) {
                return true;
            }
        }
        false
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut pipe) = self.pipe.take() {
            // Without the word, the closed pipe says KILL.
            let _ = writeln!(pipe, "{signal}");
        }
        let _ = self.guard.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end("KILL");
    }
}

/// Settings on two free ports, and a formatted folder.
fn initialise(
    jars: &Path,
    dir: &Path,
    settings: &Path,
    guarded: Option<&Guarded>,
) -> Result<(), BrokerError> {
    let (broker, controller) = free_ports()?;
    let fresh = dir.join("server.properties.new");
    let mut text = properties(dir, broker, controller, protocol(guarded));
    if let Some(guarded) = guarded {
        text += &guards(dir, guarded)?;
    }
    fs::write(&fresh, text)
        .map_err(|e| BrokerError::io(format!("writing {}", fresh.display()), e))?;
    let output = Command::new(jars::program("java")?)
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(jars.join("*"))
        .args([CLASSPATH_TOOL, "format", "--standalone", "-t"])
        .arg(cluster_id())
        .arg("-c")
        .arg(&fresh)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| BrokerError::io("running java", e))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        return Err(BrokerError::Command("formatting the broker's folder", text));
    }
    fs::rename(&fresh, settings)
        .map_err(|e| BrokerError::io(format!("moving {}", fresh.display()), e))
}

/// The name of a cluster: 16 bytes in base64 for URLs. The first is a letter, because a hyphen would be an option.
fn cluster_id() -> String {
    let mut id = crate::sealed::random::<16>();
    id[0] &= 0x7f;
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, id)
}

fn protocol(guarded: Option<&Guarded>) -> &'static str {
    if guarded.is_some() {
        "SSL"
    } else {
        "PLAINTEXT"
    }
}

/// The settings of a guarded broker (Kafka, "Security"). Its controller listens on loopback alone, and is the only one
/// who comes without a name.
fn guards(dir: &Path, guarded: &Guarded) -> Result<String, BrokerError> {
    let read = |path: &Path| {
        fs::read_to_string(path)
            .map_err(|e| BrokerError::io(format!("reading {}", path.display()), e))
    };
    let own = dir.join("broker.pem");
    let pair = read(&guarded.broker.key)? + &read(&guarded.broker.certificate)?;
    fs::write(&own, pair).map_err(|e| BrokerError::io(format!("writing {}", own.display()), e))?;
    Ok(format!(
        "inter.broker.listener.name=SSL
ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:CN=admin
",
        own.display(),
        guarded.broker.ca.display(),
    ))
}

fn properties(dir: &Path, broker: u16, controller: u16, protocol: &str) -> String {
    let data: PathBuf = dir.join("data");
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={protocol}://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={protocol}://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocol}:{protocol}
log.dirs={}
num.partitions=1
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.segment.delete.delay.ms=1000
",
        data.display()
    )
}

/// The broker's port, from its settings: clients find it again there after a restart.
fn port(settings: &Path) -> Result<u16, BrokerError> {
    let text = fs::read_to_string(settings)
        .map_err(|e| BrokerError::io(format!("reading {}", settings.display()), e))?;
    text.lines()
        .find_map(|line| line.strip_prefix("listeners="))
        .and_then(|all| all.split(',').next()?.rsplit_once(':')?.1.parse().ok())
        .ok_or_else(|| BrokerError::Command("reading the broker's port", "it names none".into()))
}

/// Both at once, so that they differ.
fn free_ports() -> Result<(u16, u16), BrokerError> {
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let found = bind().and_then(|one| {
        let other = bind()?;
        Ok((port(&one)?, port(&other)?))
    });
    found.map_err(|e| BrokerError::io("finding free ports", e))
}
