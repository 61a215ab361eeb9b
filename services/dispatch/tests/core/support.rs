//! The fixture of the tests: verification's log beside dispatch's own, a keyring, providers and a manual
//! clock.

use std::sync::Arc;

use dispatch::cases::{
    self, CheckOutcome, CommandDeps, CompletedCheck, DispatchCase, Notice, ProviderAnswer,
    ResponseMetadata, Timers,
};
use dispatch::directory::{self, Directory, Provider};
use dispatch::events::VerificationHandler;
use dispatch::{SCHEMA, policy};
use domain::enums::{Answer, Category, DeliveryChannel, NoticeState, ProviderRole};
use domain::event::{self, Body};
use domain::id::{CaseId, NoticeId, ProviderId};
use domain::wire::timestamp;
use platform::bus::Consumer;
use platform::clock::{Clock, ManualClock};
use platform::db::Schema;
use platform::log::{NewEvent, Relay, Wakeup};
use platform::sealed::{Keyring, Purpose, SigningContext, commitment};
use prost::Message as _;
use proto::v1;
use sqlx::PgPool;
use testkit::TestDatabase;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(crate) const START: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// The part of verification that dispatch consumes: its log.
const VERIFICATION: Schema = Schema {
    name: "verification",
    sets: &[platform::log::MIGRATIONS],
};

pub(crate) struct DispatchFixture {
    pub(crate) pool: PgPool,
    pub(crate) clock: ManualClock,
    pub(crate) deps: CommandDeps,
    consumer: Consumer<VerificationHandler>,
    relay: Relay,
    verification: PgPool,
    timers: Timers,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) database: TestDatabase,
}

/// A decision of verification with its signed proof.
#[derive(Clone)]
pub(crate) struct SignedDecision {
    pub(crate) case_id: CaseId,
    pub(crate) event: v1::CaseActionable,
}

pub(crate) fn id(name: &str) -> ProviderId {
    name.parse().unwrap()
}

impl DispatchFixture {
    pub(crate) async fn new() -> Self {
        Self::resolving_names(false).await
    }

