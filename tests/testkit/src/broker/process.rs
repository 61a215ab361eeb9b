//! A broker process: its settings, start and end.
//!
//! A shell supervises it over a pipe: when the pipe closes, because the starting process ended for whatever
//! reason, the shell kills the broker. So no test and no demo leaves a broker behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::{BrokerError, BrokerTls, jars};
use platform::bus::BusConfig;

/// Starts `$@` with its output appended to `$0`, prints its process id, and ends it with the signal that it
/// reads, or with KILL when its input closes.
const SUPERVISOR_SCRIPT: &str = r#"
"$@" </dev/null >>"$0" 2>&1 &
pid=$!
echo "$pid"
read -r signal || signal=KILL
kill "-$signal" "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
"#;

/// A cold start takes seconds, on a busy machine much longer.
const START_TIMEOUT: Duration = Duration::from_mins(3);
const STORAGE_TOOL_CLASS: &str = "kafka.tools.StorageTool";
const BROKER_CLASS: &str = "kafka.Kafka";

#[derive(Debug)]
pub(super) struct BrokerProcess {
    supervisor: Child,
    pipe: Option<ChildStdin>,
    pid: u32,
    port: u16,
}

impl BrokerProcess {
    pub(super) fn start(
        jars: &Path,
        dir: &Path,
        tls: Option<&BrokerTls>,
    ) -> Result<Self, BrokerError> {
        fs::create_dir_all(dir)
            .map_err(|e| BrokerError::io(format!("creating {}", dir.display()), e))?;
        let settings = dir.join("server.properties");
        if !settings.is_file() {
            initialize(jars, dir, &settings, tls)?;
        }
        let port = port(&settings)?;
        let log = dir.join("server.log");
        let mut process = Self::spawn(jars, dir, &settings, &log, port)?;
        if process.wait_until_ready(tls) {
            Ok(process)
        } else {
            process.end("KILL");
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
        let mut supervisor = Command::new("/bin/sh")
            .args(["-c", SUPERVISOR_SCRIPT])
            .arg(log)
            .arg(jars::program("java")?)
            .args([
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
            ])
            .arg(jars.join("*"))
            .arg(BROKER_CLASS)
            .arg(settings)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| BrokerError::io("running sh", e))?;
        let (pipe, stdout) = (supervisor.stdin.take(), supervisor.stdout.take());
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|e| BrokerError::io("starting the broker", e))?;
        }
        let pid = line
            .trim()
            .parse()
            .map_err(|_| BrokerError::NotStarted(log.to_owned()))?;
        Ok(Self {
            supervisor,
            pipe,
            pid,
            port,
        })
    }

    /// Waits until the broker returns metadata to a client, or has ended.
    fn wait_until_ready(&self, tls: Option<&BrokerTls>) -> bool {
        let bus = BusConfig {
            bootstrap: format!("127.0.0.1:{}", self.port),
            tls: tls.map(|tls| tls.admin.clone()),
            ..BusConfig::default()
        };
        let client: Result<BaseConsumer, _> = bus
            .client_config()
            .set("reconnect.backoff.max.ms", "200")
            .create();
        let Ok(client) = client else { return false };
        let deadline = Instant::now() + START_TIMEOUT;
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
            // If the signal cannot be written, the closed pipe means KILL.
            let _ = writeln!(pipe, "{signal}");
        }
        let _ = self.supervisor.wait();
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        self.end("KILL");
    }
}

/// Writes settings with two free ports, and formats the data folder.
fn initialize(
    jars: &Path,
    dir: &Path,
    settings: &Path,
    tls: Option<&BrokerTls>,
) -> Result<(), BrokerError> {
    let (broker, controller) = free_ports()?;
    let temporary = dir.join("server.properties.new");
    let mut text = properties(dir, broker, controller, protocol(tls));
    if let Some(tls) = tls {
        text += &tls_properties(dir, tls)?;
    }
    fs::write(&temporary, text)
        .map_err(|e| BrokerError::io(format!("writing {}", temporary.display()), e))?;
    let output = Command::new(jars::program("java")?)
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(jars.join("*"))
        .args([STORAGE_TOOL_CLASS, "format", "--standalone", "-t"])
        .arg(cluster_id())
        .arg("-c")
        .arg(&temporary)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| BrokerError::io("running java", e))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        return Err(BrokerError::Command("formatting the broker's folder", text));
    }
    fs::rename(&temporary, settings)
        .map_err(|e| BrokerError::io(format!("moving {}", temporary.display()), e))
}

/// A cluster id: 16 bytes in URL-safe base64. It begins with a character of the alphabet, because a hyphen would be
/// parsed as an option.
fn cluster_id() -> String {
    let mut id = platform::sealed::random::<16>();
    id[0] &= 0x7f;
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, id)
}

fn protocol(tls: Option<&BrokerTls>) -> &'static str {
    if tls.is_some() { "SSL" } else { "PLAINTEXT" }
}

/// Settings for TLS and ACLs (Kafka documentation, "Security"). The controller listens on loopback only; it
/// alone connects anonymously.
fn tls_properties(dir: &Path, tls: &BrokerTls) -> Result<String, BrokerError> {
    let read = |path: &Path| {
        fs::read_to_string(path)
            .map_err(|e| BrokerError::io(format!("reading {}", path.display()), e))
    };
    let keystore = dir.join("broker.pem");
    let pair = read(&tls.broker.key)? + &read(&tls.broker.certificate)?;
    fs::write(&keystore, pair)
        .map_err(|e| BrokerError::io(format!("writing {}", keystore.display()), e))?;
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
        keystore.display(),
        tls.broker.ca.display(),
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

/// The broker's port, from its settings, so that clients find it on the same port after a restart.
fn port(settings: &Path) -> Result<u16, BrokerError> {
    let text = fs::read_to_string(settings)
        .map_err(|e| BrokerError::io(format!("reading {}", settings.display()), e))?;
    text.lines()
        .find_map(|line| line.strip_prefix("listeners="))
        .and_then(|all| all.split(',').next()?.rsplit_once(':')?.1.parse().ok())
        .ok_or_else(|| {
            BrokerError::Command(
                "reading the broker's port",
                "server.properties names no port".into(),
            )
        })
}

/// Bound at the same time, so that they differ.
fn free_ports() -> Result<(u16, u16), BrokerError> {
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let found = bind().and_then(|one| {
        let other = bind()?;
        Ok((port(&one)?, port(&other)?))
    });
    found.map_err(|e| BrokerError::io("finding free ports", e))
}
