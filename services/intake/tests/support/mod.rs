//! Intake in the test process with its own database, called through gRPC as its users do.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;
use std::time::Duration;

use intake::{Config, Deps, SCHEMA};
use platform::clock;
use platform::db::Schema;
use platform::log::{self, NewEvent, Relay};
use platform::principal::{Role, Roles};
use platform::sealed::{Keyring, SigningContext, StaffClaims, StaffTokenIssuer};
use proto::v1;
use proto::v1::intake_service_client::IntakeServiceClient;
use sqlx::PgPool;
use testkit::TestDatabase;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

/// The logs that intake consumes.
const CONSUMED_LOGS: [Schema; 2] = [
    Schema {
        name: "verification",
        sets: &[log::MIGRATIONS],
    },
    Schema {
        name: "dispatch",
        sets: &[log::MIGRATIONS],
    },
];

pub struct TestIntake {
    pub client: IntakeServiceClient<Channel>,
    pub channel: Channel,
    pub pool: PgPool,
    pub keyring: Arc<Keyring>,
    database: TestDatabase,
    shutdown: CancellationToken,
    keys: tempfile::TempDir,
}

async fn serve(
    pool: PgPool,
    keyring: Arc<Keyring>,
    config: Config,
    shutdown: CancellationToken,
) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let deps = Deps::new(pool, keyring, config);
    tokio::spawn(intake::run(deps, listener, shutdown));
    platform::grpc::channel(&address).unwrap()
}

impl Drop for TestIntake {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl TestIntake {
    pub async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub async fn start_with(config: Config) -> Self {
        let database = TestDatabase::new(&[SCHEMA, CONSUMED_LOGS[0], CONSUMED_LOGS[1]]).await;
        let keys = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&keys.path().join("keyring.json")).unwrap());
        let pool = database.pool(SCHEMA.name).await;
        let shutdown = CancellationToken::new();
        let channel = serve(pool.clone(), Arc::clone(&keyring), config, shutdown.clone()).await;
        for schema in CONSUMED_LOGS {
            let relay = Relay::new(
                database.pool(schema.name).await,
                schema.name,
                Uuid::new_v4(),
            );
            tokio::spawn(relay.run(shutdown.clone()));
        }
        Self {
            client: IntakeServiceClient::new(channel.clone()),
            channel,
            pool,
            keyring,
            database,
            shutdown,
            keys,
        }
    }

    /// Another instance of intake with the same database, after a rotation of the key for request MACs.
    pub async fn with_another_body_key(&self) -> IntakeServiceClient<Channel> {
        let json = std::fs::read(self.keys.path().join("keyring.json")).unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let another = json["link"]["keys"][0]["key"].clone();
        let body_keys = &mut json["body"];
        body_keys["current"] = "h-next".into();
        let next = serde_json::json!({"id": "h-next", "key": another});
        body_keys["keys"].as_array_mut().unwrap().insert(0, next);
        let keyring = Arc::new(Keyring::parse(&json.to_string()).unwrap());
        let (pool, shutdown) = (self.pool.clone(), self.shutdown.clone());
        IntakeServiceClient::new(serve(pool, keyring, Config::default(), shutdown).await)
    }

    /// A request with a staff token of these roles.
    pub fn as_staff<T>(&self, roles: &[Role], message: T) -> tonic::Request<T> {
        let issuer =
            StaffTokenIssuer::new(self.keyring.signer(SigningContext::StaffToken)).unwrap();
        let now = clock::wall();
        let token = issuer
            .issue(&StaffClaims {
                subject: Uuid::from_u128(7),
                name: "Sam Example".into(),
                roles: roles.iter().copied().collect::<Roles>(),
                session: Uuid::from_u128(8),
                audience: "intake".into(),
                issued_at: now,
                expires_at: now + time::Duration::seconds(50),
            })
            .unwrap();
        bearer(&token, message)
    }

    pub fn as_operator<T>(&self, message: T) -> tonic::Request<T> {
        self.as_staff(&[Role::Operator], message)
    }

    pub async fn partner_key(&mut self, channel: v1::ReportChannel, daily_quota: u32) -> String {
        let request = self.as_operator(v1::CreatePartnerRequest {
            name: format!("partner {}", Uuid::new_v4()),
            channel: channel.into(),
            daily_quota,
        });
        self.client
            .create_partner(request)
            .await
            .unwrap()
            .into_inner()
            .key
    }

    /// Appends an event to another service's log, as that service would.
    pub async fn append_event(
        &self,
        producer: &'static str,
        case: &str,
        body: domain::event::Body,
    ) {
        let pool = self.database.pool(producer).await;
        let event = NewEvent {
            id: Uuid::new_v4(),
            case_id: case.parse().unwrap(),
            kind: domain::event::name(&body),
            caused_by: None,
            traceparent: None,
            occurred_at: clock::wall(),
            payload: domain::event::encode(body),
        };
        let mut tx = pool.begin().await.unwrap();
        log::append(&mut tx, &[event]).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn outcome(&mut self, reference: &str) -> v1::Outcome {
        let request = v1::GetOutcomeRequest {
            reference: reference.into(),
        };
        let response = self.client.get_outcome(request).await.unwrap();
        response.into_inner().outcome()
    }

    pub async fn until_outcome(&mut self, reference: &str, expected: v1::Outcome) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let outcome = self.outcome(reference).await;
            if outcome == expected {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{outcome:?} never became {expected:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

pub fn bearer<T>(token: &str, message: T) -> tonic::Request<T> {
    with_authorization(&format!("Bearer {token}"), message)
}

/// A request with this value in its header `authorization`.
pub fn with_authorization<T>(authorization: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let value = authorization.parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

pub fn report(url: &str) -> v1::NewReport {
    v1::NewReport {
        url: url.into(),
        ..v1::NewReport::default()
    }
}

pub fn public(reports: Vec<v1::NewReport>) -> v1::SubmitReportsRequest {
    v1::SubmitReportsRequest {
        channel: v1::ReportChannel::Public.into(),
        reports,
        ..v1::SubmitReportsRequest::default()
    }
}

pub fn receipt(result: &v1::ReportResult) -> &v1::Receipt {
    match result.result.as_ref().unwrap() {
        v1::report_result::Result::Receipt(receipt) => receipt,
        v1::report_result::Result::Problem(problem) => panic!("refused: {}", problem.code),
    }
}

pub fn problem(result: &v1::ReportResult) -> &v1::ItemProblem {
    match result.result.as_ref().unwrap() {
        v1::report_result::Result::Problem(problem) => problem,
        v1::report_result::Result::Receipt(_) => panic!("accepted"),
    }
}

pub fn code(status: &tonic::Status) -> (tonic::Code, String) {
    let problem = platform::error::Problem::from(status.clone());
    (status.code(), problem.code.into_owned())
}
