//! The gRPC API through a real server: for staff, for providers, and by links.

use std::collections::BTreeMap;

use crate::policy_times::ACKNOWLEDGE;
use crate::served_dispatch::{ServedDispatch, answer_item, with_credential};
use crate::support::id;
use dispatch::delivery::link;
use domain::enums::{Answer, NoticeState, ProviderRole};
use domain::id::CaseId;
use platform::batch::fold::KEY_REUSED;
use platform::principal::Role;
use proto::v1;
use proto::v1::dispatch_service_client::DispatchServiceClient;
use tonic::transport::Channel;
use uuid::Uuid;

async fn list(
    served: &mut ServedDispatch,
    key: &str,
    page_token: &str,
) -> (Vec<v1::Notice>, String) {
    let request = v1::ListNoticesRequest {
        page_size: 2,
        page_token: page_token.into(),
        ..v1::ListNoticesRequest::default()
    };
    let page = served
        .client
        .list_notices(with_credential(key, request))
        .await;
    let page = page.unwrap().into_inner();
    (page.notices, page.next_page_token)
}

/// Write access to the table is not enough to create a key, to take over another provider's, or to widen its
/// scopes.
#[tokio::test]
async fn a_provider_key_that_was_inserted_or_changed_by_sql_is_refused() {
    let mut served = ServedDispatch::start().await;
    served.fixture.open_case("https://amber.example/1").await;
    let read_only = served
        .provider_key("amber", &[v1::ProviderScope::Read])
        .await;
    let other = served.provider_key("album", &[]).await;
    let (mine, _) = list(&mut served, &read_only, "").await;
    assert_eq!(mine.len(), 1, "the unchanged key works");

    let changes = [
        // The key of another provider.
        "update provider_key set provider_id = 'amber' where provider_id = 'album'",
        // More scopes than were granted.
        "update provider_key set scopes = array['read', 'answer', 'settings'] where provider_id = 'amber'",
        // A row without a MAC.
        "update provider_key set vouched = null",
        // The MAC of another row.
        "update provider_key k set vouched = o.vouched from provider_key o where o.key_id <> k.key_id",
    ];
    for change in changes {
        let pool = served.fixture.database.pool("dispatch").await;
        let before: Vec<(Uuid, String, Vec<String>, Vec<u8>)> =
            sqlx::query_as("select key_id, provider_id, scopes, vouched from provider_key")
                .fetch_all(&pool)
                .await
                .unwrap();
        sqlx::query(change).execute(&pool).await.unwrap();
        let refused = async |client: &mut DispatchServiceClient<Channel>, key: &str| {
            let request = v1::ListNoticesRequest::default();
            let answer = client.list_notices(with_credential(key, request)).await;
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
    assert_eq!(mine.len(), 1, "the restored key works again");
    served.stop().await;
}

#[tokio::test]
async fn a_provider_lists_reads_verifies_and_answers_only_its_own_notices() {
    let mut served = ServedDispatch::start().await;
    let mut cases: BTreeMap<String, CaseId> = BTreeMap::new();
    for n in 0..3 {
        let case_id = served
            .fixture
            .open_case(&format!("https://amber.example/{n}"))
            .await;
        let notice = served.fixture.notices(case_id).await.remove(0);
        cases.insert(notice.id.to_string(), case_id);
    }
    let key = served.provider_key("amber", &[]).await;
    let other = served.provider_key("kite", &[]).await;

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
        served.fixture.event_names(case_id).await,
        ["NoticeSent", "NoticeDelivered"]
    );

    let verify = v1::VerifyNoticeRequest {
        notice_id: all[0].notice_id.clone(),
        signed: all[0].signed.clone(),
        signature: all[0].signature.clone(),
    };
    let verified = served
        .client
        .verify_notice(with_credential(&key, verify.clone()))
        .await;
    assert!(verified.unwrap().into_inner().authentic);
    let verified = served
        .client
        .verify_notice(with_credential(&other, verify.clone()))
        .await;
    assert!(!verified.unwrap().into_inner().authentic);
    let forged = v1::VerifyNoticeRequest {
        signature: vec![0; 64].into(),
        ..verify
    };
    let verified = served
        .client
        .verify_notice(with_credential(&key, forged))
        .await;
    assert!(!verified.unwrap().into_inner().authentic);

    let not_theirs = v1::GetNoticeRequest {
        notice_id: all[0].notice_id.clone(),
    };
    let status = served
        .client
        .get_notice(with_credential(&other, not_theirs))
        .await;
    assert_eq!(status.unwrap_err().code(), tonic::Code::NotFound);

    let request = v1::AnswerNoticesRequest {
        idempotency_key: "first".into(),
        answers: all
            .iter()
            .map(|n| answer_item(&n.notice_id, Answer::Acknowledged))
            .chain([answer_item("nonsense", Answer::Removed)])
            .collect(),
        ..v1::AnswerNoticesRequest::default()
    };
    let first_reply = served
        .client
        .answer_notices(with_credential(&key, request.clone()))
        .await;
    let first_reply = first_reply.unwrap().into_inner();
    assert_eq!(first_reply.results.len(), 4);
    let malformed = first_reply.results[3].result.clone();
    assert!(
        matches!(malformed, Some(v1::answer_result::Result::Problem(p)) if p.field == "answers[3].notice_id")
    );
    let repeated = served
        .client
        .answer_notices(with_credential(&key, request.clone()))
        .await;
    assert_eq!(repeated.unwrap().into_inner(), first_reply);
    let mut shorter = request.clone();
    shorter.answers.pop();
    // Answers that the gateway could not parse and did not forward are part of the body too.
    let mut with_digest = request.clone();
    with_digest.body_digest = vec![1; 32].into();
    for clash in [shorter, with_digest.clone()] {
        let status = served
            .client
            .answer_notices(with_credential(&key, clash))
            .await;
        let problem = platform::error::Problem::from(status.unwrap_err());
        assert_eq!(problem.code, KEY_REUSED);
    }
    // A call without any answer is still authenticated and uses up its idempotency key.
    with_digest.answers.clear();
    with_digest.idempotency_key = "second".into();
    let anonymous = tonic::Request::new(with_digest.clone());
    let status = served.client.answer_notices(anonymous).await;
    assert_eq!(status.unwrap_err().code(), tonic::Code::Unauthenticated);
    let empty = served
        .client
        .answer_notices(with_credential(&key, with_digest))
        .await;
    assert!(empty.unwrap().get_ref().results.is_empty());
    let mut served = served.restart_with_new_body_key().await;
    let after_restart = served
        .client
        .answer_notices(with_credential(&key, request))
        .await;
    assert_eq!(after_restart.unwrap().into_inner(), first_reply);
    // Answered notices are not listed any more.
    assert!(list(&mut served, &key, "").await.0.is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_link_shows_the_notice_without_changing_it_and_answers_it() {
    let mut served = ServedDispatch::start().await;
    let case_id = served.fixture.open_case("https://kite.example/1").await;
    let notice = served.fixture.notices(case_id).await.remove(0);
    let keyring = &served.fixture.deps.keyring;
    let end = served.fixture.now() + time::Duration::DAY;
    let token = link::token(keyring, notice.id, &id("kite"), end);
    let wrong = link::token(keyring, notice.id, &id("amber"), end);
    for _ in 0..2 {
        let view = v1::ViewByLinkRequest {
            token: token.clone(),
        };
        let shown = served.client.view_by_link(view).await.unwrap().into_inner();
        assert_eq!(shown.answered, 0);
    }
    let before = served.fixture.notices(case_id).await.remove(0);
    assert_eq!(
        (before.state, before.delivered_at),
        (NoticeState::Queued, None)
    );
    let view = v1::ViewByLinkRequest { token: wrong };
    let status = served.client.view_by_link(view).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);

    let answer = v1::AnswerByLinkRequest {
        token: token.clone(),
        answer: Some(answer_item("", Answer::Removed)),
    };
    let answered = served.client.answer_by_link(answer).await.unwrap();
    assert_eq!(
        answered.into_inner().state,
        NoticeState::RemovalClaimed.wire()
    );
    served.fixture.clock.advance(time::Duration::days(2));
    let view = v1::ViewByLinkRequest { token };
    let status = served.client.view_by_link(view).await.unwrap_err();
    assert_eq!(platform::error::Problem::from(status).code, "link_expired");
    served.stop().await;
}

#[tokio::test]
async fn an_operators_change_of_the_directory_takes_effect_at_once() {
    let mut served = ServedDispatch::start().await;
    let token = served.staff_token(&[Role::Operator]);
    let provider = v1::Provider {
        provider_id: "newhost".into(),
        role: ProviderRole::Host.wire(),
        country: "NL".into(),
        domains: vec!["newhost.example".into()],
        cidrs: vec!["2001:db8:77::/48".into()],
        channel: 1,
        abuse_contact: "abuse@newhost.example".into(),
        ..v1::Provider::default()
    };
    let malformed = v1::Provider {
        cidrs: vec!["300.0.0.0/8".into()],
        ..provider.clone()
    };
    let request = v1::UpsertProvidersRequest {
        providers: vec![malformed, provider],
    };
    let reply = served
        .client
        .upsert_providers(with_credential(&token, request))
        .await;
    let reply = reply.unwrap().into_inner();
    assert_eq!(reply.written, 1);
    assert_eq!(reply.problems[0].field, "providers[0].cidrs[0]");
    let case_id = served.fixture.open_case("https://[2001:db8:77::5]/x").await;
    assert_eq!(
        served.fixture.notice_states(case_id).await,
        ["newhost/host/sent"]
    );

    for (roles, abuse_contact) in [
        (&[Role::Operator][..], "abuse@newhost.example"),
        (&[Role::Auditor][..], ""),
    ] {
        let token = served.staff_token(roles);
        let request = v1::GetProviderRequest {
            provider_id: "newhost".into(),
        };
        let reply = served
            .client
            .get_provider(with_credential(&token, request))
            .await;
        let summary = reply.unwrap().into_inner().summary.unwrap();
        assert_eq!(summary.notices_open, 1);
        assert_eq!(summary.provider.unwrap().abuse_contact, abuse_contact);
    }

    let key = served.provider_key("newhost", &[]).await;
    let request = v1::SetPreferencesRequest {
        preferences: Some(v1::Preferences {
            channel: 2,
            webhook_url: "https://newhost.example/hook".into(),
            abuse_contact: "abuse@newhost.example".into(),
            ..v1::Preferences::default()
        }),
    };
    let reply = served
        .client
        .set_preferences(with_credential(&key, request))
        .await;
    assert!(
        reply
            .unwrap()
            .into_inner()
            .webhook_public_key
            .starts_with("whpk_")
    );
    let case_id = served.fixture.open_case("https://newhost.example/y").await;
    assert_eq!(
        served.fixture.notice_states(case_id).await,
        ["newhost/host/queued"]
    );
    served.stop().await;
}

#[tokio::test]
async fn staff_see_cases_overdue_notices_and_consistent_counts() {
    let mut served = ServedDispatch::start().await;
    let token = served.staff_token(&[Role::Auditor]);
    let removed = served.fixture.open_case("https://amber.example/1").await;
    let late = served.fixture.open_case("https://lonely.example/2").await;
    served
        .fixture
        .record_check(removed, dispatch::cases::CheckOutcome::Offline)
        .await;
    served
        .fixture
        .record_check(removed, dispatch::cases::CheckOutcome::Offline)
        .await;
    served
        .fixture
        .clock
        .advance(ACKNOWLEDGE + time::Duration::milliseconds(500));

    let request = v1::GetCaseDispatchRequest {
        case_id: removed.to_string(),
    };
    let case = served
        .client
        .get_case_dispatch(with_credential(&token, request))
        .await;
    let case = case.unwrap().into_inner();
    assert_eq!(case.content_status(), v1::ContentStatus::Watched);
    assert_eq!(case.masked_url, "hxxps://amber[.]example/…");

    let request = v1::ListOverdueRequest::default();
    let overdue = served
        .client
        .list_overdue(with_credential(&token, request))
        .await;
    let overdue = overdue.unwrap().into_inner();
    assert_eq!(overdue.total, 1);
    assert_eq!(overdue.overdue[0].deadline(), v1::DeadlineKind::Acknowledge);
    assert_eq!(overdue.overdue[0].next_rung(), v1::Rung::Remind);
    let notice = overdue.overdue[0].notice.clone().unwrap();
    assert_eq!(notice.case_id, late.to_string());

    let request = v1::GetDispatchCountsRequest {};
    let counts = served
        .client
        .get_dispatch_counts(with_credential(&token, request))
        .await;
    let counts = counts.unwrap().into_inner();
    let sum: u64 = counts.by_content_status.iter().map(|s| s.count).sum();
    assert_eq!((counts.cases, sum), (2, 2));
    assert_eq!(
        (counts.notices, counts.confirmed_removed, counts.unsettled),
        (2, 1, 2)
    );
    assert_eq!(counts.clocks.len(), 5);

    let request = v1::SearchNoticesRequest {
        page_size: 1,
        ..v1::SearchNoticesRequest::default()
    };
    let page = served
        .client
        .search_notices(with_credential(&token, request.clone()))
        .await;
    let page = page.unwrap().into_inner();
    let next = v1::SearchNoticesRequest {
        page_token: page.next_page_token,
        ..request
    };
    let rest = served
        .client
        .search_notices(with_credential(&token, next))
        .await;
    let rest = rest.unwrap().into_inner();
    assert_ne!(page.notices[0].notice_id, rest.notices[0].notice_id);
    served.stop().await;
}
