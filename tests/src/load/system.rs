//! The measured system: a child process that runs every role, and its handle.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use platform::bus::{BusConfig, Kind, ensure_topics};
use platform::connector::{self, ConnectorMap, MapEntry};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use takedown::client::{Addresses, Client, Profile};
use takedown::street::residents::Premises;
use takedown::system::{Options, System};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What the child is told.
#[derive(Serialize, Deserialize)]
struct Setup {
    data_dir: PathBuf,
    /// Every name and network leads here.
    hosts: SocketAddr,
    authority: String,
    /// The broker that carries the events; none for the Local bus.
    kafka: Option<String>,
}

/// The running child.
pub struct Running {
    child: Child,
    data_dir: PathBuf,
    pub addresses: Addresses,
    pub client: Client,
    pub database_url: SecretString,
}

/// No rung fires during a measurement.
const POLICY: &str = include_str!("policy.yaml");

/// What the child says when every role is ready.
const READY: &str = "ready";

/// Starts the child and waits until it is ready.
pub async fn start(folder: &Path, premises: &Premises, kafka: Option<String>) -> Result<Running> {
    let setup = Setup {
        data_dir: folder.join("data"),
        hosts: premises.web_address()?,
        authority: premises.authority(),
        kafka,
    };
    let file = folder.join("setup.json");
    std::fs::write(&file, serde_json::to_string(&setup)?)?;
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
    let said = tokio::time::timeout(Duration::from_mins(2), lines.next_line()).await??;
    ensure!(
        said.as_deref() == Some(READY),
        "the measured system did not start"
    );
    let profile = Profile::read(&setup.data_dir)?;
    let client = Client::new(&profile.addresses, profile.operator.session.clone())?;
    Ok(Running {
        child,
        data_dir: setup.data_dir,
        client,
        addresses: profile.addresses,
        database_url: profile
            .database_url
            .context("the system has no database of its own")?,
    })
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// The server's process, from the first line of its own file.
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
        // The end of its input is the child's sign to stop.
        drop(self.child.stdin.take());
        let status = tokio::time::timeout(Duration::from_secs(40), self.child.wait()).await??;
        if let Ok(home) = std::fs::read_to_string(self.data_dir.join("postgres.home")) {
            std::fs::remove_dir_all(home.trim())?;
        }
        ensure!(status.success(), "the measured system ended with {status}");
        Ok(())
    }
}

/// The child: every role until its input ends.
pub async fn serve(setup: &Path) -> Result<()> {
    let setup: Setup = serde_json::from_slice(&std::fs::read(setup)?)?;
    let everything =
        ["0.0.0.0/0", "::/0", "*.example", "*.test", "*.invalid"].map(|from| MapEntry {
            from: from.to_owned(),
            to: setup.hosts,
        });
    let mut way_out = connector::Policy {
        map: ConnectorMap::try_from(everything.to_vec())?,
        ..connector::Policy::default()
    };
    way_out.trust_pem(setup.authority.as_bytes())?;
    let mut options = Options::new(&setup.data_dir);
    options.policy = takedown::system::policy(POLICY)?;
    options.connector = way_out;
    options.settings.dispatch.resolve_names = false;
    options.settings.dispatch.delivery.retry.first_seconds = 0.2;
    options.settings.dispatch.delivery.retry.longest_seconds = 2.0;
    if let Some(bootstrap) = setup.kafka {
        let bus = BusConfig {
            kind: Kind::Kafka,
            bootstrap,
            instance: Some("load".into()),
            ..BusConfig::default()
        };
        ensure_topics(&bus, &["intake", "verification", "dispatch"]).await?;
        options.settings.bus = bus;
    }
    let system = System::start(options, &|line| eprintln!("{line}")).await?;
    println!("{READY}");
    let mut nothing = Vec::new();
    tokio::io::stdin().read_to_end(&mut nothing).await?;
    system.stop().await
}

/// A second member of staff, because nobody approves what they proposed.
pub async fn somebody_else(client: &Client) -> Result<Client> {
    let password = SecretString::from("load-supervisor-password");
    let request = proto::v1::CreateStaffRequest {
        name: "load-supervisor".into(),
        password: password.expose_secret().to_owned(),
        roles: vec![proto::v1::StaffRole::Supervisor.into()],
    };
    client.verification().create_staff(request).await?;
    Ok(client.sign_in("load-supervisor", &password).await?)
}
