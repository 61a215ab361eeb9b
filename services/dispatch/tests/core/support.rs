//! A bench: verification's log beside dispatch's own, a keyring, a street of providers, a clock.

use std::sync::Arc;

use dispatch::commands::{self, AnswerItem, Fingerprint, Outcome, ProbeSeen, Rules};
use dispatch::directory::{Directory, Provider};
use dispatch::events::FromVerification;
use dispatch::store::{self, CaseFile, Notice};
use dispatch::timers::Timers;
use dispatch::{SCHEMA, policy};
use domain::event::{self, Body};
use domain::id::{CaseId, NoticeId, ProviderId};
use domain::wire::timestamp;
use domain::word::{Answer, Category, DeliveryChannel, NoticeState, ProviderRole};
use platform::bus::Consumer;
use platform::clock::{Clock, ManualClock};
use platform::db::Schema;
use platform::log::{Hint, NewEvent, Relay};
use platform::sealed::{Keyring, Purpose, SigningContext, commitment};
use platform::testing::TestDatabase;
use prost::Message as _;
use proto::v1;
use sqlx::PgPool;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(crate) const START: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// As much of verification as dispatch hears: its log.
const VERIFICATION: Schema = Schema {
    name: "verification",
    sets: &[platform::log::MIGRATIONS],
};

pub(crate) struct Bench {
    pub(crate) pool: PgPool,
    pub(crate) clock: ManualClock,
    pub(crate) rules: Rules,
    consumer: Consumer<FromVerification>,
    relay: Relay,
    verification: PgPool,
    timers: Timers,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) database: TestDatabase,
}

/// A decided case, as verification knows it.
#[derive(Clone)]
pub(crate) struct Decided {
    pub(crate) case_id: CaseId,
    pub(crate) event: v1::CaseActionable,
}

