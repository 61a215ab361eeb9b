//! Runs one role from its configuration file until a signal, and stops it within 25 seconds.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use platform::clock::Clock;
use platform::db::{self, Schema};
use platform::grpc::{ReadinessCheck, Transport};
use platform::sealed::Keyring;
use platform::shutdown::{self, Tasks};
use platform::telemetry::Telemetry;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tonic::transport::Channel;

use super::config::{self, Database, PeerAddresses, Security};
use super::monitor::{self, Monitor};
use super::start::{CoreParts, DispatchParts, RoleProcess};
use super::{Role, access, schema_check};
use crate::escalation_policy::{PRODUCTION_POLICY, policy};

/// Limit for work in flight. Closing the database connections takes another second of the 25 that shutdown
/// may take.
const DRAIN: Duration = Duration::from_secs(22);
const CLOSE: Duration = Duration::from_secs(1);

/// Runs a role until a signal or until it fails.
pub async fn run(role: Role, file: Option<&Path>) -> Result<()> {
    let signal = shutdown::on_signals()?;
    let mut process = Process {
        role,
        roles: RoleProcess::new(Tasks::new(signal), Clock::Database),
        pool: None,
        telemetry: Telemetry::start(&format!("takedown-{role}"))?,
    };
    match role {
        Role::Intake => {
            let file: config::Intake = config::read(role, file)?;
            let (parts, transport, peers) = process.core(file).await?;
            process.roles.intake(parts, &channels(&transport, &peers))?;
        }
        Role::Verification => {
            let file: config::Verification = config::read(role, file)?;
            let (parts, transport, peers) = process.core(file).await?;
            let peers = channels(&transport, &peers);
            process.roles.verification(parts, &peers)?;
        }
        Role::Dispatch => dispatch(&mut process, config::read(role, file)?).await?,
        Role::Ledger => {
            let file: config::Ledger = config::read(role, file)?;
            let (parts, transport, peers) = process.core(file).await?;
            process.roles.ledger(parts, &channels(&transport, &peers))?;
        }
        Role::Gateway => gateway(&mut process, config::read(role, file)?).await?,
        Role::Console => console(&mut process, config::read(role, file)?).await?,
    }
    tracing::info!(role.name = role.name(), "started");
    process.finish().await
}

async fn dispatch(process: &mut Process, file: config::Dispatch) -> Result<()> {
    let text = match &file.policy {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?
        }
        None => PRODUCTION_POLICY.to_owned(),
    };
    let own = DispatchParts {
        policy: policy(&text)?,
        connector: file.egress.policy(&file.settings)?,
    };
    let core = config::Core {
        listen: file.listen,
        tls: file.tls,
        database: file.database,
        keyring: file.keyring,
        bus: file.bus,
        peers: file.peers,
        monitor: file.monitor,
        settings: file.settings,
    };
    let (parts, transport, peers) = process.core(core).await?;
    let peers = channels(&transport, &peers);
    process.roles.dispatch(parts, own, &peers)
}

async fn gateway(process: &mut Process, file: config::Gateway) -> Result<()> {
    let transport = file.tls.transport(process.role.name())?;
    let mail = match file.mail_listen {
        Some(address) => Some(process.bind(Some(address), &file.tls).await?),
        None => None,
    };
    let listener = process
        .edge(&file.tls, file.listen, &file.monitor, &transport)
        .await?;
    let peers = channels(&transport, &file.peers);
    process.roles.gateway(file.settings, listener, mail, &peers)
}

async fn console(process: &mut Process, file: config::Console) -> Result<()> {
    let transport = file.tls.transport(process.role.name())?;
    let listener = process
        .edge(&file.tls, file.listen, &file.monitor, &transport)
        .await?;
    let peers = channels(&transport, &file.peers);
    process.roles.console(file.settings, listener, &peers)
}

