//! The only way to run a core role: gRPC server, log, consumers, loops and gauges, from the start to the end of
//! the drain.
//!
//! A part that ends before the shutdown ends the role, because it would appear healthy with a part missing. A
//! consumer is the exception: it may have to stop for good, for example because the producer was restored from a
//! backup. It stops alone: its alarm is raised, [`ConsumerStates`] shows it in the detail of the readiness, and
//! the role goes on serving and working. Intake, above all, goes on accepting reports.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use uuid::Uuid;

use crate::bus::{Bus, Consumer, EventHandler, ParkedServer};
use crate::clock::Clock;
use crate::grpc::{self, ConsumerStates, Listener, Server};
use crate::log::{LogServer, LogWakeups, Relay, Wakeup};
use crate::metrics::{self, Gauge};
use crate::sealed::{Keyring, SigningContext, StaffTokenVerifier};
use crate::shutdown::{TaskFailed, Tasks};

/// How long the parts of a role may take to end after the shutdown.
const DRAIN: Duration = Duration::from_secs(25);

/// What every core role needs from the process that runs it.
#[derive(Clone)]
pub struct CoreDeps<C> {
    /// Its search path is the role's schema.
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub config: C,
    /// Carries events out and in.
    pub bus: Bus,
    /// The wake-ups of the logs that this process shares.
    pub log_wakeups: LogWakeups,
    /// Shared by the roles of a process and its monitoring endpoint.
    pub consumer_states: ConsumerStates,
}

impl<C> CoreDeps<C> {
    /// On the Local bus with the database's clock, sharing nothing with other roles of the process.
    pub fn new(pool: PgPool, keyring: Arc<Keyring>, config: C) -> Self {
        Self {
            pool,
            keyring,
            clock: Clock::Database,
            config,
            bus: Bus::Local,
            log_wakeups: LogWakeups::default(),
            consumer_states: ConsumerStates::default(),
        }
    }

    /// Verifies the staff tokens whose audience is this role.
    pub fn staff_tokens(&self, role: &'static str) -> StaffTokenVerifier {
        let verifier = self.keyring.verifier(SigningContext::StaffToken);
        // Cannot fail: the verifier was made for this context one line above.
        StaffTokenVerifier::new(verifier, role).expect("a verifier of staff tokens")
    }
}

/// Why a role did not start, or ended before the shutdown.
#[derive(Debug, thiserror::Error)]
pub enum RoleFailed {
    /// A setting is invalid; the sentence names it.
    #[error("{0}")]
    Setting(String),
    #[error(transparent)]
    Task(#[from] TaskFailed),
}

/// A core role while it is put together; [`CoreRole::run`] then runs it.
pub struct CoreRole {
    name: &'static str,
    pool: PgPool,
    bus: Bus,
    log_wakeups: LogWakeups,
    consumer_states: ConsumerStates,
    work: Wakeup,
    server: Server,
    tasks: Tasks,
}

impl CoreRole {
    /// A role with its gauges and its parked events. `name` is its schema, its log and the audience of the staff
    /// tokens for it; `descriptors` is the encoded descriptor set for reflection.
    pub fn new<C>(
        name: &'static str,
        deps: &CoreDeps<C>,
        gauges: &'static [Gauge],
        descriptors: &'static [u8],
        shutdown: &CancellationToken,
    ) -> Self {
        let parked = ParkedServer::new(deps.pool.clone(), &deps.keyring, name);
        let mut role = Self {
            name,
            pool: deps.pool.clone(),
            bus: deps.bus.clone(),
            log_wakeups: deps.log_wakeups.clone(),
            consumer_states: deps.consumer_states.clone(),
            work: Wakeup::default(),
            server: Server::new(descriptors)
                .add_service(parked)
                .ready_while(grpc::database(deps.pool.clone())),
            // The child leaves the caller's token uncancelled when this role fails.
            tasks: Tasks::new(shutdown.child_token()),
        };
        let (pool, clock) = (deps.pool.clone(), deps.clock.clone());
        role.work("gauges", |stop| {
            metrics::poll(pool, clock, name, gauges, stop)
        });
        role
    }

    /// Notified after each commit of this process that may have left something to do: positions to assign,
    /// messages to send, leaves to sign.
    pub fn wakeup(&self) -> Wakeup {
        self.work.clone()
    }

    /// Assigns positions to the events that this role appends, publishes them, and lets `readers` read its log.
    pub fn produce(&mut self, readers: &'static [&'static str]) {
        let relay = Relay::new(self.pool.clone(), self.name, Uuid::new_v4())
            .with_wakeups(self.work.clone(), self.log_wakeups.get(self.name))
            .with_bus(&self.bus);
        self.work("relay", |stop| relay.run(stop));
        self.serve(LogServer::new(self.pool.clone(), self.name, readers));
    }

    /// Consumes a producer's events. The consumer may stop alone; see the module.
    pub fn consume<H: EventHandler>(&mut self, producer: &'static str, handler: H) {
        let consumer = Consumer::new(self.pool.clone(), self.name, producer, handler)
            .woken_by(self.log_wakeups.get(producer))
            .notifies(self.work.clone())
            .with_bus(&self.bus);
        let (name, states) = (self.name, self.consumer_states.clone());
        states.set_running(name, producer);
        self.work(producer, async move |stop: CancellationToken| {
            let running = AssertUnwindSafe(consumer.run(stop.clone())).catch_unwind();
            match running.await {
                Ok(Ok(())) => return,
                // It has raised its own alarm.
                Ok(Err(_)) => {}
                Err(_) => tracing::error!(
                    alarm = "consumer_panicked",
                    bus.consumer = name,
                    bus.producer = producer,
                    "a consumer panicked and stops; the log has the location"
                ),
            }
            states.set_stopped(name, producer);
            stop.cancelled().await;
        });
    }

    /// Runs a loop that returns once its token is cancelled.
    pub fn work<F>(&mut self, name: &'static str, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = run(self.tasks.token());
        self.tasks.spawn(name, async {
            running.await;
            Ok::<_, Infallible>(())
        });
    }

    /// Serves a gRPC service beside the role's own.
    pub fn serve<S>(&mut self, service: S)
    where
        S: tower::Service<http::Request<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.server.serve_also(service);
    }

    /// Runs everything until the shutdown or until a part fails, then drains.
    ///
    /// # Errors
    ///
    /// Names the first part that failed.
    pub async fn run(mut self, listener: impl Into<Listener>) -> Result<(), RoleFailed> {
        let server = self.server.with_consumers(self.name, self.consumer_states);
        let listener: Listener = listener.into();
        let serving = server.serve(listener, self.tasks.token());
        self.tasks.spawn("grpc", serving);
        Ok(self.tasks.finish(DRAIN).await?)
    }
}
