//! Intake accepts reports, finds or opens the case of each URL, and returns a report's outcome by its
//! reference.
//!
//! It must not assess content or contact hosts, and a URL must not leave memory unsealed. A receipt is given
//! only after commit.

mod auth;
mod commands;
mod error;
mod events;
mod gauges;
mod grants;
mod grpc;
mod lifecycle;
mod store;
mod submission;

use std::sync::Arc;
use std::time::Duration;

use platform::bus::{Bus, Consumer, ParkedServer};
use platform::clock::Clock;
use platform::db::{MigrationSet, Schema};
use platform::grpc::{Listener, Server, database};
use platform::log::{self, LogServer, Relay, Wakeup};
use platform::sealed::{Keyring, SigningContext, StaffTokenVerifier};
use platform::shutdown::{CancellationToken, Tasks};
use proto::v1::intake_service_server::IntakeServiceServer;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use uuid::Uuid;

pub use error::Error;
pub use gauges::GAUGES;
pub use grants::GRANTS;
pub use submission::MAX_REPORTS;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Intake's part of the database.
pub const SCHEMA: Schema = Schema {
    name: "intake",
    sets: &[
        log::MIGRATIONS,
        MigrationSet {
            name: "intake",
            migrator: &MIGRATOR,
        },
    ],
};

/// The services that may read intake's log by gRPC.
const READERS: [&str; 2] = ["verification", "ledger"];

/// Intake's settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often the credential of a stream is verified again, in seconds; 0 for every message.
    pub credential_recheck_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            credential_recheck_seconds: 60,
        }
    }
}

/// What intake needs from the process it runs in.
pub struct Deps {
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub config: Config,
    /// Transport of the events that intake appends and consumes.
    pub bus: Bus,
}

/// Serves until `shutdown`, and runs the relay and the consumers.
pub async fn run(
    deps: Deps,
    listener: impl Into<Listener>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let listener: Listener = listener.into();
    let staff = StaffTokenVerifier::new(
        deps.keyring.verifier(SigningContext::StaffToken),
        SCHEMA.name,
    )
    .ok_or_else(|| Error::Running("the keyring has no keys for staff tokens".into()))?;
    let appended = Wakeup::default();
    let relay = Relay::new(deps.pool.clone(), SCHEMA.name, Uuid::new_v4())
        .with_wakeups(appended.clone(), Wakeup::default())
        .with_bus(&deps.bus);
    let parked = ParkedServer::new(deps.pool.clone(), &deps.keyring, SCHEMA.name);
    let service = grpc::Intake::new(
        deps.pool.clone(),
        deps.keyring,
        staff,
        deps.clock,
        Duration::from_secs(deps.config.credential_recheck_seconds),
        appended,
    );
    let server = Server::new(proto::DESCRIPTORS)
        .add_service(IntakeServiceServer::new(service))
        .add_service(LogServer::new(deps.pool.clone(), SCHEMA.name, &READERS))
        .add_service(parked)
        .ready_while(database(deps.pool.clone()));

    let mut tasks = Tasks::new(shutdown);
    let token = tasks.token();
    tasks.spawn("grpc", server.serve(listener, token.clone()));
    let relaying = relay.run(token.clone());
    tasks.spawn("relay", async move {
        relaying.await;
        Ok::<(), Error>(())
    });
    for producer in ["verification", "dispatch"] {
        let consumer = Consumer::new(
            deps.pool.clone(),
            SCHEMA.name,
            producer,
            events::OutcomeHandler,
        )
        .with_bus(&deps.bus);
        tasks.spawn(producer, consumer.run(token.clone()));
    }
    tasks
        .finish(Duration::from_secs(25))
        .await
        .map_err(|failed| Error::Running(failed.to_string()))
}
