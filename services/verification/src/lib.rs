//! Verification: the queue of reported cases, what decides them, and staff accounts.
//!
//! Receives reports from intake and review requests from dispatch. For an actionable case it emits a signed
//! approval proof, without which dispatch sends nothing. Must not fetch or show material, send anything to a
//! provider, or read another service's tables except the event logs.

mod auth;
mod case;
mod commands;
mod config;
mod context;
mod eligible_staff;
mod error;
mod events;
mod gauges;
mod grants;
mod grpc;
mod lifecycle;
mod matching;
mod priority;
mod proof;
mod staff;
mod store;
mod timers;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use platform::bus::{Bus, Consumer, ParkedServer};
use platform::clock::Clock;
use platform::db::{MigrationSet, Schema};
use platform::grpc::{Listener, Server};
use platform::log::{LogServer, Relay, Wakeup};
use platform::sealed::Keyring;
use platform::shutdown::{CancellationToken, Tasks};
use proto::v1::verification_service_server::VerificationServiceServer;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use uuid::Uuid;

pub use config::Config;
pub use error::{CommandRefusal, Error};
pub use gauges::GAUGES;
pub use grants::GRANTS;
pub use staff::{ensure_local_operator, open_local_session};

use context::CommandContext;
use events::{DispatchEventHandler, IntakeEventHandler};
use grpc::Grpc;
use timers::Timers;

/// The name of the service, of its schema and of its log, and the audience of tokens for it.
pub const SERVICE: &str = "verification";

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The service's schema and migrations.
pub const SCHEMA: Schema = Schema {
    name: SERVICE,
    sets: &[
        platform::log::MIGRATIONS,
        MigrationSet {
            name: SERVICE,
            migrator: &MIGRATOR,
        },
    ],
};

/// How long loops and calls may take to finish after the shutdown.
const DRAIN: Duration = Duration::from_secs(25);

/// Services that may read verification's log by gRPC.
const READERS: [&str; 3] = ["intake", "dispatch", "ledger"];

/// Database connections of the timers, in addition to those of the calls.
const TIMER_CONNECTIONS: u32 = 2;

/// In-process wake-ups between roles. Without them a role polls at its next tick, some milliseconds later.
#[derive(Clone, Default)]
pub struct Wakeups {
    /// Notified by this service when its log has new positions.
    pub positioned: Wakeup,
    /// Notified by intake when its log has new positions.
    pub intake: Wakeup,
    /// Notified by dispatch when its log has new positions.
    pub dispatch: Wakeup,
}

/// What verification needs from the process that runs it.
pub struct Deps {
    /// Its search path is the schema of [`SCHEMA`].
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub config: Config,
    pub wakeups: Wakeups,
    /// Carries events in and out.
    pub bus: Bus,
}

/// Runs the service until the shutdown, then drains it.
///
/// # Errors
///
/// [`Error::Serve`] if one of its parts fails or panics.
pub async fn run(
    deps: Deps,
    listener: impl Into<Listener>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let listener: Listener = listener.into();
    let context = Arc::new(CommandContext::new(
        Arc::clone(&deps.keyring),
        deps.config.clone(),
    ));
    // If one part ends, by an error or a panic, all of them end: a role must not appear healthy with a part
    // missing.
    let mut tasks = Tasks::new(shutdown);
    let stop = tasks.token();
    let relay = Relay::new(deps.pool.clone(), SERVICE, Uuid::new_v4())
        .with_wakeups(Wakeup::default(), deps.wakeups.positioned.clone())
        .with_bus(&deps.bus);
    let appended = relay.wakeup();
    let approved = Wakeup::default();
    let timers = Timers {
        pool: platform::db::pool_beside(&deps.pool, TIMER_CONNECTIONS),
        context: Arc::clone(&context),
        clock: deps.clock.clone(),
        appended: appended.clone(),
        approved: approved.clone(),
    };
    let intake_handler = IntakeEventHandler {
        context: Arc::clone(&context),
        clock: deps.clock.clone(),
    };
    let dispatch_handler = DispatchEventHandler {
        context: Arc::clone(&context),
        clock: deps.clock.clone(),
    };
    let consuming = Arc::new(AtomicBool::new(true));

    tasks.spawn("relay", infallible(relay.run(stop.clone())));
    tasks.spawn("timers", infallible(timers.run(stop.clone())));
    let intake = Consumer::new(deps.pool.clone(), SERVICE, "intake", intake_handler)
        .woken_by(deps.wakeups.intake.clone())
        .with_bus(&deps.bus);
    let consumer = consume(
        intake.run(stop.clone()),
        Arc::clone(&consuming),
        stop.clone(),
    );
    tasks.spawn("consumer of intake", infallible(consumer));
    let dispatch = Consumer::new(deps.pool.clone(), SERVICE, "dispatch", dispatch_handler)
        .woken_by(deps.wakeups.dispatch.clone())
        .with_bus(&deps.bus);
    let consumer = consume(
        dispatch.run(stop.clone()),
        Arc::clone(&consuming),
        stop.clone(),
    );
    tasks.spawn("consumer of dispatch", infallible(consumer));

    let log = LogServer::new(deps.pool.clone(), SERVICE, &READERS);
    let server = Server::new(proto::DESCRIPTORS)
        .add_service(log)
        .add_service(ParkedServer::new(deps.pool.clone(), &deps.keyring, SERVICE))
        .add_service(
            VerificationServiceServer::new(Grpc::new(&deps, context, appended, approved))
                .max_decoding_message_size(platform::grpc::MAX_MESSAGE),
        )
        .ready_while(platform::grpc::database(deps.pool.clone()))
        .ready_while(Arc::new(move || {
            let ready = consuming.load(Ordering::Relaxed);
            Box::pin(async move { ready })
        }));
    tasks.spawn("grpc", server.serve(listener, stop));
    tasks
        .finish(DRAIN)
        .await
        .map_err(|failed| Error::Serve(Box::new(failed)))
}

/// Adapts a loop that cannot fail to [`Tasks::spawn`].
async fn infallible(task: impl Future<Output = ()>) -> Result<(), Infallible> {
    task.await;
    Ok(())
}

/// Runs a consumer. If it stops with an error, it has raised its own alarm; the role continues to answer calls
/// but reports that it is not ready.
async fn consume(
    consumer: impl Future<Output = Result<(), platform::bus::Error>>,
    consuming: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    if consumer.await.is_err() {
        consuming.store(false, Ordering::Relaxed);
        stop.cancelled().await;
    }
}
