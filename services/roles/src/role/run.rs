//! Runs one role from its configuration file until a signal, and stops it within 25 seconds.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use platform::bus::{Bus, BusConfig, BusKind};
use platform::clock::Clock;
use platform::db::{self, Schema};
use platform::grpc::{ReadinessCheck, Transport};
use platform::sealed::Keyring;
use platform::shutdown::{self, Tasks};
use platform::telemetry::Telemetry;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::config::{self, Database, Logs, Security};
use super::monitor::{self, Monitor};
use super::spawn::{self, Core, Egress};
use super::{Role, access, schema_check};
use crate::system::{PRODUCTION_POLICY, policy};

/// Limit for work in flight. Closing the database connections takes another second of the 25 that shutdown
/// may take.
const DRAIN: Duration = Duration::from_secs(22);
const CLOSE: Duration = Duration::from_secs(1);

/// Runs a role until a signal or until it fails.
pub async fn run(role: Role, file: Option<&Path>) -> Result<()> {
    let signal = shutdown::on_signals()?;
    let mut process = Process {
        role,
        tasks: Tasks::new(signal),
        pool: None,
        telemetry: Telemetry::start(&format!("takedown-{role}"))?,
    };
    match role {
        Role::Intake => {
            let file: config::Intake = config::read(role, file)?;
            let core = process.core(file).await?;
            spawn::intake(&mut process.tasks, core);
        }
        Role::Verification => {
            let file: config::Verification = config::read(role, file)?;
            let core = process.core(file).await?;
            let wakeups = verification::Wakeups::default();
            spawn::verification(&mut process.tasks, core, wakeups);
        }
        Role::Dispatch => dispatch(&mut process, config::read(role, file)?).await?,
        Role::Ledger => {
            let file: config::Ledger = config::read(role, file)?;
            let core = process.core(file).await?;
            spawn::ledger(&mut process.tasks, core);
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
    let transport = file.tls.transport(process.role.name())?;
    let egress = Egress {
        policy: policy(&text)?,
        connector: file.egress.policy(&file.settings)?,
        ledger: transport.channel("ledger", &file.peers.ledger)?,
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
    let core = process.core_over(core, transport).await?;
    spawn::dispatch(
        &mut process.tasks,
        core,
        egress,
        dispatch::DispatchWakeups::default(),
    );
    Ok(())
}

async fn gateway(process: &mut Process, file: config::Gateway) -> Result<()> {
    let transport = file.tls.transport(process.role.name())?;
    let mail = match file.mail_listen {
        Some(address) => Some(process.bind(Some(address), &file.tls).await?),
        None => None,
    };
    let deps = gateway::Deps {
        intake: transport.channel("intake", &file.peers.intake)?,
        dispatch: transport.channel("dispatch", &file.peers.dispatch)?,
        mail,
        config: file.settings,
    };
    let listener = process.bind(file.listen, &file.tls).await?;
    process.reload_certificates(&transport);
    let ready = monitor::edge_is_ready(listener.local_addr()?);
    process.monitor(&file.monitor, ready).await?;
    spawn::gateway(&mut process.tasks, deps, listener);
    Ok(())
}

async fn console(process: &mut Process, file: config::Console) -> Result<()> {
    let transport = file.tls.transport(process.role.name())?;
    let deps = console::Deps {
        intake: transport.channel("intake", &file.peers.intake)?,
        verification: transport.channel("verification", &file.peers.verification)?,
        dispatch: transport.channel("dispatch", &file.peers.dispatch)?,
        ledger: transport.channel("ledger", &file.peers.ledger)?,
        config: file.settings,
    };
    let listener = process.bind(file.listen, &file.tls).await?;
    process.reload_certificates(&transport);
    let ready = monitor::edge_is_ready(listener.local_addr()?);
    process.monitor(&file.monitor, ready).await?;
    spawn::console(&mut process.tasks, deps, listener);
    Ok(())
}

/// A role's process while it starts and runs.
struct Process {
    role: Role,
    tasks: Tasks,
    pool: Option<PgPool>,
    telemetry: Telemetry,
}

impl Process {
    async fn core<C, P: Logs>(&mut self, file: config::Core<C, P>) -> Result<Core<C>> {
        let transport = file.tls.transport(self.role.name())?;
        self.core_over(file, transport).await
    }

    async fn core_over<C, P: Logs>(
        &mut self,
        file: config::Core<C, P>,
        transport: Transport,
    ) -> Result<Core<C>> {
        let keyring = Arc::new(Keyring::open(&file.keyring)?);
        let bus = bus(&file.bus, &file.peers, &keyring, &transport)?;
        let schema = self.role.schema().context("a core role has a schema")?;
        let pool = self.open_pool(&file.database, schema).await?;
        let bound = self.bind(file.listen, &file.tls).await?;
        self.reload_certificates(&transport);
        let own = monitor::own_channel(&transport, self.role, bound.local_addr()?)?;
        let ready = monitor::all_are_ready(vec![own]);
        self.monitor(&file.monitor, ready).await?;
        Ok(Core {
            pool,
            keyring,
            clock: Clock::Database,
            settings: file.settings,
            bus,
            listener: transport.listener(bound, &access::table())?,
        })
    }

    /// Opens the pool. If the database does not respond yet, its schema is checked in the background once it
    /// does.
    async fn open_pool(&mut self, database: &Database, schema: Schema) -> Result<PgPool> {
        let url = database.url.resolve()?;
        let pool = db::lazy_pool(url.expose_secret(), schema.name, database.connections)
            .context("the database address is not valid")?;
        if !schema_check::check(&pool, &schema).await? {
            let checking = schema_check::run(pool.clone(), schema, self.tasks.token());
            self.tasks.spawn("database", checking);
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
            let reloading = tls.clone().watch(self.tasks.token());
            self.tasks.spawn("certificates", infallible(reloading));
        }
    }

    async fn monitor(&mut self, monitor: &Monitor, ready: ReadinessCheck) -> Result<()> {
        let telemetry = self.telemetry.clone();
        monitor.serve(&mut self.tasks, ready, telemetry).await
    }

    async fn finish(self) -> Result<()> {
        let result = self.tasks.finish(DRAIN).await;
        self.telemetry.end().await;
        if let Some(pool) = self.pool {
            // A task that still holds a connection after the drain loses it when the process exits.
            let _ = tokio::time::timeout(CLOSE, pool.close()).await;
        }
        Ok(result?)
    }
}

/// Opens the configured bus, on Kafka with a channel to the log of each producer that the role consumes.
fn bus(
    settings: &BusConfig,
    peers: &impl Logs,
    keyring: &Arc<Keyring>,
    transport: &Transport,
) -> Result<Bus> {
    let mut bus = Bus::open(settings, keyring)?;
    if settings.kind == BusKind::Kafka {
        for (producer, address) in peers.logs() {
            bus = bus.with_log(producer, transport.channel(producer, address)?);
        }
    }
    Ok(bus)
}

async fn infallible(task: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    task.await;
    Ok(())
}