/// Channels to the configured peers of a role.
fn channels(transport: &Transport, peers: &impl PeerAddresses) -> impl Fn(Role) -> Result<Channel> {
    |role| {
        let addresses = peers.addresses();
        let address = addresses.iter().find(|(peer, _)| *peer == role);
        let (_, address) = address.with_context(|| format!("no address of the {role}"))?;
        Ok(transport.channel(role.name(), address)?)
    }
}

/// A role's process while it starts and runs.
struct Process {
    role: Role,
    roles: RoleProcess,
    pool: Option<PgPool>,
    telemetry: Telemetry,
}

impl Process {
    async fn core<C, P>(
        &mut self,
        file: config::Core<C, P>,
    ) -> Result<(CoreParts<C>, Transport, P)> {
        let transport = file.tls.transport(self.role.name())?;
        let keyring = Arc::new(Keyring::open(&file.keyring)?);
        let schema = self.role.schema().context("a core role has a schema")?;
        let pool = self.open_pool(&file.database, schema).await?;
        let bound = self.bind(file.listen, &file.tls).await?;
        self.reload_certificates(&transport);
        let own = monitor::own_channel(&transport, self.role, bound.local_addr()?)?;
        let ready = monitor::all_are_ready(vec![own]);
        self.monitor(&file.monitor, ready).await?;
        let parts = CoreParts {
            pool,
            keyring,
            bus: file.bus,
            settings: file.settings,
            listener: transport.listener(bound, &access::table())?,
        };
        Ok((parts, transport, file.peers))
    }

    async fn edge(
        &mut self,
        tls: &Security,
        listen: Option<SocketAddr>,
        monitor: &Monitor,
        transport: &Transport,
    ) -> Result<TcpListener> {
        let listener = self.bind(listen, tls).await?;
        self.reload_certificates(transport);
        let ready = monitor::edge_is_ready(listener.local_addr()?);
        self.monitor(monitor, ready).await?;
        Ok(listener)
    }

    /// Opens the pool. If the database does not respond yet, its schema is checked in the background once it
    /// does.
    async fn open_pool(&mut self, database: &Database, schema: Schema) -> Result<PgPool> {
        let url = database.url.resolve()?;
        let pool = db::lazy_pool(url.expose_secret(), schema.name, database.connections)
            .context("the database address is not valid")?;
        if !schema_check::check(&pool, &schema).await? {
            let checking = schema_check::run(pool.clone(), schema, self.roles.tasks.token());
            self.roles.tasks.spawn("database", checking);
        }
        self.pool = Some(pool.clone());
        Ok(pool)
    }

    async fn bind(&self, listen: Option<SocketAddr>, tls: &Security) -> Result<TcpListener> {
        let address = listen.unwrap_or_else(|| tls.default_listen(self.role));
        TcpListener::bind(address)
            .await
            .with_context(|| format!("the {} cannot listen on {address}", self.role))
    }

    /// Re-reads certificate files while the role runs.
    fn reload_certificates(&mut self, transport: &Transport) {
        if let Transport::MutualTls(tls) = transport {
            let reloading = tls.clone().watch(self.roles.tasks.token());
            self.roles
                .tasks
                .spawn("certificates", infallible(reloading));
        }
    }

    async fn monitor(&mut self, monitor: &Monitor, ready: ReadinessCheck) -> Result<()> {
        let telemetry = self.telemetry.clone();
        let consumers = self.roles.consumer_states.clone();
        let tasks = &mut self.roles.tasks;
        monitor.serve(tasks, ready, consumers, telemetry).await
    }

    async fn finish(self) -> Result<()> {
        let result = self.roles.tasks.finish(DRAIN).await;
        self.telemetry.end().await;
        if let Some(pool) = self.pool {
            // A task that still holds a connection after the drain loses it when the process exits.
            let _ = tokio::time::timeout(CLOSE, pool.close()).await;
        }
        Ok(result?)
    }
}

async fn infallible(task: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    task.await;
    Ok(())
}
