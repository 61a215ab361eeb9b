//! Builds and runs the role: server, consumer, relay, timers, delivery worker and check worker. No logic.

use std::sync::Arc;
use std::time::Duration;

use platform::bus::{Bus, Consumer, ParkedServer};
use platform::clock::Clock;
use platform::connector::Connector;
use platform::db::{MigrationSet, Schema};
use platform::grpc::{Listener, MAX_MESSAGE, Server, database};
use platform::log::{LogServer, Relay, Wakeup};
use platform::sealed::{Keyring, SigningContext, StaffTokenVerifier};
use proto::v1::dispatch_service_server::DispatchServiceServer;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::cases::{CommandDeps, Timers};
use crate::checks::CheckWorker;
use crate::delivery::{DeliveryDeps, DeliveryWorker, LatestCheckpoint, MailSender, WebhookSender};
use crate::directory::Directory;
use crate::events::VerificationHandler;
use crate::grpc::Dispatch;
use crate::policy::Policy;
use crate::{Config, Error};

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

/// Wake-ups between roles of one process. Without them events arrive some milliseconds later.
#[derive(Clone, Default)]
pub struct DispatchWakeups {
    /// Notified by this service when events have got positions in its log.
    pub positioned: Wakeup,
    /// Notified by verification when events have got positions in its log.
    pub verification: Wakeup,
}

/// Dependencies of the role.
pub struct Deps {
    /// Connected to the database schema of [`SCHEMA`].
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub config: Config,
    pub policy: Arc<Policy>,
    /// For all outgoing HTTP: webhooks and checks.
    pub connector: Connector,
    /// Source of checkpoints; `None` without a ledger.
    pub ledger: Option<Channel>,
    pub wakeups: DispatchWakeups,
    /// Transports events in and out.
    pub bus: Bus,
}

/// Runs the role until the shutdown, then drains.
///
/// # Errors
/// An invalid setting, or the first failure of a part of the role.
pub async fn run(
    deps: Deps,
    listener: impl Into<Listener>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    deps.config.check()?;
    let listener: Listener = listener.into();
    let command_deps = CommandDeps {
        policy: Arc::clone(&deps.policy),
        directory: Directory::default(),
        keyring: Arc::clone(&deps.keyring),
        resolve_names: deps.config.resolve_names,
    };
    let staff = StaffTokenVerifier::new(deps.keyring.verifier(SigningContext::StaffToken), SERVICE)
        .ok_or_else(|| Error::Setting("the keyring has no keys for staff tokens".into()))?;
    // One wake-up for everything that a commit may have left to do: assigning positions and sending.
    let wakeup = Wakeup::default();
    let checkpoint = LatestCheckpoint::default();
    // All parts end together. The child token leaves the caller's token uncancelled.
    let stop = shutdown.child_token();
    let mut loops: JoinSet<Result<(), Error>> = JoinSet::new();

    let relay = Relay::new(deps.pool.clone(), SERVICE, Uuid::new_v4())
        .with_wakeups(wakeup.clone(), deps.wakeups.positioned.clone())
        .with_bus(&deps.bus);
    loops.spawn(always(relay.run(stop.clone())));
    let consumer = consumer(&deps, &command_deps).notifies(wakeup.clone());
    let consuming = consumer.run(stop.clone());
    loops.spawn(async move { Ok(consuming.await?) });
    loops.spawn(always(
        timers(&deps, &command_deps, &wakeup).run(stop.clone()),
    ));
    loops.spawn(delivery_worker(&deps, &command_deps, &checkpoint, &wakeup)?.run(stop.clone()));
    let check_worker = CheckWorker::new(
        deps.pool.clone(),
        deps.clock.clone(),
        command_deps.clone(),
        deps.connector.clone(),
        deps.config.checks.clone(),
    );
    loops.spawn(check_worker.run(stop.clone()));
    if let Some(ledger) = deps.ledger.clone() {
        loops.spawn(always(checkpoint.clone().run(ledger, stop.clone())));
    }

    let service = Dispatch::new(
        &deps,
        command_deps,
        staff,
        checkpoint,
        webhook(&deps),
        wakeup,
    );
    let server = Server::new(proto::DESCRIPTORS)
        .add_service(DispatchServiceServer::new(service).max_decoding_message_size(MAX_MESSAGE))
        .add_service(LogServer::new(deps.pool.clone(), SERVICE, &READERS))
        .add_service(ParkedServer::new(deps.pool.clone(), &deps.keyring, SERVICE))
        .ready_while(database(deps.pool.clone()));
    let serving = server.serve(listener, stop.clone());
    loops.spawn(async move { Ok(serving.await?) });
    let failed = supervise(&mut loops, &shutdown).await;
    stop.cancel();
    let mut outcome = failed.map_or(Ok(()), Err);
    while let Some(ended) = loops.join_next().await {
        outcome = outcome.and(ended.unwrap_or_else(|_| Err(panicked())));
    }
    outcome
}

