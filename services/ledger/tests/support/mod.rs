//! Runs the ledger in this process on its own database. It consumes real event logs, to which the tests
//! append as the other services would, and is called by gRPC.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use domain::event::{self, Body};
use ledger::verify::{VerificationReport, Verifier};
use ledger::{Config, Deps, PRODUCERS, SCHEMA};
use platform::clock;
use platform::db::Schema;
use platform::log::{self, NewEvent, Relay, Wakeup};
use platform::principal::{Role, Roles};
use platform::sealed::{Keyring, SigningContext, StaffClaims, StaffTokenIssuer};
use proto::v1;
use proto::v1::ledger_service_client::LedgerServiceClient;
use sqlx::PgPool;
use testkit::TestDatabase;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

/// A running ledger with the event logs of its producers.
pub struct TestLedger {
    pub client: LedgerServiceClient<Channel>,
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    pub database: TestDatabase,
    logs: Vec<(&'static str, PgPool, Wakeup)>,
    shutdown: CancellationToken,
    _keys: tempfile::TempDir,
}

impl Drop for TestLedger {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl TestLedger {
    pub async fn start() -> Self {
        let producers = PRODUCERS.map(|name| Schema {
            name,
            sets: &[log::MIGRATIONS],
        });
        let database = TestDatabase::new(&[SCHEMA, producers[0], producers[1], producers[2]]).await;
        let keys = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&keys.path().join("keyring.json")).unwrap());
        let pool = database.pool(SCHEMA.name).await;
        let shutdown = CancellationToken::new();
        let mut logs = Vec::new();
        for producer in PRODUCERS {
            let pool = database.pool_with_size(producer, 3).await;
            let relay = Relay::new(pool.clone(), producer, Uuid::new_v4());
            logs.push((producer, pool, relay.wakeup()));
            tokio::spawn(relay.run(shutdown.clone()));
        }
        let mut test_ledger = Self {
            client: LedgerServiceClient::new(
                platform::grpc::channel("http://127.0.0.1:1").unwrap(),
            ),
            pool,
            keyring,
            database,
            logs,
            shutdown,
            _keys: keys,
        };
        test_ledger.client = test_ledger.serve().await;
        test_ledger
    }

