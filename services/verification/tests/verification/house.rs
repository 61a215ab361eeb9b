//! A running verification with the logs of intake and dispatch beside it.

use std::sync::Arc;
use std::time::Duration;

use domain::event::{self, Body};
use domain::wire::timestamp;
use platform::bus::Bus;
use platform::clock::{Clock, ManualClock, wall};
use platform::db::Schema;
use platform::log::{self, NewEvent, Relay};
use platform::principal::Role;
use platform::sealed::{
    Keyring, Purpose, SigningContext, StaffClaims, StaffTokenIssuer, WrappedKey,
};
use platform::testing::TestDatabase;
use prost::Message;
use proto::v1;
use proto::v1::verification_service_client::VerificationServiceClient;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;
use verification::{Config, Deps, Hints};

const INTAKE: Schema = Schema {
    name: "intake",
    sets: &[log::MIGRATIONS],
};
const DISPATCH: Schema = Schema {
    name: "dispatch",
    sets: &[log::MIGRATIONS],
};

pub(crate) struct House {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: ManualClock,
    pub(crate) pool: PgPool,
    pub(crate) client: VerificationServiceClient<Channel>,
    intake: PgPool,
    dispatch: PgPool,
    shutdown: CancellationToken,
    _db: TestDatabase,
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A case as intake knows it.
#[derive(Clone)]
pub(crate) struct Reported {
    pub(crate) case: Uuid,
    pub(crate) url: String,
    pub(crate) wrapped: WrappedKey,
}

/// A member of staff with a token.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) subject: Uuid,
    roles: Vec<Role>,
    keyring: Arc<Keyring>,
}

impl Person {
    pub(crate) fn ask<T>(&self, message: T) -> Request<T> {
        self.ask_for("verification", message)
    }

    pub(crate) fn ask_for<T>(&self, audience: &str, message: T) -> Request<T> {
        self.ask_at(wall(), audience, message)
    }

    /// By a token that ran out a second ago.
    pub(crate) fn ask_late<T>(&self, message: T) -> Request<T> {
        self.ask_at(
            wall() - time::Duration::seconds(61),
            "verification",
            message,
        )
    }