async fn always(part: impl Future<Output = ()>) -> Result<(), Error> {
    part.await;
    Ok(())
}

fn panicked() -> Error {
    Error::Setting("a part of the role panicked".into())
}

/// Waits for the shutdown, or for a part to end before it. The role then ends, because it is incomplete
/// without that part.
async fn supervise(
    loops: &mut JoinSet<Result<(), Error>>,
    shutdown: &CancellationToken,
) -> Option<Error> {
    tokio::select! {
        // The shutdown is polled first: after it, an ended part is no failure.
        biased;
        () = shutdown.cancelled() => None,
        ended = loops.join_next() => Some(match ended {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) | None => Error::Setting("a part of the role ended unexpectedly".into()),
            Some(Err(_)) => panicked(),
        }),
    }
}

fn consumer(deps: &Deps, command_deps: &CommandDeps) -> Consumer<VerificationHandler> {
    let handler = VerificationHandler {
        deps: command_deps.clone(),
        clock: deps.clock.clone(),
        proofs: deps.keyring.verifier(SigningContext::Proof),
    };
    Consumer::new(deps.pool.clone(), SERVICE, "verification", handler)
        .woken_by(deps.wakeups.verification.clone())
        .with_bus(&deps.bus)
}

fn timers(deps: &Deps, command_deps: &CommandDeps, wakeup: &Wakeup) -> Timers {
    Timers {
        pool: platform::db::pool_beside(&deps.pool, TIMER_CONNECTIONS),
        clock: deps.clock.clone(),
        deps: command_deps.clone(),
        poll: Duration::from_millis(deps.config.timer_poll_millis.max(1)),
        wakeup: wakeup.clone(),
    }
}

fn webhook(deps: &Deps) -> WebhookSender {
    let signer = deps.keyring.signer(SigningContext::Notice);
    let timeout = deps.config.delivery.timeout();
    WebhookSender::new(deps.connector.clone(), signer, timeout)
}

fn delivery_worker(
    deps: &Deps,
    command_deps: &CommandDeps,
    checkpoint: &LatestCheckpoint,
    wakeup: &Wakeup,
) -> Result<DeliveryWorker, Error> {
    let settings = deps.config.delivery.clone();
    let timeout = settings.timeout();
    let mail = deps
        .config
        .mail
        .as_ref()
        .map(|mail| MailSender::new(mail, &deps.config.hotline, &deps.keyring, timeout))
        .transpose()?;
    Ok(DeliveryWorker::new(DeliveryDeps {
        pool: deps.pool.clone(),
        clock: deps.clock.clone(),
        command_deps: command_deps.clone(),
        settings,
        hotline: deps.config.hotline.clone(),
        checkpoint: checkpoint.clone(),
        webhook: webhook(deps),
        connector: deps.connector.clone(),
        mail,
        wakeup: wakeup.clone(),
    }))
}
