//! A running verification service, with the event logs of intake and dispatch beside it.

use std::sync::Arc;
use std::time::Duration;

use domain::event::{self, Body};
use domain::wire::timestamp;
use platform::clock::{Clock, ManualClock, wall};
use platform::db::Schema;
use platform::log::{self, NewEvent, Relay};
use platform::principal::Role;
use platform::sealed::{
    Keyring, Purpose, SigningContext, StaffClaims, StaffTokenIssuer, WrappedKey,
};
use prost::Message;
use proto::v1;
use proto::v1::verification_service_client::VerificationServiceClient;
use sqlx::PgPool;
use testkit::TestDatabase;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;
use verification::{Config, Deps};

const INTAKE: Schema = Schema {
    name: "intake",
    sets: &[log::MIGRATIONS],
};
const DISPATCH: Schema = Schema {
    name: "dispatch",
    sets: &[log::MIGRATIONS],
};

pub(crate) struct TestVerification {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: ManualClock,
    pub(crate) pool: PgPool,
    pub(crate) client: VerificationServiceClient<Channel>,
    intake: PgPool,
    dispatch: PgPool,
    shutdown: CancellationToken,
    _db: TestDatabase,
}

impl Drop for TestVerification {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A case as intake has opened it.
#[derive(Clone)]
pub(crate) struct TestCase {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) wrapped: WrappedKey,
}

/// A member of staff with a token.
#[derive(Clone)]
pub(crate) struct TestStaff {
    pub(crate) subject: Uuid,
    roles: Vec<Role>,
    keyring: Arc<Keyring>,
}

impl TestStaff {
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        self.request_for("verification", message)
    }

    pub(crate) fn request_for<T>(&self, audience: &str, message: T) -> Request<T> {
        self.request_at(wall(), audience, message)
    }

    /// A request whose token expired a second ago.
    pub(crate) fn request_with_expired_token<T>(&self, message: T) -> Request<T> {
        self.request_at(
            wall() - time::Duration::seconds(61),
            "verification",
            message,
        )
    }

    fn request_at<T>(&self, now: time::OffsetDateTime, audience: &str, message: T) -> Request<T> {
        let issuer =
            StaffTokenIssuer::new(self.keyring.signer(SigningContext::StaffToken)).unwrap();
        let token = issuer
            .issue(&StaffClaims {
                subject: self.subject,
                name: "Sam Example".into(),
                roles: self.roles.iter().copied().collect(),
                session: Uuid::nil(),
                audience: audience.into(),
                issued_at: now,
                expires_at: now + time::Duration::seconds(60),
            })
            .unwrap();
        let mut request = Request::new(message);
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    }
}

pub(crate) fn hash(kind: v1::HashKind, value: &str) -> v1::Hash {
    v1::Hash {
        kind: kind as i32,
        value: value.into(),
    }
}

pub(crate) fn sha256(n: u8) -> v1::Hash {
    hash(v1::HashKind::Sha256, &hex::encode([n; 32]))
}

/// The stable code of a refusal.
pub(crate) fn code(status: &Status) -> String {
    platform::error::Problem::from(status).code.into_owned()
}

impl TestVerification {
    pub(crate) async fn new() -> Self {
        Self::with_config(Config::default()).await
    }

