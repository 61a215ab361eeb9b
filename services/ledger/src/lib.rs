//! Ledger hears every event once and keeps it: timelines of cases, conservation of reports, and a tamper-evident log.
//!
//! It listens and decides nothing: it says no events of its own (so it runs no relay), changes nothing elsewhere, and
//! opens no sealed value. What it has written it never changes.

mod auth;
mod checkpoints;
mod commands;
mod config;
mod error;
mod events;
mod grants;
mod grpc;
mod leaf;
mod lifecycle;
pub mod merkle;
pub mod note;
mod signs;
mod store;
mod timeline;
pub mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use platform::bus::{self, Bus, Consumer};
use platform::clock::Clock;
use platform::db::{MigrationSet, Schema};
use platform::grpc::{Listener, Server, database};
use platform::log::{self, Hint};
use platform::sealed::{Keyring, SigningContext, StaffTokenVerifier};
use platform::shutdown::{CancellationToken, Tasks};
use proto::v1::ledger_service_server::LedgerServiceServer;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

pub use checkpoints::Checkpoints;
pub use config::Config;
pub use error::Error;
pub use events::Everything;
pub use grants::GRANTS;
pub use signs::SIGNS;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The ledger's part of the database.
pub const SCHEMA: Schema = Schema {
    name: "ledger",
    sets: &[
        log::MIGRATIONS,
        MigrationSet {
            name: "ledger",
            migrator: &MIGRATOR,
        },
    ],
};

/// Whom it hears: everybody who says events.
pub const PRODUCERS: [&str; 3] = ["intake", "verification", "dispatch"];

/// What the ledger needs from the process it runs in.
pub struct Deps {
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub config: Config,
    /// Carries events in.
    pub bus: Bus,
}

/// Serves until the shutdown, with its consumers and the signing of checkpoints.
pub async fn run(
    deps: Deps,
    listener: impl Into<Listener>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let listener: Listener = listener.into();
    deps.config.check()?;
    let staff = StaffTokenVerifier::new(
        deps.keyring.verifier(SigningContext::StaffToken),
        SCHEMA.name,
    )
    .ok_or_else(|| Error::Running("the keyring has no keys for staff tokens".into()))?;
    let hears = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&hears);
    let server = Server::new(proto::DESCRIPTORS)
        .add_service(LedgerServiceServer::new(grpc::Ledger::new(
            deps.pool.clone(),
            staff,
        )))
        .add_service(bus::ParkedServer::new(
            deps.pool.clone(),
            &deps.keyring,
            SCHEMA.name,
        ))
        .ready_while(database(deps.pool.clone()))
        .ready_while(Arc::new(move || {
            let still = still.load(Ordering::Relaxed);
            Box::pin(async move { still })
        }));

    let mut tasks = Tasks::new(shutdown);
    let token = tasks.token();
    tasks.spawn("grpc", server.serve(listener, token.clone()));
    let grown = Hint::default();
    for producer in PRODUCERS {
        let heed = Everything::new(deps.clock.clone());
        let consumer = Consumer::new(deps.pool.clone(), SCHEMA.name, producer, heed)
            .rings(grown.clone())
            .on(&deps.bus);
        let hearing = consumer.run(token.clone());
        tasks.spawn(producer, hear(hearing, Arc::clone(&hears), token.clone()));
    }
    let checkpoints = Checkpoints::new(
        deps.pool,
        deps.keyring.signer(SigningContext::Checkpoint),
        deps.clock,
        &deps.config,
    );
    let signing = checkpoints.run(grown, token.clone());
    tasks.spawn("checkpoints", async move {
        signing.await;
        Ok::<(), Error>(())
    });
    tasks
        .finish(Duration::from_secs(25))
        .await
        .map_err(|failed| Error::Running(failed.to_string()))
}

/// A consumer that stopped has raised its alarm. The others are still heard and calls answered, but the role is not
/// ready.
async fn hear(
    consumer: impl Future<Output = Result<(), bus::Error>>,
    hears: Arc<AtomicBool>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    if consumer.await.is_err() {
        hears.store(false, Ordering::Relaxed);
        shutdown.cancelled().await;
    }
    Ok(())
}
