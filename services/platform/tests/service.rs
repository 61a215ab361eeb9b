//! A core role as `platform::service` runs it: what a failed part does to the rest.

mod support;

use std::sync::Arc;

use platform::bus::{EventHandler, HandlerError};
use platform::grpc;
use platform::log::Envelope;
use platform::sealed::Keyring;
use platform::service::{CoreDeps, CoreRole, RoleFailed};
use sqlx::PgConnection;
use support::{CONSUMER, LogFixture, PRODUCER, event, until};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

/// A handler with a bug.
struct PanickingHandler;

impl EventHandler for PanickingHandler {
    async fn handle(&self, _: &mut PgConnection, _: &[Envelope]) -> Result<(), HandlerError> {
        panic!("a bug in a handler");
    }
}

struct ServedRole {
    fixture: LogFixture,
    role: CoreRole,
    deps: CoreDeps<()>,
    shutdown: CancellationToken,
    _keys: tempfile::TempDir,
}

impl ServedRole {
    async fn new() -> Self {
        let fixture = LogFixture::new().await;
        let keys = tempfile::tempdir().unwrap();
        let keyring = Keyring::create(&keys.path().join("keyring.json")).unwrap();
        let deps = CoreDeps::new(fixture.consumer_pool.clone(), Arc::new(keyring), ());
        let shutdown = CancellationToken::new();
        let role = CoreRole::new(CONSUMER, &deps, &[], proto::DESCRIPTORS, &shutdown);
        Self {
            fixture,
            role,
            deps,
            shutdown,
            _keys: keys,
        }
    }
}

async fn serve(role: CoreRole) -> (Channel, tokio::task::JoinHandle<Result<(), RoleFailed>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let running = tokio::spawn(role.run(listener));
    (grpc::channel(&address).unwrap(), running)
}

#[tokio::test]
async fn a_consumer_that_panics_stops_alone_and_is_reported() {
    let mut served = ServedRole::new().await;
    served.role.consume(PRODUCER, PanickingHandler);
    let (channel, running) = serve(served.role).await;
    let name = grpc::consumer_health(PRODUCER);
    until("the role is ready", async || {
        grpc::is_ready(channel.clone()).await
    })
    .await;
    assert_eq!(grpc::health(channel.clone(), &name).await, Some(true));

    served.fixture.emit(&[event(Uuid::new_v4(), 1)]).await;
    until("the consumer has stopped", async || {
        grpc::health(channel.clone(), &name).await == Some(false)
    })
    .await;
    assert!(grpc::is_ready(channel).await);
    assert_eq!(
        served.deps.consumer_states.stopped(),
        [(CONSUMER, PRODUCER)]
    );
    served.shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_loop_that_ends_early_ends_the_role_and_is_named() {
    let mut served = ServedRole::new().await;
    served.role.work("timers", |_| async {});
    let (_, running) = serve(served.role).await;
    let failed = running.await.unwrap().unwrap_err();
    assert_eq!(failed.to_string(), "timers ended too early");
    assert!(
        !served.shutdown.is_cancelled(),
        "the caller's token is its own"
    );
}
