//! Through the real server: staff, providers, links.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch::channels::MailSettings;
use dispatch::{Config, Deps, Hints, link};
use domain::id::CaseId;
use domain::word::{Answer, NoticeState, ProviderRole};
use platform::batch::fold::KEY_REUSED;
use platform::bus::Bus;
use platform::clock::{Clock, wall};
use platform::connector::{Connector, Policy};
use platform::principal::Role;
use platform::sealed::{Keyring, SigningContext, StaffClaims, StaffTokenIssuer};
use proto::v1;
use proto::v1::dispatch_service_client::DispatchServiceClient;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::support::{Bench, id};

pub(crate) struct Served {
    pub(crate) bench: Bench,
    pub(crate) client: DispatchServiceClient<Channel>,
    shutdown: CancellationToken,
    role: tokio::task::JoinHandle<Result<(), dispatch::Error>>,
}

impl Served {
    pub(crate) async fn start() -> Self {
        let bench = Bench::new().await;
        let keyring = Arc::clone(&bench.rules.keyring);
        Self::start_with(bench, keyring, None).await
    }

    /// Mails come back to this domain; where they go out, nobody listens.
    pub(crate) async fn with_returns(domain: &str) -> Self {
        let bench = Bench::new().await;
        let keyring = Arc::clone(&bench.rules.keyring);
        let mail = MailSettings {
            port: 1,
            return_domain: Some(domain.to_owned()),
            ..MailSettings::default()
        };
        Self::start_with(bench, keyring, Some(mail)).await
    }

    /// The same bench, served anew after the key for bodies was replaced.
    async fn with_another_body_key(self) -> Self {
        self.shutdown.cancel();
        self.role.await.unwrap().unwrap();
        let json = std::fs::read(self.bench.folder.path().join("keyring.json")).unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let another = json["link"]["keys"][0]["key"].clone();
        json["body"]["current"] = "h-next".into();
        let keys = json["body"]["keys"].as_array_mut().unwrap();
        keys.insert(0, serde_json::json!({"id": "h-next", "key": another}));
        let keyring = Keyring::parse(&json.to_string()).unwrap();
        Self::start_with(self.bench, Arc::new(keyring), None).await
    }

