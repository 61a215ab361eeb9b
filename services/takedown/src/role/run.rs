//! From a role's file to the role at work, and to its end within 25 seconds.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use platform::bus::{Bus, BusConfig, Kind};
use platform::clock::Clock;
use platform::db::{self, Schema};
use platform::grpc::{Check, Transport};
use platform::sealed::Keyring;
use platform::shutdown::{self, Tasks};
use platform::telemetry::Telemetry;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::config::{self, Database, Logs, Security};
use super::monitor::{self, Monitor};
use super::spawn::{self, Core, Reach};
use super::{Role, access, guard};
use crate::system::{PRODUCTION_POLICY, policy};

/// For what is in flight. The database's connections need a second more of the 25 that an end may take.
const DRAIN: Duration = Duration::from_secs(22);
const CLOSE: Duration = Duration::from_secs(1);

/// Runs a role until a signal ends it, or until it fails.
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
            let hints = verification::Hints::default();
            spawn::verification(&mut process.tasks, core, hints);
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
    process.end().await
}

async fn dispatch(process: &mut Process, file: config::Dispatch) -> Result<()> {
    let text = match &file.policy {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?
        }
        None => PRODUCTION_POLICY.to_owned(),
    };
    let transport = file.tls.transport(process.role.name())?;
    let reach = Reach {
        policy: policy(&text)?,
        way_out: file.outside.policy(&file.settings)?,
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
    spawn::dispatch(&mut process.tasks, core, reach, dispatch::Hints::default());
    Ok(())
}

async fn gateway(process: &mut Process, file: config::Gateway) -> Result<()> {
    let transport = file.tls.transport(process.role.name())?;
    let mail = match file.mail_listen {
        Some(at) => Some(process.bind(Some(at), &file.tls).await?),
        None => None,
    };
    let deps = gateway::Deps {
        intake: transport.channel("intake", &file.peers.intake)?,
        dispatch: transport.channel("dispatch", &file.peers.dispatch)?,
        mail,
        config: file.settings,
    };
    let listener = process.bind(file.listen, &file.tls).await?;
    process.watch(&transport);
    let ready = monitor::edge_answers(listener.local_addr()?);
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
    process.watch(&transport);
    let ready = monitor::edge_answers(listener.local_addr()?);
    process.monitor(&file.monitor, ready).await?;
    spawn::console(&mut process.tasks, deps, listener);
    Ok(())
}

/// One role's process on its way to work.
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
        let pool = self.database(&file.database, schema).await?;
        let bound = self.bind(file.listen, &file.tls).await?;
        self.watch(&transport);
        let itself = monitor::to_itself(&transport, self.role, bound.local_addr()?)?;
        let ready = monitor::answers(vec![itself]);
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

    /// A pool whose database is known to be fit for the role, or is watched until it is.
    async fn database(&mut self, database: &Database, schema: Schema) -> Result<PgPool> {
        let url = database.url.resolve()?;
        let pool = db::lazy_pool(url.expose_secret(), schema.name, database.connections)
            .context("the database's address is none")?;
        if !guard::check(&pool, &schema).await? {
            let watching = guard::watch(pool.clone(), schema, self.tasks.token());
            self.tasks.spawn("database", watching);
        }
        self.pool = Some(pool.clone());
        Ok(pool)
    }

    async fn bind(&self, listen: Option<SocketAddr>, tls: &Security) -> Result<TcpListener> {
        let at = listen.unwrap_or_else(|| tls.listen(self.role));
        TcpListener::bind(at)
            .await
            .with_context(|| format!("the {} cannot listen on {at}", self.role))
    }

    /// Certificates are read again while the role runs.
    fn watch(&mut self, transport: &Transport) {
        if let Transport::Proven(tls) = transport {
            let watching = tls.clone().watch(self.tasks.token());
            self.tasks.spawn("certificates", always(watching));
        }
    }

    async fn monitor(&mut self, monitor: &Monitor, ready: Check) -> Result<()> {
        let telemetry = self.telemetry.clone();
        monitor.serve(&mut self.tasks, ready, telemetry).await
    }

    async fn end(self) -> Result<()> {
        let ended = self.tasks.finish(DRAIN).await;
        self.telemetry.end().await;
        if let Some(pool) = self.pool {
            // Whoever still holds a connection after the drain loses it with the process.
            let _ = tokio::time::timeout(CLOSE, pool.close()).await;
        }
        Ok(ended?)
    }
}

/// The bus as the file has it, with a way to each log that the role hears.
fn bus(
    settings: &BusConfig,
    peers: &impl Logs,
    keyring: &Arc<Keyring>,
    transport: &Transport,
) -> Result<Bus> {
    let mut bus = Bus::open(settings, keyring)?;
    if settings.kind == Kind::Kafka {
        for (producer, address) in peers.logs() {
            bus = bus.with_log(producer, transport.channel(producer, address)?);
        }
    }
    Ok(bus)
}

async fn always(part: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    part.await;
    Ok(())
}