    /// Starts another instance of the role on the same database and returns its client.
    pub async fn serve(&self) -> LedgerServiceClient<Channel> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let config = Config {
            checkpoint_within_ms: 100,
            ..Config::default()
        };
        let deps = Deps::new(self.pool.clone(), Arc::clone(&self.keyring), config);
        tokio::spawn(ledger::run(deps, listener, self.shutdown.clone()));
        LedgerServiceClient::new(platform::grpc::channel(&address).unwrap())
    }

    /// A request with a staff token with these roles.
    pub fn as_staff<T>(&self, roles: &[Role], message: T) -> tonic::Request<T> {
        self.with_token(roles, SCHEMA.name, message)
    }

    pub fn with_token<T>(&self, roles: &[Role], audience: &str, message: T) -> tonic::Request<T> {
        self.with_token_from(clock::wall(), roles, audience, message)
    }

    /// A request with a staff token that expired this many seconds ago.
    pub fn with_expired_token<T>(&self, message: T, seconds: i64) -> tonic::Request<T> {
        let from = clock::wall() - time::Duration::seconds(50 + seconds);
        self.with_token_from(from, &[Role::Auditor], SCHEMA.name, message)
    }

    fn with_token_from<T>(
        &self,
        from: time::OffsetDateTime,
        roles: &[Role],
        audience: &str,
        message: T,
    ) -> tonic::Request<T> {
        let issuer =
            StaffTokenIssuer::new(self.keyring.signer(SigningContext::StaffToken)).unwrap();
        let token = issuer
            .issue(&StaffClaims {
                subject: Uuid::from_u128(7),
                name: "Sam Example".into(),
                roles: roles.iter().copied().collect::<Roles>(),
                session: Uuid::from_u128(8),
                audience: audience.into(),
                issued_at: from,
                expires_at: from + time::Duration::seconds(50),
            })
            .unwrap();
        bearer(&token, message)
    }

    pub fn as_auditor<T>(&self, message: T) -> tonic::Request<T> {
        self.as_staff(&[Role::Auditor], message)
    }

    /// Appends an event to the log of a producer, as that service would, and returns the event's id.
    pub async fn emit(
        &self,
        producer: &'static str,
        case: Uuid,
        caused_by: Option<Uuid>,
        body: Body,
    ) -> Uuid {
        let event = NewEvent {
            id: Uuid::now_v7(),
            case_id: case,
            kind: event::name(&body),
            caused_by,
            traceparent: None,
            occurred_at: clock::wall(),
            payload: event::encode(body),
        };
        let id = event.id;
        self.append(producer, &[event]).await;
        id
    }

    pub async fn append(&self, producer: &'static str, events: &[NewEvent]) {
        let (_, pool, wakeup) = self.logs.iter().find(|log| log.0 == producer).unwrap();
        let mut tx = pool.begin().await.unwrap();
        log::append(&mut tx, events).await.unwrap();
        tx.commit().await.unwrap();
        wakeup.notify();
    }

    /// Emits that a report was received for the case, and returns the ids of the report and of the event.
    pub async fn report(&self, case: Uuid) -> (Uuid, Uuid) {
        let report = Uuid::now_v7();
        (
            report,
            self.emit("intake", case, None, received(report)).await,
        )
    }

    /// The conservation figures, without the gauges.
    pub async fn conservation(&self) -> v1::GetConservationResponse {
        let request = self.as_auditor(v1::GetConservationRequest {});
        let mut client = self.client.clone();
        let mut conservation = client.get_conservation(request).await.unwrap().into_inner();
        conservation.gauges.clear();
        conservation
    }

    /// Waits until this many events are recorded.
    pub async fn wait_for_events(&self, events: u64) -> v1::GetConservationResponse {
        let deadline = deadline();
        loop {
            let conservation = self.conservation().await;
            if conservation.events >= events {
                assert_eq!(conservation.events, events);
                return conservation;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "only {} of {events} events are recorded",
                conservation.events
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The newest checkpoint, requested without a credential.
    pub async fn latest(&self) -> Option<v1::Checkpoint> {
        let mut client = self.client.clone();
        let response = client.latest_checkpoint(v1::LatestCheckpointRequest {});
        response.await.unwrap().into_inner().checkpoint
    }

    /// Waits for a checkpoint of at least this size.
    pub async fn wait_for_checkpoint(&self, size: u64) -> v1::Checkpoint {
        let deadline = deadline();
        loop {
            if let Some(checkpoint) = self.latest().await.filter(|c| c.size >= size) {
                return checkpoint;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "there is no checkpoint of {size} leaves"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn leaves(&self, from_index: u64) -> Vec<v1::Leaf> {
        let request = self.as_auditor(v1::ReadLeavesRequest { from_index });
        let mut stream = self
            .client
            .clone()
            .read_leaves(request)
            .await
            .unwrap()
            .into_inner();
        let mut leaves = Vec::new();
        while let Some(message) = stream.message().await.unwrap() {
            assert!(message.leaves.len() <= 500);
            leaves.extend(message.leaves);
        }
        leaves
    }

    pub async fn checkpoints(&self) -> Vec<v1::Checkpoint> {
        let request = self.as_auditor(v1::ListCheckpointsRequest { from_size: 0 });
        let response = self.client.clone().list_checkpoints(request).await.unwrap();
        let response = response.into_inner();
        assert_eq!(response.next_size, 0);
        response.checkpoints
    }

    pub fn verifier(&self) -> Verifier {
        let keys = self.keyring.public_keys(SigningContext::Checkpoint);
        Verifier::new(&Config::default().origin, keys).unwrap()
    }

    /// Verifies the whole log as the CLI does.
    pub async fn verify(&self) -> VerificationReport {
        self.verify_with(self.verifier()).await
    }

    pub async fn verify_with(&self, mut verifier: Verifier) -> VerificationReport {
        for checkpoint in self.checkpoints().await {
            verifier.add_checkpoint(&checkpoint);
        }
        for leaf in self.leaves(0).await {
            verifier.add_leaf(&leaf);
        }
        verifier.finish()
    }

    pub async fn execute(&self, sql: &'static str) -> u64 {
        let done = sqlx::query(sql).execute(&self.pool).await.unwrap();
        done.rows_affected()
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

fn deadline() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(20)
}

pub fn received(report: Uuid) -> Body {
    Body::ReportReceived(v1::ReportReceived {
        report_id: report.to_string(),
        channel: v1::ReportChannel::Public.into(),
        media: v1::Media::Image.into(),
        wrapped_key: b"wrapped".as_slice().into(),
        sealed_content: b"sealed".as_slice().into(),
        opened_case: true,
        ..v1::ReportReceived::default()
    })
}

pub fn actionable() -> Body {
    Body::CaseActionable(v1::CaseActionable {
        decision_id: Uuid::now_v7().to_string(),
        category: v1::Category::A.into(),
        ..v1::CaseActionable::default()
    })
}

pub fn notice_key() -> v1::NoticeKey {
    v1::NoticeKey {
        notice_id: Uuid::from_u128(9).to_string(),
        provider_id: "amber-host".into(),
        episode: 1,
        step: 1,
        rung: v1::Rung::Host.into(),
    }
}

pub fn sent() -> Body {
    Body::NoticeSent(v1::NoticeSent {
        notice: Some(notice_key()),
        channel: v1::DeliveryChannel::Webhook.into(),
        attempts: 1,
        ..v1::NoticeSent::default()
    })
}

pub fn removed() -> Body {
    Body::RemovalConfirmed(v1::RemovalConfirmed {
        episode: 1,
        agreed: 3,
        checks: 3,
        ..v1::RemovalConfirmed::default()
    })
}

pub fn bearer<T>(token: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

pub fn stage<'a>(
    conservation: &'a v1::GetConservationResponse,
    name: &str,
) -> &'a v1::ConservationStage {
    conservation
        .stages
        .iter()
        .find(|s| s.stage == name)
        .unwrap()
}