    pub(crate) async fn start_with(
        bench: Bench,
        keyring: Arc<Keyring>,
        mail: Option<MailSettings>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let config = Config {
            resolve_names: false,
            mail,
            ..Config::default()
        };
        let deps = Deps {
            pool: bench.database.pool_of("dispatch", 12).await,
            keyring,
            clock: Clock::Manual(bench.clock.clone()),
            config,
            policy: Arc::clone(&bench.rules.policy),
            connector: Connector::new(Policy::default()),
            ledger: None,
            hints: Hints::default(),
            bus: Bus::Local,
        };
        let role = tokio::spawn(dispatch::run(deps, listener, shutdown.clone()));
        let channel = platform::grpc::channel(&address).unwrap();
        Self {
            bench,
            client: DispatchServiceClient::new(channel),
            shutdown,
            role,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.role.await.unwrap().unwrap();
    }

    pub(crate) fn staff(&self, roles: &[Role]) -> String {
        let signer = self.bench.rules.keyring.signer(SigningContext::StaffToken);
        StaffTokenIssuer::new(signer)
            .unwrap()
            .issue(&StaffClaims {
                subject: Uuid::from_u128(1),
                name: "Sam Example".into(),
                roles: roles.iter().copied().collect(),
                session: Uuid::from_u128(2),
                audience: "dispatch".into(),
                issued_at: wall(),
                expires_at: wall() + time::Duration::seconds(50),
            })
            .unwrap()
    }

    /// A key with these scopes, all where none are named.
    pub(crate) async fn key(&mut self, provider: &str, scopes: &[v1::ProviderScope]) -> String {
        let request = v1::CreateProviderKeyRequest {
            provider_id: provider.into(),
            scopes: scopes.iter().map(|scope| *scope as i32).collect(),
            ..v1::CreateProviderKeyRequest::default()
        };
        let token = self.staff(&[Role::Operator]);
        let created = self.client.create_provider_key(with(&token, request)).await;
        created.unwrap().into_inner().key
    }
}

pub(crate) fn with<T>(credential: &str, body: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(body);
    let value = format!("Bearer {credential}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

pub(crate) fn item(notice: &str, answer: Answer) -> v1::AnswerItem {
    v1::AnswerItem {
        notice_id: notice.into(),
        answer: answer.wire(),
        ..v1::AnswerItem::default()
    }
}

async fn list(served: &mut Served, key: &str, cursor: &str) -> (Vec<v1::Notice>, String) {
    let request = v1::ListNoticesRequest {
        page: Some(v1::Page {
            size: 2,
            cursor: cursor.into(),
        }),
        ..v1::ListNoticesRequest::default()
    };
    let page = served.client.list_notices(with(key, request)).await;
    let page = page.unwrap().into_inner();
    (page.notices, page.next_cursor)
}

/// Whoever can write the table can make a row, take over another's, or widen its rights: none of it opens anything.
#[tokio::test]
async fn a_key_that_was_written_or_changed_by_sql_is_refused() {
    let mut served = Served::start().await;
    served.bench.act("https://amber.example/1").await;
    let read_only = served.key("amber", &[v1::ProviderScope::Read]).await;
    let other = served.key("album", &[]).await;
    let (mine, _) = list(&mut served, &read_only, "").await;
    assert_eq!(mine.len(), 1, "the control: the key opens what is its own");

    let changes = [
        // Of another provider.
        "update provider_key set provider_id = 'amber' where provider_id = 'album'",
        // With more rights than were given.
        "update provider_key set scopes = array['read', 'answer', 'settings'] where provider_id = 'amber'",
        // Nobody vouched for it.
        "update provider_key set vouched = null",
        // A word for another row.
        "update provider_key k set vouched = o.vouched from provider_key o where o.key_id <> k.key_id",
    ];
    for change in changes {
        let pool = served.bench.database.pool("dispatch").await;
        let before: Vec<(Uuid, String, Vec<String>, Vec<u8>)> =
            sqlx::query_as("select key_id, provider_id, scopes, vouched from provider_key")
                .fetch_all(&pool)
                .await
                .unwrap();
        sqlx::query(change).execute(&pool).await.unwrap();
        let refused = async |client: &mut DispatchServiceClient<Channel>, key: &str| {
            let request = v1::ListNoticesRequest::default();
            let answer = client.list_notices(with(key, request)).await;
            answer.map(drop).map_err(|status| status.code())
        };
        let keys = match change {
            c if c.contains("'album'") => vec![&other],
            c if c.contains("scopes") => vec![&read_only],
            _ => vec![&read_only, &other],
        };
        for key in keys {
            let outcome = refused(&mut served.client, key).await;
            assert_eq!(outcome, Err(tonic::Code::Unauthenticated), "{change}");
        }
        for (id, provider, scopes, vouched) in before {
            sqlx::query("update provider_key set provider_id = $2, scopes = $3, vouched = $4 where key_id = $1")
                .bind(id)
                .bind(provider)
                .bind(scopes)
                .bind(vouched)
                .execute(&pool)
                .await
                .unwrap();
        }
    }
    let (mine, _) = list(&mut served, &read_only, "").await;
    assert_eq!(mine.len(), 1, "put back, it opens again");
    served.stop().await;
}

#[tokio::test]
async fn a_provider_lists_reads_verifies_and_answers_what_is_its_own() {
    let mut served = Served::start().await;
    let mut cases: BTreeMap<String, CaseId> = BTreeMap::new();
    for n in 0..3 {
        let case_id = served
            .bench
            .act(&format!("https://amber.example/{n}"))
            .await;
        let notice = served.bench.notices(case_id).await.remove(0);
        cases.insert(notice.id.to_string(), case_id);
    }
    let key = served.key("amber", &[]).await;
    let other = served.key("kite", &[]).await;

    let (first, cursor) = list(&mut served, &key, "").await;
    let (second, end) = list(&mut served, &key, &cursor).await;
    assert_eq!((first.len(), second.len()), (2, 1));
    assert!(list(&mut served, &key, &end).await.0.is_empty());
    let all: Vec<&v1::Notice> = first.iter().chain(&second).collect();
    for notice in &all {
        assert!(cases.contains_key(&notice.notice_id));
        assert_eq!(notice.state, NoticeState::Delivered.wire());
        assert!(notice.url.starts_with("https://amber.example/"));
    }
    let case_id = cases[&all[0].notice_id];
    assert_eq!(
        served.bench.said_names(case_id).await,
        ["NoticeSent", "NoticeDelivered"]
    );

    let verify = v1::VerifyNoticeRequest {
        notice_id: all[0].notice_id.clone(),
        signed: all[0].signed.clone(),
        signature: all[0].signature.clone(),
    };
    let said = served
        .client
        .verify_notice(with(&key, verify.clone()))
        .await;
    assert!(said.unwrap().into_inner().ours);
    let said = served
        .client
        .verify_notice(with(&other, verify.clone()))
        .await;
    assert!(!said.unwrap().into_inner().ours);
    let forged = v1::VerifyNoticeRequest {
        signature: vec![0; 64].into(),
        ..verify
    };
    let said = served.client.verify_notice(with(&key, forged)).await;
    assert!(!said.unwrap().into_inner().ours);

    let not_theirs = v1::GetNoticeRequest {
        notice_id: all[0].notice_id.clone(),
    };
    let status = served.client.get_notice(with(&other, not_theirs)).await;
    assert_eq!(status.unwrap_err().code(), tonic::Code::NotFound);

    let request = v1::AnswerNoticesRequest {
        idempotency_key: "first".into(),
        items: all
            .iter()
            .map(|n| item(&n.notice_id, Answer::Acknowledged))
            .chain([item("nonsense", Answer::Removed)])
            .collect(),
        ..v1::AnswerNoticesRequest::default()
    };
    let once = served
        .client
        .answer_notices(with(&key, request.clone()))
        .await;
    let once = once.unwrap().into_inner();
    assert_eq!(once.results.len(), 4);
    let bad = once.results[3].result.clone();
    assert!(
        matches!(bad, Some(v1::answer_result::Result::Problem(p)) if p.field == "items[3].notice_id")
    );
    let twice = served
        .client
        .answer_notices(with(&key, request.clone()))
        .await;
    assert_eq!(twice.unwrap().into_inner(), once);
    let mut shorter = request.clone();
    shorter.items.pop();
    // What the edge could not read and did not send on is part of the body too.
    let mut spoilt = request.clone();
    spoilt.body_digest = vec![1; 32].into();
    for clash in [shorter, spoilt.clone()] {
        let status = served.client.answer_notices(with(&key, clash)).await;
        let problem = platform::error::Problem::from(status.unwrap_err());
        assert_eq!(problem.code, KEY_REUSED);
    }
    // With nothing to be read at all it is still authenticated, and takes its key.
    spoilt.items.clear();
    spoilt.idempotency_key = "second".into();
    let strange = tonic::Request::new(spoilt.clone());
    let status = served.client.answer_notices(strange).await;
    assert_eq!(status.unwrap_err().code(), tonic::Code::Unauthenticated);
    let nothing = served.client.answer_notices(with(&key, spoilt)).await;
    assert!(nothing.unwrap().get_ref().results.is_empty());
    let mut served = served.with_another_body_key().await;
    let again = served.client.answer_notices(with(&key, request)).await;
    assert_eq!(again.unwrap().into_inner(), once);
    // What is answered is no longer waiting.
    assert!(list(&mut served, &key, "").await.0.is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_link_shows_without_changing_and_answers_for_its_addressee() {
    let mut served = Served::start().await;
    let case_id = served.bench.act("https://kite.example/1").await;
    let notice = served.bench.notices(case_id).await.remove(0);
    let keyring = &served.bench.rules.keyring;
    let end = served.bench.now() + time::Duration::DAY;
    let token = link::token(keyring, notice.id, &id("kite"), end);
    let wrong = link::token(keyring, notice.id, &id("amber"), end);
    for _ in 0..2 {
        let view = v1::ViewByLinkRequest {
            token: token.clone(),
        };
        let seen = served.client.view_by_link(view).await.unwrap().into_inner();
        assert_eq!(seen.answered, 0);
    }
    let before = served.bench.notices(case_id).await.remove(0);
    assert_eq!(
        (before.state, before.delivered_at),
        (NoticeState::Queued, None)
    );
    let view = v1::ViewByLinkRequest { token: wrong };
    let status = served.client.view_by_link(view).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);

    let answer = v1::AnswerByLinkRequest {
        token: token.clone(),
        answer: Some(item("", Answer::Removed)),
    };
    let answered = served.client.answer_by_link(answer).await.unwrap();
    assert_eq!(
        answered.into_inner().state,
        NoticeState::RemovalClaimed.wire()
    );
    served.bench.clock.advance(time::Duration::days(2));
    let view = v1::ViewByLinkRequest { token };
    let status = served.client.view_by_link(view).await.unwrap_err();
    assert_eq!(platform::error::Problem::from(status).code, "link_expired");
    served.stop().await;
}

#[tokio::test]
async fn operators_keep_the_directory_and_it_is_followed_at_once() {
    let mut served = Served::start().await;
    let token = served.staff(&[Role::Operator]);
    let provider = v1::Provider {
        provider_id: "fresh".into(),
        role: ProviderRole::Host.wire(),
        country: "NL".into(),
        domains: vec!["fresh.example".into()],
        cidrs: vec!["2001:db8:77::/48".into()],
        channel: 1,
        abuse_contact: "abuse@fresh.example".into(),
        ..v1::Provider::default()
    };
    let broken = v1::Provider {
        cidrs: vec!["300.0.0.0/8".into()],
        ..provider.clone()
    };
    let request = v1::PutProvidersRequest {
        providers: vec![broken, provider],
    };
    let put = served.client.put_providers(with(&token, request)).await;
    let put = put.unwrap().into_inner();
    assert_eq!(put.written, 1);
    assert_eq!(put.problems[0].field, "providers[0].cidrs[0]");
    let case_id = served.bench.act("https://[2001:db8:77::5]/x").await;
    assert_eq!(served.bench.story(case_id).await, ["fresh/host/sent"]);

    for (roles, shown) in [
        (&[Role::Operator][..], "abuse@fresh.example"),
        (&[Role::Auditor][..], ""),
    ] {
        let token = served.staff(roles);
        let request = v1::GetProviderRequest {
            provider_id: "fresh".into(),
        };
        let got = served.client.get_provider(with(&token, request)).await;
        let summary = got.unwrap().into_inner().summary.unwrap();
        assert_eq!(summary.notices_open, 1);
        assert_eq!(summary.provider.unwrap().abuse_contact, shown);
    }

    let key = served.key("fresh", &[]).await;
    let request = v1::SetPreferencesRequest {
        preferences: Some(v1::Preferences {
            channel: 2,
            webhook_url: "https://fresh.example/hook".into(),
            abuse_contact: "abuse@fresh.example".into(),
            ..v1::Preferences::default()
        }),
    };
    let set = served.client.set_preferences(with(&key, request)).await;
    assert!(
        set.unwrap()
            .into_inner()
            .webhook_public_key
            .starts_with("whpk_")
    );
    let case_id = served.bench.act("https://fresh.example/y").await;
    assert_eq!(served.bench.story(case_id).await, ["fresh/host/queued"]);
    served.stop().await;
}

#[tokio::test]
async fn staff_see_cases_overdue_clocks_and_figures_that_fit() {
    let mut served = Served::start().await;
    let token = served.staff(&[Role::Auditor]);
    let gone = served.bench.act("https://amber.example/1").await;
    let late = served.bench.act("https://lonely.example/2").await;
    served
        .bench
        .looked(gone, dispatch::commands::Outcome::Gone)
        .await;
    served
        .bench
        .looked(gone, dispatch::commands::Outcome::Gone)
        .await;
    served
        .bench
        .clock
        .advance(time::Duration::milliseconds(4500));

    let request = v1::GetCaseDispatchRequest {
        case_id: gone.to_string(),
    };
    let case = served.client.get_case_dispatch(with(&token, request)).await;
    let case = case.unwrap().into_inner();
    assert_eq!(case.live(), v1::LiveState::Watched);
    assert_eq!(case.masked_url, "hxxps://amber[.]example/…");

    let request = v1::ListOverdueRequest::default();
    let overdue = served.client.list_overdue(with(&token, request)).await;
    let overdue = overdue.unwrap().into_inner();
    assert_eq!(overdue.total, 1);
    assert_eq!(overdue.overdue[0].clock, "acknowledge");
    assert_eq!(overdue.overdue[0].next_rung(), v1::Rung::Remind);
    let notice = overdue.overdue[0].notice.clone().unwrap();
    assert_eq!(notice.case_id, late.to_string());

    let request = v1::GetDispatchCountsRequest {};
    let counts = served
        .client
        .get_dispatch_counts(with(&token, request))
        .await;
    let counts = counts.unwrap().into_inner();
    let sum: u64 = counts.by_live_state.iter().map(|s| s.count).sum();
    assert_eq!((counts.cases, sum), (2, 2));
    assert_eq!(
        (counts.notices, counts.confirmed_removed, counts.unsettled),
        (2, 1, 2)
    );
    assert_eq!(counts.clocks.len(), 5);

    let request = v1::SearchNoticesRequest {
        page: Some(v1::Page {
            size: 1,
            cursor: String::new(),
        }),
        ..v1::SearchNoticesRequest::default()
    };
    let page = served
        .client
        .search_notices(with(&token, request.clone()))
        .await;
    let page = page.unwrap().into_inner();
    let next = v1::SearchNoticesRequest {
        page: Some(v1::Page {
            size: 1,
            cursor: page.next_cursor,
        }),
        ..request
    };
    let rest = served.client.search_notices(with(&token, next)).await;
    let rest = rest.unwrap().into_inner();
    assert_ne!(page.notices[0].notice_id, rest.notices[0].notice_id);
    served.stop().await;
}