    /// As [`Self::new`]; `resolve_names` sets whether unknown host names are resolved by DNS.
    pub(crate) async fn resolving_names(resolve_names: bool) -> Self {
        let database = TestDatabase::new(&[SCHEMA, VERIFICATION]).await;
        let pool = database.pool("dispatch").await;
        let verification = database.pool("verification").await;
        let folder = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&folder.path().join("keyring.json")).unwrap());
        let clock = ManualClock::new(START);
        let demo = include_str!("../../../../deploy/policies/demo.yaml");
        let deps = CommandDeps {
            policy: Arc::new(policy::parse(demo).unwrap()),
            directory: Directory::default(),
            keyring: Arc::clone(&keyring),
            resolve_names,
        };
        let handler = VerificationHandler {
            deps: deps.clone(),
            clock: Clock::Manual(clock.clone()),
            proofs: keyring.verifier(SigningContext::Proof),
        };
        let fixture = Self {
            consumer: Consumer::new(pool.clone(), "dispatch", "verification", handler),
            relay: Relay::new(verification.clone(), "verification", Uuid::new_v4()),
            timers: Timers {
                pool: pool.clone(),
                clock: Clock::Manual(clock.clone()),
                deps: deps.clone(),
                poll: std::time::Duration::from_millis(20),
                wakeup: Wakeup::default(),
            },
            pool,
            clock,
            deps,
            verification,
            folder,
            database,
        };
        fixture.add_default_providers().await;
        fixture
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.read()
    }

    /// The providers: host `album` takes webhooks and mail; host `amber` pulls and has the network
    /// 203.0.113.0/29; host `kite` takes mail and is the origin behind the CDN `front`, which pulls; `larch`,
    /// which pulls, is upstream of all, and `names` their registrar; host `lonely` has neither an upstream
    /// provider nor a registrar.
    async fn add_default_providers(&self) {
        let providers = [
            self.provider("album", DeliveryChannel::Webhook, ProviderRole::Host),
            self.provider("amber", DeliveryChannel::Api, ProviderRole::Host),
            self.provider("front", DeliveryChannel::Api, ProviderRole::Cdn),
            self.provider("kite", DeliveryChannel::Email, ProviderRole::Host),
            self.provider("larch", DeliveryChannel::Api, ProviderRole::Upstream),
            self.provider("lonely", DeliveryChannel::Email, ProviderRole::Host),
            self.provider("names", DeliveryChannel::Email, ProviderRole::Registrar),
        ];
        self.upsert(&providers).await;
    }

    /// Adds a host to the directory, or replaces it.
    pub(crate) async fn upsert_host(&self, name: &str, channel: DeliveryChannel) {
        let host = self.provider(name, channel, ProviderRole::Host);
        self.upsert(&[host]).await;
    }

    /// Adds or replaces providers. Those with webhooks take them at `https://NAME.example/hook`.
    async fn upsert(&self, providers: &[Provider]) {
        let mut tx = self.pool.begin().await.unwrap();
        let all: Vec<&Provider> = providers.iter().collect();
        let (now, keyring) = (self.now(), &self.deps.keyring);
        directory::upsert_providers(&mut tx, now, &all)
            .await
            .unwrap();
        for provider in providers {
            let address = match provider.channel {
                DeliveryChannel::Webhook => format!("https://{}.example/hook", provider.id),
                DeliveryChannel::Api | DeliveryChannel::Email => String::new(),
            };
            directory::choose_endpoint(&mut tx, keyring, now, &provider.id, &address)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Applies a DNS result for the host of a case: its address, or none if the name does not exist.
    pub(crate) async fn resolve_host(&self, case_id: CaseId, address: Option<&str>) {
        let found = cases::ResolvedHost {
            case_id,
            addresses: address.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let mut tx = self.pool.begin().await.unwrap();
        cases::apply_resolved_hosts(&mut tx, &self.deps, self.now(), &[found])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Verification ends the newest review of a case: the verdict is upheld.
    pub(crate) async fn uphold_review(&self, case_id: CaseId) {
        self.answer_review(case_id, false).await;
    }

    /// As [`Self::uphold_review`], and the changed page is not the material.
    pub(crate) async fn review_as_offline(&self, case_id: CaseId) {
        self.answer_review(case_id, true).await;
    }

    async fn answer_review(&self, case_id: CaseId, offline: bool) {
        let events = self.events(case_id).await;
        let review_id = events.into_iter().rev().find_map(|body| match body {
            Body::ReviewRequested(review) => Some(review.review_id),
            _ => None,
        });
        let upheld = v1::VerdictUpheld {
            decision_id: String::new(),
            review_id: review_id.expect("a review was requested"),
            offline,
        };
        self.publish(vec![(case_id, Body::VerdictUpheld(upheld))])
            .await;
    }

    pub(crate) async fn hold_case(&self, case_id: CaseId) {
        let held = Body::CaseHeld(v1::CaseHeld::default());
        self.publish(vec![(case_id, held)]).await;
    }

    pub(crate) async fn release_case(&self, case_id: CaseId) {
        let released = Body::CaseReleased(v1::CaseReleased::default());
        self.publish(vec![(case_id, released)]).await;
    }

    fn provider(&self, name: &str, channel: DeliveryChannel, role: ProviderRole) -> Provider {
        let row_id = Uuid::new_v4();
        let seal = |purpose, text: &str| {
            let sealed = self
                .deps
                .keyring
                .seal_provider(purpose, name, row_id, text.as_bytes());
            Some(sealed.into_bytes())
        };
        let above = |other: &str| (name != other && name != "lonely").then(|| id(other));
        Provider {
            id: id(name),
            role,
            country: "NL".into(),
            asn: 64512,
            cidrs: match name {
                "amber" => vec!["203.0.113.0/29".parse().unwrap()],
                _ => Vec::new(),
            },
            domains: vec![domain::url::DomainName::parse(&format!("{name}.example")).unwrap()],
            upstream: above("larch").filter(|_| name != "names"),
            registrar: above("names").filter(|_| name != "larch"),
            origin: (name == "front").then(|| id("kite")),
            channel,
            row_id,
            contact: seal(Purpose::Contact, &format!("abuse@{name}.example")),
            webhook: None,
        }
    }

    /// A signed decision of verification about a URL, not yet published.
    pub(crate) fn sign_decision(&self, url: &str) -> SignedDecision {
        let case_id = CaseId::new(Uuid::new_v4());
        let (key, wrapped) = self.deps.keyring.new_data_key(case_id.uuid());
        let report = Uuid::new_v4();
        let content = v1::CaseContent {
            url: url.to_owned(),
            hashes: Vec::new(),
        };
        let sealed = key.seal(
            Purpose::Url,
            case_id.uuid(),
            report,
            &content.encode_to_vec(),
        );
        let decision_id = Uuid::new_v4().to_string();
        let signer = self.deps.keyring.signer(SigningContext::Proof);
        let body = v1::ApprovalProofBody {
            format: 1,
            decision_id: decision_id.clone(),
            case_id: case_id.to_string(),
            url_commitment: commitment(&key.salt(), url).to_vec().into(),
            category: Category::A.wire(),
            basis: "analyst".into(),
            policy_version: "demo-1".into(),
            approvers: vec![Uuid::new_v4().to_string()],
            issued_at: Some(timestamp(self.now())),
            expires_at: Some(timestamp(self.now() + Duration::DAY)),
            key_id: signer.key_id().to_string(),
        }
        .encode_to_vec();
        SignedDecision {
            case_id,
            event: v1::CaseActionable {
                decision_id,
                category: Category::A.wire(),
                proof: Some(v1::ApprovalProof {
                    signature: signer.sign(&body).to_vec().into(),
                    body: body.into(),
                    key_id: signer.key_id().to_string(),
                }),
                wrapped_key: wrapped.into_bytes().into(),
                sealed_content: sealed.into_bytes().into(),
                sealed_content_report_id: report.to_string(),
                received_at: Some(timestamp(self.now() - Duration::seconds(3))),
                decided_at: Some(timestamp(self.now())),
                media: 1,
                self_reported: false,
            },
        }
    }

    /// Verification publishes these events in order, and dispatch consumes them.
    pub(crate) async fn publish(&self, events: Vec<(CaseId, Body)>) {
        let mut tx = self.verification.begin().await.unwrap();
        let events: Vec<NewEvent> = events
            .into_iter()
            .map(|(case_id, body)| NewEvent {
                id: Uuid::now_v7(),
                case_id: case_id.uuid(),
                kind: event::name(&body),
                caused_by: None,
                traceparent: None,
                occurred_at: self.now(),
                payload: event::encode(body),
            })
            .collect();
        platform::log::append(&mut tx, &events).await.unwrap();
        tx.commit().await.unwrap();
        while self.relay.run_once().await.unwrap() > 0 {}
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        // If a served role consumes too, either consumer may own the cursors.
        while self.unconsumed_events().await > 0 {
            assert!(
                tokio::time::Instant::now() < deadline,
                "dispatch does not consume verification's events"
            );
            self.consumer.run_once().await.unwrap();
        }
    }

    /// Number of verification's events that dispatch has not consumed.
    async fn unconsumed_events(&self) -> i64 {
        sqlx::query_scalar(
            "select ((select sum(position) from verification.log_shard)
                - (select coalesce(sum(position), 0) from cursor where producer = 'verification'))::bigint",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Publishes a decision about a URL, and dispatch opens the case.
    pub(crate) async fn open_case(&self, url: &str) -> CaseId {
        let decided = self.sign_decision(url);
        self.publish(vec![(decided.case_id, Body::CaseActionable(decided.event))])
            .await;
        decided.case_id
    }

    /// The reasons of parked events.
    pub(crate) async fn parked_reasons(&self) -> Vec<String> {
        sqlx::query_scalar("select reason from parked_event order by position")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    /// Timers of the test, which may run several at once.
    pub(crate) fn timers(&self) -> Timers {
        self.timers.clone()
    }

    /// Advances the clock and fires everything that is due.
    pub(crate) async fn advance_and_fire(&self, by: Duration) {
        self.clock.advance(by);
        while self.timers.run_once().await.unwrap() > 0 {}
    }

    pub(crate) async fn case(&self, case_id: CaseId) -> DispatchCase {
        let mut conn = self.pool.acquire().await.unwrap();
        cases::cases(&mut conn, &[case_id.uuid()])
            .await
            .unwrap()
            .pop()
            .expect("the case exists")
    }

    /// All notices of a case, by episode and step.
    pub(crate) async fn notices(&self, case_id: CaseId) -> Vec<Notice> {
        let mut conn = self.pool.acquire().await.unwrap();
        cases::notices_of_cases(&mut conn, &[case_id.uuid()])
            .await
            .unwrap()
    }

    /// All notices of a case as `provider/rung/state`, by episode and step.
    pub(crate) async fn notice_states(&self, case_id: CaseId) -> Vec<String> {
        self.notices(case_id)
            .await
            .iter()
            .map(|n| format!("{}/{}/{}", n.provider_id, n.rung, n.state))
            .collect()
    }

    /// The events of a case in dispatch's log, in order.
    pub(crate) async fn events(&self, case_id: CaseId) -> Vec<Body> {
        let payloads: Vec<Vec<u8>> =
            sqlx::query_scalar("select payload from event where case_id = $1 order by seq")
                .bind(case_id.uuid())
                .fetch_all(&self.pool)
                .await
                .unwrap();
        payloads
            .iter()
            .map(|payload| event::decode(payload).unwrap())
            .collect()
    }

    pub(crate) async fn event_names(&self, case_id: CaseId) -> Vec<&'static str> {
        self.events(case_id).await.iter().map(event::name).collect()
    }

    /// Notices of a case with a queued message, and its sequence number.
    pub(crate) async fn queued_messages(&self, case_id: CaseId) -> Vec<(NoticeId, i32)> {
        let rows: Vec<(Uuid, i32)> = sqlx::query_as(
            "select notice_id, sequence from delivery where case_id = $1 and not cancelled order by notice_id",
        )
        .bind(case_id.uuid())
        .fetch_all(&self.pool)
        .await
        .unwrap();
        rows.into_iter()
            .map(|(id, sequence)| (NoticeId::new(id), sequence))
            .collect()
    }

    /// When the URL of a case is checked next.
    pub(crate) async fn next_check_at(&self, case_id: CaseId) -> Option<OffsetDateTime> {
        sqlx::query_scalar("select due_at from url_check where case_id = $1")
            .bind(case_id.uuid())
            .fetch_optional(&self.pool)
            .await
            .unwrap()
    }

    /// Records that the notice's newest message was delivered.
    pub(crate) async fn record_delivered(&self, notice: &Notice) {
        let mut tx = self.pool.begin().await.unwrap();
        let message = cases::DeliveredMessage {
            notice_id: notice.id,
            channel: notice.channel,
            attempts: 1,
        };
        cases::record_delivered(&mut tx, &self.deps, self.now(), &[message])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Records that the notice's delivery channel failed permanently, as a webhook that answers 410 Gone.
    pub(crate) async fn record_unreachable(&self, notice: &Notice) {
        let mut tx = self.pool.begin().await.unwrap();
        let failed = cases::FailedChannel {
            notice_id: notice.id,
            channel: notice.channel,
            reason: "gone",
            attempts: 1,
            claimed_at: self.now(),
        };
        cases::record_unreachable(&mut tx, &self.deps, self.now(), &[failed])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// An answer of the notice's addressee, for [`Self::send_answer`].
    pub(crate) fn unsent_answer(notice: &Notice, answer: Answer) -> ProviderAnswer {
        ProviderAnswer {
            notice_id: notice.id,
            provider_id: notice.provider_id.clone(),
            answer,
            until: None,
            named: None,
            text: None,
            channel: DeliveryChannel::Api,
        }
    }

    /// Applies an answer; returns the state of the notice.
    pub(crate) async fn send_answer(&self, answer: ProviderAnswer) -> NoticeState {
        let mut tx = self.pool.begin().await.unwrap();
        let replies = cases::apply_answers(&mut tx, &self.deps, self.now(), &[answer])
            .await
            .unwrap();
        tx.commit().await.unwrap();
        replies[0].as_ref().unwrap().state
    }

    pub(crate) async fn answer(&self, notice: &Notice, answer: Answer) -> NoticeState {
        self.send_answer(Self::unsent_answer(notice, answer)).await
    }

    /// Records a check that started now.
    pub(crate) async fn record_check(&self, case_id: CaseId, outcome: CheckOutcome) {
        self.record_check_started_at(case_id, self.now(), outcome)
            .await;
    }

    /// Records a check that started at `started_at`.
    pub(crate) async fn record_check_started_at(
        &self,
        case_id: CaseId,
        started_at: OffsetDateTime,
        outcome: CheckOutcome,
    ) {
        let mut tx = self.pool.begin().await.unwrap();
        let check = CompletedCheck {
            case_id,
            started_at,
            outcome,
        };
        cases::record_checks(&mut tx, &self.deps, self.now(), &[check])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

/// A check that finds a page of this length.
pub(crate) fn online(length: u64) -> CheckOutcome {
    CheckOutcome::Online(ResponseMetadata {
        status: 200,
        length: Some(length),
        etag: Some(format!("\"{length}\"")),
        content_type: Some("image/jpeg".into()),
    })
}
