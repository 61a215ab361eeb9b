//! The ledger records every event of every service once. It provides timelines of cases, conservation figures
//! and a tamper-evident log (RFC 6962).
//!
//! It decides nothing: it emits no events (and runs no relay), changes no other service's data, opens no
//! sealed value, and never changes a recorded leaf.

mod auth;
mod checkpoints;
mod commands;
mod config;
mod error;
mod events;
mod gauges;
mod grants;
mod grpc;
mod leaf;
mod lifecycle;
pub mod merkle;
pub mod note;
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
use platform::log::{self, Wakeup};
use platform::sealed::{Keyring, SigningContext, StaffTokenVerifier};
use platform::shutdown::{CancellationToken, Tasks};
use proto::v1::ledger_service_server::LedgerServiceServer;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

pub use checkpoints::CheckpointSigner;
pub use config::Config;
pub use error::Error;
pub use events::LedgerHandler;
pub use gauges::GAUGES;
pub use grants::GRANTS;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The ledger's database schema and its migrations.
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

/// The services whose events are recorded: all that emit events.
pub const PRODUCERS: [&str; 3] = ["intake", "verification", "dispatch"];

/// What the ledger needs from its process.
pub struct Deps {
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub config: Config,
    /// Where events are received from.
    pub bus: Bus,
}

/// Runs the gRPC server, the consumers and the signing of checkpoints until the shutdown.
///
/// # Errors
/// If the configuration is invalid, the keyring has no keys for staff tokens, or a task fails.
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
    .ok_or_else(|| Error::Failed("the keyring has no keys for staff tokens".into()))?;
    let consuming = Arc::new(AtomicBool::new(true));
    let still_consuming = Arc::clone(&consuming);
    let server = Server::new(proto::DESCRIPTORS)
        .add_service(LedgerServiceServer::new(grpc::LedgerGrpc::new(
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
            let ready = still_consuming.load(Ordering::Relaxed);
            Box::pin(async move { ready })
        }));

    let mut tasks = Tasks::new(shutdown);
    let token = tasks.token();
    tasks.spawn("grpc", server.serve(listener, token.clone()));
    let appended = Wakeup::default();
    for producer in PRODUCERS {
        let handler = LedgerHandler::new(deps.clock.clone());
        let consumer = Consumer::new(deps.pool.clone(), SCHEMA.name, producer, handler)
            .notifies(appended.clone())
            .with_bus(&deps.bus);
        let run = consumer.run(token.clone());
        tasks.spawn(
            producer,
            consume(run, Arc::clone(&consuming), token.clone()),
        );
    }
    let signer = CheckpointSigner::new(
        deps.pool,
        deps.keyring.signer(SigningContext::Checkpoint),
        deps.clock,
        &deps.config,
    );
    let signing = signer.run(appended, token.clone());
    tasks.spawn("checkpoints", async move {
        signing.await;
        Ok::<(), Error>(())
    });
    tasks
        .finish(Duration::from_secs(25))
        .await
        .map_err(|failed| Error::Failed(failed.to_string()))
}

/// Runs a consumer. If it stops, it has raised its own alarm; the other consumers and the server go on, but
/// the role is no longer ready.
async fn consume(
    consumer: impl Future<Output = Result<(), bus::Error>>,
    consuming: Arc<AtomicBool>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    if consumer.await.is_err() {
        consuming.store(false, Ordering::Relaxed);
        shutdown.cancelled().await;
    }
    Ok(())
}
