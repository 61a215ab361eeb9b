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

use std::sync::Arc;

use platform::db::{MigrationSet, Schema};
use platform::grpc::{Listener, MAX_MESSAGE};
use platform::log::Wakeup;
use platform::service::{CoreDeps, CoreRole, RoleFailed};
use platform::shutdown::CancellationToken;
use proto::v1::verification_service_server::VerificationServiceServer;
use sqlx::migrate::Migrator;

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

/// Services that may read verification's log by gRPC.
const READERS: [&str; 3] = ["intake", "dispatch", "ledger"];

/// Database connections of the timers, in addition to those of the calls.
const TIMER_CONNECTIONS: u32 = 2;

/// What verification needs from the process that runs it.
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
    let context = Arc::new(CommandContext::new(
        Arc::clone(&deps.keyring),
        deps.config.clone(),
    ));
    let mut role = CoreRole::new(SERVICE, &deps, GAUGES, proto::DESCRIPTORS, &shutdown);
    role.produce(&READERS);
    role.consume(
        "intake",
        IntakeEventHandler {
            context: Arc::clone(&context),
            clock: deps.clock.clone(),
        },
    );
    role.consume(
        "dispatch",
        DispatchEventHandler {
            context: Arc::clone(&context),
            clock: deps.clock.clone(),
        },
    );
    let approved = Wakeup::default();
    let timers = Timers {
        pool: platform::db::pool_beside(&deps.pool, TIMER_CONNECTIONS),
        context: Arc::clone(&context),
        clock: deps.clock.clone(),
        appended: role.wakeup(),
        approved: approved.clone(),
    };
    role.work("timers", |stop| timers.run(stop));
    let service = Grpc::new(&deps, context, role.wakeup(), approved);
    role.serve(VerificationServiceServer::new(service).max_decoding_message_size(MAX_MESSAGE));
    role.run(listener).await
}