    pub(crate) async fn with_config(config: Config) -> Self {
        let db = TestDatabase::new(&[verification::SCHEMA, INTAKE, DISPATCH]).await;
        let folder = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&folder.path().join("keyring.json")).unwrap());
        // Rounded to microseconds, the precision of Postgres.
        let now = wall();
        let now = now.replace_nanosecond(now.microsecond() * 1000).unwrap();
        let clock = ManualClock::new(now);
        let pool = db.pool("verification").await;
        let (intake, dispatch) = (
            db.pool_with_size("intake", 3).await,
            db.pool_with_size("dispatch", 3).await,
        );
        let shutdown = CancellationToken::new();
        for (pool, service) in [(&intake, "intake"), (&dispatch, "dispatch")] {
            let relay = Relay::new(pool.clone(), service, Uuid::new_v4());
            tokio::spawn(relay.run(shutdown.clone()));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let deps = Deps {
            clock: Clock::Manual(clock.clone()),
            ..Deps::new(pool.clone(), Arc::clone(&keyring), config)
        };
        tokio::spawn(verification::run(deps, listener, shutdown.clone()));
        let channel = platform::grpc::channel(&address).unwrap();
        Self {
            keyring,
            clock,
            pool,
            client: VerificationServiceClient::new(channel),
            intake,
            dispatch,
            shutdown,
            _db: db,
        }
    }

    /// A member of staff without a local account.
    pub(crate) fn staff(&self, roles: &[Role]) -> TestStaff {
        TestStaff {
            subject: Uuid::new_v4(),
            roles: roles.to_vec(),
            keyring: Arc::clone(&self.keyring),
        }
    }

    /// A member of staff with a local account, which makes them eligible staff.
    pub(crate) async fn staff_with_account(&self, roles: &[Role]) -> TestStaff {
        let person = self.staff(roles);
        let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        sqlx::query(
            "insert into staff (subject, name, password_hash, roles, created_at) values ($1, $2, '', $3, $4)",
        )
        .bind(person.subject)
        .bind(person.subject.to_string())
        .bind(roles)
        .bind(self.clock.read())
        .execute(&self.pool)
        .await
        .unwrap();
        person
    }

    /// A case that verification does not know yet.
    pub(crate) fn new_case(&self, url: &str) -> TestCase {
        let id = Uuid::new_v4();
        let (_, wrapped) = self.keyring.new_data_key(id);
        TestCase {
            id,
            url: url.into(),
            wrapped,
        }
    }

    pub(crate) fn report_event(
        &self,
        case: &TestCase,
        hashes: &[v1::Hash],
        change: impl FnOnce(&mut v1::ReportReceived),
    ) -> NewEvent {
        let report = Uuid::new_v4();
        let key = self.keyring.unwrap(case.id, &case.wrapped).unwrap();
        let content = v1::CaseContent {
            url: case.url.clone(),
            hashes: hashes.to_vec(),
        };
        let sealed = key.seal(Purpose::Url, case.id, report, &content.encode_to_vec());
        let mut received = v1::ReportReceived {
            report_id: report.to_string(),
            channel: v1::ReportChannel::Public as i32,
            media: v1::Media::Image as i32,
            age_band: 0,
            reporter_country: "GB".into(),
            received_at: Some(timestamp(self.clock.read())),
            wrapped_key: case.wrapped.as_bytes().to_vec().into(),
            sealed_content: sealed.into_bytes().into(),
            opened_case: true,
            partner_id: String::new(),
            submitted_by: String::new(),
        };
        change(&mut received);
        new_event(case.id, Body::ReportReceived(received), self.clock.read())
    }

    /// Reports a new case and waits until the report is consumed.
    pub(crate) async fn report_new_case(&self, url: &str, hashes: &[v1::Hash]) -> TestCase {
        let case = self.new_case(url);
        self.report(&case, hashes).await;
        case
    }

    /// Reports a case and waits until the report is consumed.
    pub(crate) async fn report(&self, case: &TestCase, hashes: &[v1::Hash]) {
        let event = self.report_event(case, hashes, |_| {});
        self.append_intake_events(&[event]).await;
    }

    /// Appends to intake's log and waits until verification has consumed all of it.
    pub(crate) async fn append_intake_events(&self, events: &[NewEvent]) {
        append(&self.intake, events).await;
        self.wait_until_consumed("intake", &self.intake).await;
    }

    /// Appends to dispatch's log and waits until verification has consumed all of it.
    pub(crate) async fn append_dispatch_event(&self, case: Uuid, body: Body) {
        append(&self.dispatch, &[new_event(case, body, self.clock.read())]).await;
        self.wait_until_consumed("dispatch", &self.dispatch).await;
    }

    async fn wait_until_consumed(&self, producer: &str, log: &PgPool) {
        let all: i64 = sqlx::query_scalar("select count(*) from event")
            .fetch_one(log)
            .await
            .unwrap();
        wait_until("the events are consumed", async || {
            let consumed: i64 = sqlx::query_scalar(
                "select coalesce(sum(position), 0)::bigint from cursor where producer = $1",
            )
            .bind(producer)
            .fetch_one(&self.pool)
            .await
            .unwrap();
            consumed == all
        })
        .await;
    }

    pub(crate) async fn parked(&self) -> i64 {
        sqlx::query_scalar("select count(*) from parked_event")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// The events that verification has emitted about a case, in order.
    pub(crate) async fn emitted(&self, case: Uuid) -> Vec<Body> {
        let payloads: Vec<Vec<u8>> =
            sqlx::query_scalar("select payload from event where case_id = $1 order by seq")
                .bind(case)
                .fetch_all(&self.pool)
                .await
                .unwrap();
        payloads
            .iter()
            .map(|payload| event::decode(payload).unwrap())
            .collect()
    }

    pub(crate) async fn emitted_kinds(&self, case: Uuid) -> Vec<&'static str> {
        self.emitted(case).await.iter().map(event::name).collect()
    }

    pub(crate) async fn assessment(&self, person: &TestStaff, case: Uuid) -> v1::Assessment {
        self.client
            .clone()
            .get_assessment(person.request(v1::GetAssessmentRequest {
                case_id: case.to_string(),
            }))
            .await
            .unwrap()
            .into_inner()
            .assessment
            .unwrap()
    }

    pub(crate) async fn state(&self, person: &TestStaff, case: Uuid) -> v1::AssessmentState {
        self.assessment(person, case).await.state()
    }

    pub(crate) async fn claim(
        &self,
        person: &TestStaff,
        case: Uuid,
    ) -> Result<v1::ClaimedCase, Status> {
        let claimed = self
            .client
            .clone()
            .claim_cases(person.request(v1::ClaimCasesRequest {
                limit: 0,
                case_id: case.to_string(),
            }))
            .await?;
        Ok(claimed.into_inner().claimed.remove(0))
    }

    pub(crate) async fn claim_urgent(
        &self,
        person: &TestStaff,
        limit: u32,
    ) -> Vec<v1::ClaimedCase> {
        self.client
            .clone()
            .claim_cases(person.request(v1::ClaimCasesRequest {
                limit,
                case_id: String::new(),
            }))
            .await
            .unwrap()
            .into_inner()
            .claimed
    }

    /// Decides one claimed case. The error is the code of the problem.
    pub(crate) async fn decide(
        &self,
        person: &TestStaff,
        claimed: &v1::ClaimedCase,
        verdict: v1::verdict::Verdict,
    ) -> Result<v1::Assessment, String> {
        let decision = decision_item(claimed, verdict);
        let mut results = self.decide_all(person, vec![decision]).await.unwrap();
        match results.remove(0).result.unwrap() {
            v1::decision_result::Result::Assessment(assessment) => Ok(assessment),
            v1::decision_result::Result::Problem(problem) => Err(problem.code),
        }
    }

    pub(crate) async fn decide_all(
        &self,
        person: &TestStaff,
        decisions: Vec<v1::DecisionItem>,
    ) -> Result<Vec<v1::DecisionResult>, Status> {
        let response = self
            .client
            .clone()
            .decide_cases(person.request(v1::DecideCasesRequest { decisions }))
            .await?;
        Ok(response.into_inner().results)
    }

    /// Claims a case and decides it. The error is the code of the refusal.
    pub(crate) async fn claim_and_decide(
        &self,
        person: &TestStaff,
        case: Uuid,
        verdict: v1::verdict::Verdict,
    ) -> Result<v1::Assessment, String> {
        let claimed = self
            .claim(person, case)
            .await
            .map_err(|status| code(&status))?;
        self.decide(person, &claimed, verdict).await
    }
}