pub(crate) fn id(name: &str) -> ProviderId {
    name.parse().unwrap()
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::looking_up(false).await
    }

    /// As [`Self::new`]; with names looked up by DNS, if so wished.
    pub(crate) async fn looking_up(resolve_names: bool) -> Self {
        let database = TestDatabase::new(&[SCHEMA, VERIFICATION]).await;
        let pool = database.pool("dispatch").await;
        let verification = database.pool("verification").await;
        let folder = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&folder.path().join("keyring.json")).unwrap());
        let clock = ManualClock::new(START);
        let demo = include_str!("../../../../deploy/policies/demo.yaml");
        let rules = Rules {
            policy: Arc::new(policy::parse(demo).unwrap()),
            directory: Directory::default(),
            keyring: Arc::clone(&keyring),
            resolve_names,
        };
        let heed = FromVerification {
            rules: rules.clone(),
            clock: Clock::Manual(clock.clone()),
            proofs: keyring.verifier(SigningContext::Proof),
        };
        let bench = Self {
            consumer: Consumer::new(pool.clone(), "dispatch", "verification", heed),
            relay: Relay::new(verification.clone(), "verification", Uuid::new_v4()),
            timers: Timers {
                pool: pool.clone(),
                clock: Clock::Manual(clock.clone()),
                rules: rules.clone(),
                poll: std::time::Duration::from_millis(20),
                bell: Hint::default(),
            },
            pool,
            clock,
            rules,
            verification,
            folder,
            database,
        };
        bench.put_street().await;
        bench
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.read()
    }

    /// Where each stands: `album` webhook and mail, `amber` pulls, `front` a CDN before `kite`, `larch` above them,
    /// `names` the registrar, `lonely` has nobody above it.
    async fn put_street(&self) {
        let street = [
            self.provider("album", DeliveryChannel::Webhook, ProviderRole::Host),
            self.provider("amber", DeliveryChannel::Api, ProviderRole::Host),
            self.provider("front", DeliveryChannel::Api, ProviderRole::Cdn),
            self.provider("kite", DeliveryChannel::Email, ProviderRole::Host),
            self.provider("larch", DeliveryChannel::Api, ProviderRole::Upstream),
            self.provider("lonely", DeliveryChannel::Email, ProviderRole::Host),
            self.provider("names", DeliveryChannel::Email, ProviderRole::Registrar),
        ];
        self.put(&street).await;
    }

    /// Puts a host into the directory, or puts it there anew.
    pub(crate) async fn put_host(&self, name: &str, channel: DeliveryChannel) {
        let host = self.provider(name, channel, ProviderRole::Host);
        self.put(&[host]).await;
    }

    /// Whoever takes webhooks does so at `https://NAME.example/hook`.
    async fn put(&self, providers: &[Provider]) {
        let mut tx = self.pool.begin().await.unwrap();
        let all: Vec<&Provider> = providers.iter().collect();
        let (now, keyring) = (self.now(), &self.rules.keyring);
        store::put_providers(&mut tx, now, &all).await.unwrap();
        for provider in providers {
            let address = match provider.channel {
                DeliveryChannel::Webhook => format!("https://{}.example/hook", provider.id),
                DeliveryChannel::Api | DeliveryChannel::Email => String::new(),
            };
            commands::webhook::choose(&mut tx, keyring, now, &provider.id, &address)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// DNS says where the host of a case is, or that there is no such host.
    pub(crate) async fn resolved(&self, case_id: CaseId, address: Option<&str>) {
        let found = commands::Attributed {
            case_id,
            addresses: address.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let mut tx = self.pool.begin().await.unwrap();
        commands::attributed(&mut tx, &self.rules, self.now(), &[found])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// The newest question to verification about a case is answered: the verdict stands.
    pub(crate) async fn uphold(&self, case_id: CaseId) {
        self.stands(case_id, false).await;
    }

    /// As [`Self::uphold`]; and what a changed page shows is not the material.
    pub(crate) async fn call_gone(&self, case_id: CaseId) {
        self.stands(case_id, true).await;
    }

    async fn stands(&self, case_id: CaseId, gone: bool) {
        let said = self.said(case_id).await;
        let review_id = said.into_iter().rev().find_map(|body| match body {
            Body::ReviewRequested(review) => Some(review.review_id),
            _ => None,
        });
        let upheld = v1::VerdictUpheld {
            decision_id: String::new(),
            review_id: review_id.expect("a review was asked for"),
            gone,
        };
        self.say(vec![(case_id, Body::VerdictUpheld(upheld))]).await;
    }

    pub(crate) async fn hold(&self, case_id: CaseId) {
        let held = Body::CaseHeld(v1::CaseHeld::default());
        self.say(vec![(case_id, held)]).await;
    }

    pub(crate) async fn release(&self, case_id: CaseId) {
        let released = Body::CaseReleased(v1::CaseReleased::default());
        self.say(vec![(case_id, released)]).await;
    }

    fn provider(&self, name: &str, channel: DeliveryChannel, role: ProviderRole) -> Provider {
        let row_id = Uuid::new_v4();
        let seal = |purpose, text: &str| {
            let sealed = self
                .rules
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

    /// A decision of verification about a URL, signed but not said yet.
    pub(crate) fn decide(&self, url: &str) -> Decided {
        let case_id = CaseId::new(Uuid::new_v4());
        let (key, wrapped) = self.rules.keyring.new_data_key(case_id.uuid());
        let report = Uuid::new_v4();
        let item = v1::SealedItem {
            url: url.to_owned(),
            hashes: Vec::new(),
        };
        let sealed = key.seal(Purpose::Url, case_id.uuid(), report, &item.encode_to_vec());
        let decision_id = Uuid::new_v4().to_string();
        let signer = self.rules.keyring.signer(SigningContext::Proof);
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
        Decided {
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
                sealed_item: sealed.into_bytes().into(),
                sealed_item_report_id: report.to_string(),
                received_at: Some(timestamp(self.now() - Duration::seconds(3))),
                decided_at: Some(timestamp(self.now())),
                media: 1,
                self_reported: false,
            },
        }
    }

    /// Verification says these, in order, and dispatch hears them.
    pub(crate) async fn say(&self, events: Vec<(CaseId, Body)>) {
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
        // Where a served role hears too, either of them may hold the cursors.
        while self.unheard().await > 0 {
            assert!(
                tokio::time::Instant::now() < deadline,
                "dispatch does not hear"
            );
            self.consumer.run_once().await.unwrap();
        }
    }

    async fn unheard(&self) -> i64 {
        sqlx::query_scalar(
            "select ((select sum(position) from verification.log_shard)
                - (select coalesce(sum(position), 0) from cursor where producer = 'verification'))::bigint",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Decides a URL and lets dispatch hear it.
    pub(crate) async fn act(&self, url: &str) -> CaseId {
        let decided = self.decide(url);
        self.say(vec![(decided.case_id, Body::CaseActionable(decided.event))])
            .await;
        decided.case_id
    }

    pub(crate) async fn parked(&self) -> Vec<String> {
        sqlx::query_scalar("select reason from parked_event order by position")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    /// As many timers as a test wants.
    pub(crate) fn timers(&self) -> Timers {
        self.timers.clone()
    }

    /// Time passes, and everything due fires.
    pub(crate) async fn pass(&self, by: Duration) {
        self.clock.advance(by);
        while self.timers.run_once().await.unwrap() > 0 {}
    }

    pub(crate) async fn case(&self, case_id: CaseId) -> CaseFile {
        let mut conn = self.pool.acquire().await.unwrap();
        store::cases(&mut conn, &[case_id.uuid()])
            .await
            .unwrap()
            .pop()
            .expect("the case is there")
    }

    /// All notices of a case, by episode and step.
    pub(crate) async fn notices(&self, case_id: CaseId) -> Vec<Notice> {
        let mut conn = self.pool.acquire().await.unwrap();
        store::notices_of_cases(&mut conn, &[case_id.uuid()])
            .await
            .unwrap()
    }

    /// As `provider/rung/state`, in order.
    pub(crate) async fn story(&self, case_id: CaseId) -> Vec<String> {
        self.notices(case_id)
            .await
            .iter()
            .map(|n| format!("{}/{}/{}", n.provider_id, n.rung, n.state))
            .collect()
    }

    /// What dispatch has said about a case, in order.
    pub(crate) async fn said(&self, case_id: CaseId) -> Vec<Body> {
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

    pub(crate) async fn said_names(&self, case_id: CaseId) -> Vec<&'static str> {
        self.said(case_id).await.iter().map(event::name).collect()
    }

    /// Notices with a message in line, and its sequence.
    pub(crate) async fn in_line(&self, case_id: CaseId) -> Vec<(NoticeId, i32)> {
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

    /// When the place is looked at next.
    pub(crate) async fn look_at(&self, case_id: CaseId) -> Option<OffsetDateTime> {
        sqlx::query_scalar("select due_at from probe where case_id = $1")
            .bind(case_id.uuid())
            .fetch_optional(&self.pool)
            .await
            .unwrap()
    }

    pub(crate) async fn delivered(&self, notice: &Notice) {
        let mut tx = self.pool.begin().await.unwrap();
        let told = commands::Delivered {
            notice_id: notice.id,
            channel: notice.channel,
            attempts: 1,
        };
        commands::record_delivered(&mut tx, &self.rules, self.now(), &[told])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn unreachable(&self, notice: &Notice) {
        let mut tx = self.pool.begin().await.unwrap();
        let failed = commands::Unreachable {
            notice_id: notice.id,
            channel: notice.channel,
            reason: "gone",
            attempts: 1,
            claimed_at: self.now(),
        };
        commands::record_unreachable(&mut tx, &self.rules, self.now(), &[failed])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) fn item(notice: &Notice, answer: Answer) -> AnswerItem {
        AnswerItem {
            notice_id: notice.id,
            provider_id: notice.provider_id.clone(),
            answer,
            until: None,
            named: None,
            text: None,
            channel: DeliveryChannel::Api,
        }
    }

    pub(crate) async fn answer_as(&self, item: AnswerItem) -> NoticeState {
        let mut tx = self.pool.begin().await.unwrap();
        let replies = commands::answer(&mut tx, &self.rules, self.now(), &[item])
            .await
            .unwrap();
        tx.commit().await.unwrap();
        replies[0].as_ref().unwrap().state
    }

    pub(crate) async fn answer(&self, notice: &Notice, answer: Answer) -> NoticeState {
        self.answer_as(Self::item(notice, answer)).await
    }

    pub(crate) async fn looked(&self, case_id: CaseId, outcome: Outcome) {
        self.looked_since(case_id, self.now(), outcome).await;
    }

    /// A look that began at `since` and is recorded now.
    pub(crate) async fn looked_since(
        &self,
        case_id: CaseId,
        since: OffsetDateTime,
        outcome: Outcome,
    ) {
        let mut tx = self.pool.begin().await.unwrap();
        let seen = ProbeSeen {
            case_id,
            since,
            outcome,
        };
        commands::record_probes(&mut tx, &self.rules, self.now(), &[seen])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

/// What a place looks like with content of this length.
pub(crate) fn up(length: u64) -> Outcome {
    Outcome::Up(Fingerprint {
        status: 200,
        length: Some(length),
        etag: Some(format!("\"{length}\"")),
        content_type: Some("image/jpeg".into()),
    })
}
