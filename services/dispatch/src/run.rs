//! Putting the role together: server, consumer, relay, timers, couriers, watcher. No logic.

use std::sync::Arc;
use std::time::Duration;

use platform::bus::{Bus, Consumer, ParkedServer};
use platform::clock::Clock;
use platform::connector::Connector;
use platform::db::{MigrationSet, Schema};
use platform::grpc::{Listener, MAX_MESSAGE, Server, database};
use platform::log::{Hint, LogServer, Relay};
use platform::sealed::{Keyring, SigningContext, StaffTokenVerifier};
use proto::v1::dispatch_service_server::DispatchServiceServer;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::channels::{Mail, Webhook};
use crate::checkpoint::Latest;
use crate::commands::Rules;
use crate::delivery::{Courier, Parts};
use crate::directory::Directory;
use crate::events::FromVerification;
use crate::grpc::Dispatch;
use crate::policy::Policy;
use crate::probe::Watcher;
use crate::timers::Timers;
use crate::{Config, Error};

const SERVICE: &str = "dispatch";

/// Who may read dispatch's log over the wire.
const READERS: [&str; 3] = ["intake", "verification", "ledger"];

/// Connections of the timers, beside those of calls and deliveries.
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

/// Bells between roles of one process. Unconnected ones cost some milliseconds, nothing else.
#[derive(Clone, Default)]
pub struct Hints {
    /// Rung by this service when its log has new positions.
    pub stamped: Hint,
    /// Rung by verification when its log has.
    pub verification: Hint,
}

/// What the role works with.
pub struct Deps {
    /// Sees the schema of [`SCHEMA`].
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    pub config: Config,
    pub policy: Arc<Policy>,
    /// The one way out: webhooks and checks.
    pub connector: Connector,
    /// Where checkpoints come from; none where there is no ledger.
    pub ledger: Option<Channel>,
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
    deps.config.check()?;
    let listener: Listener = listener.into();
    let rules = Rules {
        policy: Arc::clone(&deps.policy),
        directory: Directory::default(),
        keyring: Arc::clone(&deps.keyring),
        resolve_names: deps.config.resolve_names,
    };
    let staff = StaffTokenVerifier::new(deps.keyring.verifier(SigningContext::StaffToken), SERVICE)
        .ok_or_else(|| Error::Setting("the keyring has no keys for staff tokens".into()))?;
    // One bell for whatever a commit may have left to do: stamping and sending.
    let bell = Hint::default();
    let checkpoint = Latest::default();
    // All parts end together, for whatever reason; the caller's token is the caller's.
    let stop = shutdown.child_token();
    let mut loops: JoinSet<Result<(), Error>> = JoinSet::new();

    let relay = Relay::new(deps.pool.clone(), SERVICE, Uuid::new_v4())
        .with_hints(bell.clone(), deps.hints.stamped.clone())
        .on(&deps.bus);
    loops.spawn(always(relay.run(stop.clone())));
    let consumer = consumer(&deps, &rules).rings(bell.clone());
    let hearing = consumer.run(stop.clone());
    loops.spawn(async move { Ok(hearing.await?) });
    loops.spawn(always(timers(&deps, &rules, &bell).run(stop.clone())));
    loops.spawn(courier(&deps, &rules, &checkpoint, &bell)?.run(stop.clone()));
    let watcher = Watcher::new(
        deps.pool.clone(),
        deps.clock.clone(),
        rules.clone(),
        deps.connector.clone(),
        deps.config.probe.clone(),
    );
    loops.spawn(watcher.run(stop.clone()));
    if let Some(ledger) = deps.ledger.clone() {
        loops.spawn(always(checkpoint.clone().run(ledger, stop.clone())));
    }

    let service = Dispatch::new(&deps, rules, staff, checkpoint, webhook(&deps), bell);
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
    Error::Setting("a part of the role ended by a panic".into())
}

/// Waits for the shutdown, or for a part to end before it: a role that lacks one is not up, and says so by ending.
async fn supervise(
    loops: &mut JoinSet<Result<(), Error>>,
    shutdown: &CancellationToken,
) -> Option<Error> {
    tokio::select! {
        // First: after the shutdown every part ends, and none by itself.
        biased;
        () = shutdown.cancelled() => None,
        ended = loops.join_next() => Some(match ended {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) | None => Error::Setting("a part of the role ended by itself".into()),
            Some(Err(_)) => panicked(),
        }),
    }
}

fn consumer(deps: &Deps, rules: &Rules) -> Consumer<FromVerification> {
    let heed = FromVerification {
        rules: rules.clone(),
        clock: deps.clock.clone(),
        proofs: deps.keyring.verifier(SigningContext::Proof),
    };
    Consumer::new(deps.pool.clone(), SERVICE, "verification", heed)
        .woken_by(deps.hints.verification.clone())
        .on(&deps.bus)
}

fn timers(deps: &Deps, rules: &Rules, bell: &Hint) -> Timers {
    Timers {
        pool: platform::db::pool_beside(&deps.pool, TIMER_CONNECTIONS),
        clock: deps.clock.clone(),
        rules: rules.clone(),
        poll: Duration::from_millis(deps.config.timer_poll_millis.max(1)),
        bell: bell.clone(),
    }
}

fn webhook(deps: &Deps) -> Webhook {
    let signer = deps.keyring.signer(SigningContext::Notice);
    let timeout = deps.config.delivery.timeout();
    Webhook::new(deps.connector.clone(), signer, timeout)
}

fn courier(deps: &Deps, rules: &Rules, checkpoint: &Latest, bell: &Hint) -> Result<Courier, Error> {
    let settings = deps.config.delivery.clone();
    let timeout = settings.timeout();
    let mail = deps
        .config
        .mail
        .as_ref()
        .map(|mail| Mail::new(mail, &deps.config.hotline, &deps.keyring, timeout))
        .transpose()?;
    Ok(Courier::new(Parts {
        pool: deps.pool.clone(),
        clock: deps.clock.clone(),
        rules: rules.clone(),
        settings,
        hotline: deps.config.hotline.clone(),
        checkpoint: checkpoint.clone(),
        webhook: webhook(deps),
        connector: deps.connector.clone(),
        mail,
        bell: bell.clone(),
    }))
}
