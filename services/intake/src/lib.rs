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

use std::time::Duration;

use platform::db::{MigrationSet, Schema};
use platform::grpc::Listener;
use platform::log;
use platform::service::{CoreDeps, CoreRole, RoleFailed};
use platform::shutdown::CancellationToken;
use proto::v1::intake_service_server::IntakeServiceServer;
use sqlx::migrate::Migrator;

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

/// What intake needs from the process that runs it.
pub type Deps = CoreDeps<Config>;

/// Runs the role until the shutdown.
///
/// # Errors
///
/// A part of the role failed.
pub async fn run(
    deps: Deps,
    listener: impl Into<Listener>,
    shutdown: CancellationToken,
) -> Result<(), RoleFailed> {
    let mut role = CoreRole::new(SCHEMA.name, &deps, GAUGES, proto::DESCRIPTORS, &shutdown);
    role.produce(&READERS);
    for producer in ["verification", "dispatch"] {
        role.consume(producer, events::OutcomeHandler);
    }
    let staff = deps.staff_tokens(SCHEMA.name);
    role.serve(IntakeServiceServer::new(grpc::Intake::new(
        deps.pool,
        deps.keyring,
        staff,
        deps.clock,
        Duration::from_secs(deps.config.credential_recheck_seconds),
        role.wakeup(),
    )));
    role.run(listener).await
}
