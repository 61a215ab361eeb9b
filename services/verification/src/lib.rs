//! Verification: the queue of reported cases, what decides them, and the staff who do.
//!
//! It hears reports from intake and questions from dispatch; it says which case is actionable, with a signed proof
//! without which nothing is ever sent. It must not fetch or show material, send anything to a provider, or read
//! another service's tables but the event logs.

mod auth;
mod case;
mod commands;
mod config;
mod error;
mod events;
mod grants;
mod grpc;
mod lifecycle;
mod matching;
mod means;
mod proof;
mod roster;
mod signs;
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
use platform::log::{Hint, LogServer, Relay};
use platform::sealed::Keyring;
use platform::shutdown::{CancellationToken, Tasks};
use proto::v1::verification_service_server::VerificationServiceServer;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use uuid::Uuid;

pub use config::Config;
pub use error::{Error, Refusal};
pub use grants::GRANTS;
pub use signs::SIGNS;
pub use staff::{ensure_local_operator, open_local_session};

use events::{FromDispatch, FromIntake};
use grpc::Grpc;
use means::Means;
use timers::Timers;

/// The name of the service: its schema, its log, and the audience of tokens for it.
pub const SERVICE: &str = "verification";

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The service's part of the database.
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

/// What the loops and calls get to end in.
const DRAIN: Duration = Duration::from_secs(25);

/// Who may read verification's log over the wire.
const READERS: [&str; 3] = ["intake", "dispatch", "ledger"];

/// Connections of the timers, beside those of the calls.
const TIMER_CONNECTIONS: u32 = 2;

/// Bells between roles of one process. Unconnected ones cost some milliseconds, nothing else.
#[derive(Clone, Default)]
pub struct Hints {
    /// Rung by this service when its log has new positions.
    pub stamped: Hint,
    /// Rung by intake and dispatch when theirs have.
    pub intake: Hint,
    pub dispatch: Hint,
}

pub struct Deps {
    /// Sees the schema of [`SCHEMA`].
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub config: Config,
    pub hints: Hints,
    /// Carries events in and out.
    pub bus: Bus,
}

/// Serves until the shutdown, then drains.
pub async fn run(
    deps: Deps,
    listener: impl Into<Listener>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let listener: Listener = listener.into();
    let means = Arc::new(Means::new(Arc::clone(&deps.keyring), deps.config.clone()));
    // One part that ends, by an error or a panic, ends all: a role that has gone deaf must not look alive.
    let mut tasks = Tasks::new(shutdown);
    let stop = tasks.token();
    let relay = Relay::new(deps.pool.clone(), SERVICE, Uuid::new_v4())
        .with_hints(Hint::default(), deps.hints.stamped.clone())
        .on(&deps.bus);
    let appended = relay.hint();
    let approved = Hint::default();
    let timers = Timers {
        pool: platform::db::pool_beside(&deps.pool, TIMER_CONNECTIONS),
        means: Arc::clone(&means),
        clock: deps.clock.clone(),
        appended: appended.clone(),
        approved: approved.clone(),
    };
    let from_intake = FromIntake {
        means: Arc::clone(&means),
        clock: deps.clock.clone(),
    };
    let from_dispatch = FromDispatch {
        means: Arc::clone(&means),
        clock: deps.clock.clone(),
    };
    let hears = Arc::new(AtomicBool::new(true));

    tasks.spawn("relay", ends(relay.run(stop.clone())));
    tasks.spawn("timers", ends(timers.run(stop.clone())));
    let intake = Consumer::new(deps.pool.clone(), SERVICE, "intake", from_intake)
        .woken_by(deps.hints.intake.clone())
        .on(&deps.bus);
    let hearing = hear(intake.run(stop.clone()), Arc::clone(&hears), stop.clone());
    tasks.spawn("hearing intake", ends(hearing));
    let dispatch = Consumer::new(deps.pool.clone(), SERVICE, "dispatch", from_dispatch)
        .woken_by(deps.hints.dispatch.clone())
        .on(&deps.bus);
    let hearing = hear(dispatch.run(stop.clone()), Arc::clone(&hears), stop.clone());
    tasks.spawn("hearing dispatch", ends(hearing));

    let log = LogServer::new(deps.pool.clone(), SERVICE, &READERS);
    let server = Server::new(proto::DESCRIPTORS)
        .add_service(log)
        .add_service(ParkedServer::new(deps.pool.clone(), &deps.keyring, SERVICE))
        .add_service(
            VerificationServiceServer::new(Grpc::new(&deps, means, appended, approved))
                .max_decoding_message_size(platform::grpc::MAX_MESSAGE),
        )
        .ready_while(platform::grpc::database(deps.pool.clone()))
        .ready_while(Arc::new(move || {
            let hears = hears.load(Ordering::Relaxed);
            Box::pin(async move { hears })
        }));
    tasks.spawn("grpc", server.serve(listener, stop));
    tasks
        .finish(DRAIN)
        .await
        .map_err(|failed| Error::Serve(Box::new(failed)))
}

/// A loop that fails in no way but by ending.
async fn ends(task: impl Future<Output = ()>) -> Result<(), Infallible> {
    task.await;
    Ok(())
}

/// A consumer that stopped has raised its alarm; calls are still answered, but the role is not ready.
async fn hear(
    consumer: impl Future<Output = Result<(), platform::bus::Error>>,
    hears: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    if consumer.await.is_err() {
        hears.store(false, Ordering::Relaxed);
        stop.cancelled().await;
    }
}