pub(crate) fn decision_item(
    claimed: &v1::ClaimedCase,
    verdict: v1::verdict::Verdict,
) -> v1::DecisionItem {
    let assessment = claimed.assessment.as_ref().unwrap();
    v1::DecisionItem {
        case_id: assessment.case_id.clone(),
        claim_token: claimed.claim_token.clone(),
        version: assessment.version,
        verdict: Some(v1::Verdict {
            verdict: Some(verdict),
        }),
    }
}

pub(crate) const fn category(category: v1::Category) -> v1::verdict::Verdict {
    v1::verdict::Verdict::Actionable(category as i32)
}

pub(crate) const fn not_illegal() -> v1::verdict::Verdict {
    v1::verdict::Verdict::NotActionable(v1::NotActionableReason::NotIllegal as i32)
}

fn new_event(case: Uuid, body: Body, at: time::OffsetDateTime) -> NewEvent {
    NewEvent {
        id: Uuid::new_v4(),
        case_id: case,
        kind: event::name(&body),
        caused_by: None,
        traceparent: None,
        occurred_at: at,
        payload: event::encode(body),
    }
}

async fn append(log: &PgPool, events: &[NewEvent]) {
    let mut tx = log.begin().await.unwrap();
    log::append(&mut tx, events).await.unwrap();
    tx.commit().await.unwrap();
}

/// Waits for a condition, for at most 20 seconds.
pub(crate) async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "timed out waiting until {what}"
        );
        tokio::task::yield_now().await;
    }
}
