//! The measured system: a child process that runs every role, and the handle of that process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use platform::bus::{BusConfig, BusKind, ensure_topics};
use platform::connector::{self, ConnectorMap, MapEntry};
use roles::client::{Addresses, Client, Profile};
use roles::system::{Options, System};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use simulator::hosts::Listeners;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Configuration of the child process.
#[derive(Serialize, Deserialize)]
struct ChildConfig {
    data_dir: PathBuf,
    /// Address to which every name and network is mapped.
    hosts: SocketAddr,
    ca_pem: String,
    /// Bootstrap address of the broker; `None` for the Local bus.
    kafka: Option<String>,
}

/// Handle of the running child process.
pub struct MeasuredSystem {
    child: Child,
    data_dir: PathBuf,
    pub addresses: Addresses,
    pub client: Client,
    pub database_url: SecretString,
}

/// No rung fires during a measurement.
const POLICY: &str = include_str!("policy.yaml");

/// Printed by the child when every role is ready.
const READY_LINE: &str = "ready";

/// Starts the child and waits until it is ready.
pub async fn start(
    folder: &Path,
    listeners: &Listeners,
    kafka: Option<String>,
) -> Result<MeasuredSystem> {
    let config = ChildConfig {
        data_dir: folder.join("data"),
        hosts: listeners.web_address()?,
        ca_pem: listeners.ca_pem(),
        kafka,
    };
    let file = folder.join("setup.json");
    std::fs::write(&file, serde_json::to_string(&config)?)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--system")
        .arg(&file)
        .env_remove("DATABASE_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let out = child.stdout.take().context("the child has no output")?;
    let mut lines = BufReader::new(out).lines();
    let line = tokio::time::timeout(Duration::from_mins(2), lines.next_line()).await??;
    ensure!(
        line.as_deref() == Some(READY_LINE),
        "the measured system did not start"
    );
    let profile = Profile::read(&config.data_dir)?;
    let client = Client::new(&profile.addresses, profile.operator.session.clone())?;
    Ok(MeasuredSystem {
        child,
        data_dir: config.data_dir,
        client,
        addresses: profile.addresses,
        database_url: profile
            .database_url
            .context("the system has no database of its own")?,
    })
}

impl MeasuredSystem {
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Process id of the database server, from the first line of its `postmaster.pid`.
    pub fn database_pid(&self) -> Result<u32> {
        let moved = self.data_dir.join("postgres.home");
        let homes = [
            std::fs::read_to_string(moved)
                .ok()
                .map(|home| PathBuf::from(home.trim())),
            Some(self.data_dir.clone()),
        ];
        for home in homes.into_iter().flatten() {
            for folder in [
                home.clone(),
                home.join("data"),
                home.join("postgres"),
                home.join("postgres/data"),
            ] {
                if let Ok(text) = std::fs::read_to_string(folder.join("postmaster.pid")) {
                    return Ok(text
                        .lines()
                        .next()
                        .context("an empty postmaster.pid")?
                        .parse()?);
                }
            }
        }
        anyhow::bail!("the database's process was not found")
    }

    pub async fn stop(mut self) -> Result<()> {
        // The child stops at the end of its input.
        drop(self.child.stdin.take());
        let status = tokio::time::timeout(Duration::from_secs(40), self.child.wait()).await??;
        if let Ok(home) = std::fs::read_to_string(self.data_dir.join("postgres.home")) {
            std::fs::remove_dir_all(home.trim())?;
        }
        ensure!(status.success(), "the measured system ended with {status}");
        Ok(())
    }
}

/// Runs every role in the child process until the end of its input.
pub async fn serve(config: &Path) -> Result<()> {
    let config: ChildConfig = serde_json::from_slice(&std::fs::read(config)?)?;
    let every_destination =
        ["0.0.0.0/0", "::/0", "*.example", "*.test", "*.invalid"].map(|from| MapEntry {
            from: from.to_owned(),
            to: config.hosts,
        });
    let mut egress = connector::Policy {
        map: ConnectorMap::try_from(every_destination.to_vec())?,
        ..connector::Policy::default()
    };
    egress.trust_pem(config.ca_pem.as_bytes())?;
    let mut options = Options::new(&config.data_dir);
    options.policy = roles::system::policy(POLICY)?;
    options.connector = egress;
    options.settings.dispatch.resolve_names = false;
    options.settings.dispatch.delivery.retry.first_seconds = 0.2;
    options.settings.dispatch.delivery.retry.longest_seconds = 2.0;
    if let Some(bootstrap) = config.kafka {
        let bus = BusConfig {
            kind: BusKind::Kafka,
            bootstrap,
            instance: Some("load".into()),
            ..BusConfig::default()
        };
        ensure_topics(&bus, &["intake", "verification", "dispatch"]).await?;
        options.settings.bus = bus;
    }
    let system = System::start(options, &|line| eprintln!("{line}")).await?;
    println!("{READY_LINE}");
    let mut input = Vec::new();
    tokio::io::stdin().read_to_end(&mut input).await?;
    system.stop().await
}

/// Creates a second staff account, because a hash list must not be approved by its proposer.
pub async fn create_approver(client: &Client) -> Result<Client> {
    let password = SecretString::from("load-supervisor-password");
    let request = proto::v1::CreateStaffRequest {
        name: "load-supervisor".into(),
        password: password.expose_secret().to_owned(),
        roles: vec![proto::v1::StaffRole::Supervisor.into()],
    };
    client.verification().create_staff(request).await?;
    Ok(client.sign_in("load-supervisor", &password).await?)
}
