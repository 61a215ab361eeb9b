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

use platform::db::{MigrationSet, Schema};
use platform::grpc::Listener;
use platform::log;
use platform::sealed::SigningContext;
use platform::service::{CoreDeps, CoreRole, RoleFailed};
use platform::shutdown::CancellationToken;
use proto::v1::ledger_service_server::LedgerServiceServer;
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

/// What the ledger needs from the process that runs it.
pub type Deps = CoreDeps<Config>;

/// Runs the role until the shutdown.
///
/// # Errors
///
/// A setting is invalid, or a part of the role failed.
pub async fn run(
    deps: Deps,
    listener: impl Into<Listener>,
    shutdown: CancellationToken,
) -> Result<(), RoleFailed> {
    deps.config.check()?;
    let mut role = CoreRole::new(SCHEMA.name, &deps, GAUGES, proto::DESCRIPTORS, &shutdown);
    for producer in PRODUCERS {
        role.consume(producer, LedgerHandler::new(deps.clock.clone()));
    }
    let staff = deps.staff_tokens(SCHEMA.name);
    role.serve(LedgerServiceServer::new(grpc::LedgerGrpc::new(
        deps.pool.clone(),
        staff,
    )));
    let signer = deps.keyring.signer(SigningContext::Checkpoint);
    let checkpoints = CheckpointSigner::new(deps.pool, signer, deps.clock, &deps.config);
    let recorded = role.wakeup();
    role.work("checkpoints", |stop| checkpoints.run(recorded, stop));
    role.run(listener).await
}
