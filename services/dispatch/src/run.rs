//! Puts the role together: log, consumer, timers, delivery worker, check worker and gRPC service. No logic.

use std::sync::Arc;
use std::time::Duration;

use platform::connector::Connector;
use platform::db::{MigrationSet, Schema};
use platform::grpc::{Listener, MAX_MESSAGE};
use platform::log::Wakeup;
use platform::sealed::SigningContext;
use platform::service::{CoreDeps, CoreRole, RoleFailed};
use proto::v1::dispatch_service_server::DispatchServiceServer;
use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::cases::{CommandDeps, Timers};
use crate::checks::CheckWorker;
use crate::delivery::{DeliveryDeps, DeliveryWorker, LatestCheckpoint, MailSender, WebhookSender};
use crate::directory::Directory;
use crate::events::VerificationHandler;
use crate::grpc::Dispatch;
use crate::policy::Policy;
use crate::{Config, GAUGES};

const SERVICE: &str = "dispatch";

/// Services that may read dispatch's log over gRPC.
const READERS: [&str; 3] = ["intake", "verification", "ledger"];

/// Database connections reserved for the timers.
const TIMER_CONNECTIONS: u32 = 3;

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

/// What dispatch needs from the process that runs it.
pub struct Deps {
    pub core: CoreDeps<Config>,
    pub policy: Arc<Policy>,
    /// For all outgoing HTTP: webhooks and checks.
    pub connector: Connector,
    /// Source of checkpoints; `None` without a ledger.
    pub ledger: Option<Channel>,
}

/// Runs the role until the shutdown.
///
/// # Errors
/// A setting is invalid, or a part of the role failed.
pub async fn run(
    deps: Deps,
    listener: impl Into<Listener>,
    shutdown: CancellationToken,
) -> Result<(), RoleFailed> {
    let core = &deps.core;
    core.config.check()?;
    let command_deps = CommandDeps {
        policy: Arc::clone(&deps.policy),
        directory: Directory::default(),
        keyring: Arc::clone(&core.keyring),
        resolve_names: core.config.resolve_names,
    };
    let checkpoint = LatestCheckpoint::default();
    let mut role = CoreRole::new(SERVICE, core, GAUGES, proto::DESCRIPTORS, &shutdown);
    role.produce(&READERS);
    role.consume(
        "verification",
        VerificationHandler {
            deps: command_deps.clone(),
            clock: core.clock.clone(),
            proofs: core.keyring.verifier(SigningContext::Proof),
        },
    );
    let timers = timers(core, &command_deps, role.wakeup());
    role.work("timers", |stop| timers.run(stop));
    let delivery = delivery_worker(&deps, &command_deps, &checkpoint, role.wakeup())?;
    role.work("delivery", |stop| delivery.run(stop));
    let checks = CheckWorker::new(
        core.pool.clone(),
        core.clock.clone(),
        command_deps.clone(),
        deps.connector.clone(),
        core.config.checks.clone(),
    );
    role.work("checks", |stop| checks.run(stop));
    if let Some(ledger) = deps.ledger.clone() {
        let checkpoint = checkpoint.clone();
        role.work("checkpoint", |stop| checkpoint.run(ledger, stop));
    }
    let service = Dispatch::new(
        core,
        command_deps,
        core.staff_tokens(SERVICE),
        checkpoint,
        webhook(&deps),
        role.wakeup(),
    );
    role.serve(DispatchServiceServer::new(service).max_decoding_message_size(MAX_MESSAGE));
    role.run(listener).await
}

fn timers(deps: &CoreDeps<Config>, command_deps: &CommandDeps, wakeup: Wakeup) -> Timers {
    Timers {
        pool: platform::db::pool_beside(&deps.pool, TIMER_CONNECTIONS),
        clock: deps.clock.clone(),
        deps: command_deps.clone(),
        poll: Duration::from_millis(deps.config.timer_poll_millis.max(1)),
        wakeup,
    }
}

fn webhook(deps: &Deps) -> WebhookSender {
    let signer = deps.core.keyring.signer(SigningContext::Notice);
    let timeout = deps.core.config.delivery.timeout();
    WebhookSender::new(deps.connector.clone(), signer, timeout)
}

fn delivery_worker(
    deps: &Deps,
    command_deps: &CommandDeps,
    checkpoint: &LatestCheckpoint,
    wakeup: Wakeup,
) -> Result<DeliveryWorker, RoleFailed> {
    let config = &deps.core.config;
    let settings = config.delivery.clone();
    let timeout = settings.timeout();
    let mail = config
        .mail
        .as_ref()
        .map(|mail| MailSender::new(mail, &config.hotline, &deps.core.keyring, timeout))
        .transpose()?;
    Ok(DeliveryWorker::new(DeliveryDeps {
        pool: deps.core.pool.clone(),
        clock: deps.core.clock.clone(),
        command_deps: command_deps.clone(),
        settings,
        hotline: config.hotline.clone(),
        checkpoint: checkpoint.clone(),
        webhook: webhook(deps),
        connector: deps.connector.clone(),
        mail,
        wakeup,
    }))
}