    fn ask_at<T>(&self, now: time::OffsetDateTime, audience: &str, message: T) -> Request<T> {
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

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let db = TestDatabase::new(&[verification::SCHEMA, INTAKE, DISPATCH]).await;
        let folder = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&folder.path().join("keyring.json")).unwrap());
        // To the microsecond: what Postgres keeps.
        let now = wall();
        let now = now.replace_nanosecond(now.microsecond() * 1000).unwrap();
        let clock = ManualClock::new(now);
        let pool = db.pool("verification").await;
        let (intake, dispatch) = (
            db.pool_of("intake", 3).await,
            db.pool_of("dispatch", 3).await,
        );
        let shutdown = CancellationToken::new();
        for (pool, service) in [(&intake, "intake"), (&dispatch, "dispatch")] {
            let relay = Relay::new(pool.clone(), service, Uuid::new_v4());
            tokio::spawn(relay.run(shutdown.clone()));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let deps = Deps {
            pool: pool.clone(),
            keyring: Arc::clone(&keyring),
            clock: Clock::Manual(clock.clone()),
            config,
            hints: Hints::default(),
            bus: Bus::Local,
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

    pub(crate) fn person(&self, roles: &[Role]) -> Person {
        Person {
            subject: Uuid::new_v4(),
            roles: roles.to_vec(),
            keyring: Arc::clone(&self.keyring),
        }
    }

    /// A member of staff with an account: the house knows of them.
    pub(crate) async fn colleague(&self, roles: &[Role]) -> Person {
        let person = self.person(roles);
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

    /// A URL nobody has reported yet.
    pub(crate) fn case(&self, url: &str) -> Reported {
        let case = Uuid::new_v4();
        let (_, wrapped) = self.keyring.new_data_key(case);
        Reported {
            case,
            url: url.into(),
            wrapped,
        }
    }

    pub(crate) fn report_event(
        &self,
        of: &Reported,
        hashes: &[v1::Hash],
        change: impl FnOnce(&mut v1::ReportReceived),
    ) -> NewEvent {
        let report = Uuid::new_v4();
        let key = self.keyring.unwrap(of.case, &of.wrapped).unwrap();
        let item = v1::SealedItem {
            url: of.url.clone(),
            hashes: hashes.to_vec(),
        };
        let sealed = key.seal(Purpose::Url, of.case, report, &item.encode_to_vec());
        let mut received = v1::ReportReceived {
            report_id: report.to_string(),
            channel: v1::ReportChannel::Public as i32,
            media: v1::Media::Image as i32,
            age_band: 0,
            reporter_country: "GB".into(),
            received_at: Some(timestamp(self.clock.read())),
            wrapped_key: of.wrapped.as_bytes().to_vec().into(),
            sealed_item: sealed.into_bytes().into(),
            opened_case: true,
            partner_id: String::new(),
            submitted_by: String::new(),
        };
        change(&mut received);
        event_of(of.case, Body::ReportReceived(received), self.clock.read())
    }

    /// A new case with one report, heard.
    pub(crate) async fn reported(&self, url: &str, hashes: &[v1::Hash]) -> Reported {
        let of = self.case(url);
        self.report(&of, hashes).await;
        of
    }

    /// One report, heard.
    pub(crate) async fn report(&self, of: &Reported, hashes: &[v1::Hash]) {
        let event = self.report_event(of, hashes, |_| {});
        self.intake_says(&[event]).await;
    }

    /// Appends to intake's log and waits until verification has passed it.
    pub(crate) async fn intake_says(&self, events: &[NewEvent]) {
        says(&self.intake, events).await;
        self.heard("intake", &self.intake).await;
    }

    pub(crate) async fn dispatch_says(&self, case: Uuid, body: Body) {
        says(&self.dispatch, &[event_of(case, body, self.clock.read())]).await;
        self.heard("dispatch", &self.dispatch).await;
    }

    async fn heard(&self, producer: &str, log: &PgPool) {
        let all: i64 = sqlx::query_scalar("select count(*) from event")
            .fetch_one(log)
            .await
            .unwrap();
        until("the events are heard", async || {
            let passed: i64 = sqlx::query_scalar(
                "select coalesce(sum(position), 0)::bigint from cursor where producer = $1",
            )
            .bind(producer)
            .fetch_one(&self.pool)
            .await
            .unwrap();
            passed == all
        })
        .await;
    }

    pub(crate) async fn parked(&self) -> i64 {
        sqlx::query_scalar("select count(*) from parked_event")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// What verification has said of a case, in order.
    pub(crate) async fn said(&self, case: Uuid) -> Vec<Body> {
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

    pub(crate) async fn names(&self, case: Uuid) -> Vec<&'static str> {
        self.said(case).await.iter().map(event::name).collect()
    }

    pub(crate) async fn assessment(&self, person: &Person, case: Uuid) -> v1::Assessment {
        self.client
            .clone()
            .get_assessment(person.ask(v1::GetAssessmentRequest {
                case_id: case.to_string(),
            }))
            .await
            .unwrap()
            .into_inner()
            .assessment
            .unwrap()
    }

    pub(crate) async fn state(&self, person: &Person, case: Uuid) -> v1::AssessmentState {
        self.assessment(person, case).await.state()
    }

    pub(crate) async fn claim(
        &self,
        person: &Person,
        case: Uuid,
    ) -> Result<v1::ClaimedCase, Status> {
        let claimed = self
            .client
            .clone()
            .claim_cases(person.ask(v1::ClaimCasesRequest {
                limit: 0,
                case_id: case.to_string(),
            }))
            .await?;
        Ok(claimed.into_inner().claimed.remove(0))
    }

    pub(crate) async fn claim_urgent(&self, person: &Person, limit: u32) -> Vec<v1::ClaimedCase> {
        self.client
            .clone()
            .claim_cases(person.ask(v1::ClaimCasesRequest {
                limit,
                case_id: String::new(),
            }))
            .await
            .unwrap()
            .into_inner()
            .claimed
    }

    /// One verdict; the item's problem is its code.
    pub(crate) async fn decide(
        &self,
        person: &Person,
        claimed: &v1::ClaimedCase,
        verdict: v1::verdict::Verdict,
    ) -> Result<v1::Assessment, String> {
        let item = item(claimed, verdict);
        let mut answers = self.decide_all(person, vec![item]).await.unwrap();
        match answers.remove(0).result.unwrap() {
            v1::decision_result::Result::Assessment(assessment) => Ok(assessment),
            v1::decision_result::Result::Problem(problem) => Err(problem.code),
        }
    }

    pub(crate) async fn decide_all(
        &self,
        person: &Person,
        items: Vec<v1::DecisionItem>,
    ) -> Result<Vec<v1::DecisionResult>, Status> {
        let answer = self
            .client
            .clone()
            .decide_cases(person.ask(v1::DecideCasesRequest { items }))
            .await?;
        Ok(answer.into_inner().results)
    }

    /// Claims and decides.
    pub(crate) async fn judged(
        &self,
        person: &Person,
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

pub(crate) fn item(claimed: &v1::ClaimedCase, verdict: v1::verdict::Verdict) -> v1::DecisionItem {
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

fn event_of(case: Uuid, body: Body, at: time::OffsetDateTime) -> NewEvent {
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

async fn says(log: &PgPool, events: &[NewEvent]) {
    let mut tx = log.begin().await.unwrap();
    log::append(&mut tx, events).await.unwrap();
    tx.commit().await.unwrap();
}

/// Waits for a condition, at most twenty seconds.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited for: {what}");
        tokio::task::yield_now().await;
    }
}
