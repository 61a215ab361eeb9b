//! Each call with what it must refuse: a stable code, and nothing changed.

use domain::word::Answer;
use platform::error::{Kind, Problem};
use platform::principal::Role;
use proto::v1;

use crate::grpc::{Served, item, with};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// Calls and checks code and kind.
macro_rules! refused {
    ($served:ident, $credential:expr, $method:ident, $request:expr, $kind:ident, $code:literal) => {{
        let credential: &str = $credential;
        let request = if credential.is_empty() {
            tonic::Request::new($request)
        } else {
            with(credential, $request)
        };
        let status = $served.client.$method(request).await.expect_err(concat!(
            stringify!($method),
            " must refuse: ",
            $code
        ));
        let problem = Problem::from(status);
        assert_eq!(
            (problem.kind, problem.code.as_ref()),
            (Kind::$kind, $code),
            "{}",
            stringify!($method)
        );
        assert!(
            problem.detail.len() > 20,
            "a sentence, not {:?}",
            problem.detail
        );
    }};
}

#[tokio::test]
async fn staff_calls_refuse_bad_credentials_and_bad_input() {
    let mut s = Served::start().await;
    let operator = s.staff(&[Role::Operator]);
    let auditor = s.staff(&[Role::Auditor]);
    let analyst = s.staff(&[Role::Analyst]);
    let key = s.key("amber", &[]).await;
    let put = v1::PutProvidersRequest::default();
    refused!(
        s,
        "",
        put_providers,
        put.clone(),
        Unauthenticated,
        "credential_missing"
    );
    refused!(
        s,
        "x",
        put_providers,
        put.clone(),
        Unauthenticated,
        "token_malformed"
    );
    refused!(
        s,
        &key,
        put_providers,
        put.clone(),
        Unauthenticated,
        "token_malformed"
    );
    refused!(
        s,
        &auditor,
        put_providers,
        put.clone(),
        Forbidden,
        "role_required"
    );
    refused!(s, &operator, put_providers, put, Invalid, "field_missing");
    let many = v1::PutProvidersRequest {
        providers: vec![v1::Provider::default(); 1001],
    };
    refused!(s, &operator, put_providers, many, Invalid, "too_many");
    refused!(
        s,
        "",
        list_providers,
        v1::ListProvidersRequest::default(),
        Unauthenticated,
        "credential_missing"
    );
    let bad_page = Some(v1::Page {
        size: 1,
        cursor: "%%%".into(),
    });
    let list = v1::ListProvidersRequest {
        page: bad_page.clone(),
    };
    refused!(
        s,
        &auditor,
        list_providers,
        list,
        Invalid,
        "cursor_malformed"
    );
    for (id, kind, code) in [
        ("", Kind::Invalid, "field_missing"),
        ("A B", Kind::Invalid, "provider_id_malformed"),
        ("nobody", Kind::NotFound, "not_found"),
    ] {
        let get = v1::GetProviderRequest {
            provider_id: id.into(),
        };
        let status = s.client.get_provider(with(&auditor, get)).await;
        let problem = Problem::from(status.unwrap_err());
        assert_eq!((problem.kind, problem.code.as_ref()), (kind, code));
        let create = v1::CreateProviderKeyRequest {
            provider_id: id.into(),
            ..v1::CreateProviderKeyRequest::default()
        };
        let status = s.client.create_provider_key(with(&operator, create)).await;
        let problem = Problem::from(status.unwrap_err());
        assert_eq!((problem.kind, problem.code.as_ref()), (kind, code));
    }
    let scope = v1::CreateProviderKeyRequest {
        provider_id: "amber".into(),
        scopes: vec![99],
        ..v1::CreateProviderKeyRequest::default()
    };
    refused!(
        s,
        &operator,
        create_provider_key,
        scope.clone(),
        Invalid,
        "word_unknown"
    );
    refused!(
        s,
        &analyst,
        create_provider_key,
        scope,
        Forbidden,
        "role_required"
    );
    let revoke = |id: &str| v1::RevokeProviderKeyRequest { key_id: id.into() };
    refused!(
        s,
        &operator,
        revoke_provider_key,
        revoke(""),
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &operator,
        revoke_provider_key,
        revoke("x"),
        Invalid,
        "id_malformed"
    );
    refused!(
        s,
        &operator,
        revoke_provider_key,
        revoke(NIL),
        NotFound,
        "not_found"
    );
    let case = |id: &str| v1::GetCaseDispatchRequest { case_id: id.into() };
    refused!(
        s,
        "",
        get_case_dispatch,
        case(NIL),
        Unauthenticated,
        "credential_missing"
    );
    refused!(
        s,
        &auditor,
        get_case_dispatch,
        case(""),
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &auditor,
        get_case_dispatch,
        case("x"),
        Invalid,
        "id_malformed"
    );
    refused!(
        s,
        &auditor,
        get_case_dispatch,
        case(NIL),
        NotFound,
        "not_found"
    );
    let search = v1::SearchNoticesRequest {
        states: vec![77],
        ..v1::SearchNoticesRequest::default()
    };
    refused!(s, &auditor, search_notices, search, Invalid, "word_unknown");
    let search = v1::SearchNoticesRequest {
        case_id: "x".into(),
        ..v1::SearchNoticesRequest::default()
    };
    refused!(s, &auditor, search_notices, search, Invalid, "id_malformed");
    let overdue = v1::ListOverdueRequest { page: bad_page };
    refused!(
        s,
        &auditor,
        list_overdue,
        overdue,
        Invalid,
        "cursor_malformed"
    );
    refused!(
        s,
        "",
        get_dispatch_counts,
        v1::GetDispatchCountsRequest {},
        Unauthenticated,
        "credential_missing"
    );
    let supply = |id: &str, text: &str| v1::SupplyInformationRequest {
        notice_id: id.into(),
        text: text.into(),
    };
    refused!(
        s,
        &auditor,
        supply_information,
        supply(NIL, "x"),
        Forbidden,
        "role_required"
    );
    refused!(
        s,
        &analyst,
        supply_information,
        supply("", "x"),
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &analyst,
        supply_information,
        supply(NIL, ""),
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &analyst,
        supply_information,
        supply(NIL, &"x".repeat(2001)),
        Invalid,
        "field_too_long"
    );
    refused!(
        s,
        &analyst,
        supply_information,
        supply(NIL, "x"),
        NotFound,
        "not_found"
    );
    s.stop().await;
}

#[tokio::test]
async fn provider_calls_refuse_bad_credentials_and_bad_input() {
    let mut s = Served::start().await;
    let key = s.key("amber", &[]).await;
    let reader = s.key("amber", &[v1::ProviderScope::Read]).await;
    let staff = s.staff(&[Role::Operator]);
    let wrong = format!("{}{}", &key[..key.len() - 3], "AAA");
    let list = v1::ListNoticesRequest::default();
    refused!(
        s,
        "",
        list_notices,
        list.clone(),
        Unauthenticated,
        "credential_missing"
    );
    refused!(
        s,
        &staff,
        list_notices,
        list.clone(),
        Unauthenticated,
        "key_refused"
    );
    refused!(
        s,
        &wrong,
        list_notices,
        list,
        Unauthenticated,
        "key_refused"
    );
    let list = v1::ListNoticesRequest {
        states: vec![-1],
        page: None,
        ..v1::ListNoticesRequest::default()
    };
    refused!(s, &key, list_notices, list, Invalid, "word_unknown");
    let list = v1::ListNoticesRequest {
        states: Vec::new(),
        page: Some(v1::Page {
            size: 1,
            cursor: "A".repeat(999),
        }),
        ..v1::ListNoticesRequest::default()
    };
    refused!(s, &key, list_notices, list, Invalid, "cursor_malformed");
    let get = |id: &str| v1::GetNoticeRequest {
        notice_id: id.into(),
    };
    refused!(s, &key, get_notice, get(""), Invalid, "field_missing");
    refused!(s, &key, get_notice, get("x"), Invalid, "id_malformed");
    refused!(s, &key, get_notice, get(NIL), NotFound, "not_found");
    let answers = |items| v1::AnswerNoticesRequest {
        idempotency_key: String::new(),
        items,
        ..v1::AnswerNoticesRequest::default()
    };
    let one = item(NIL, Answer::Removed);
    refused!(
        s,
        "",
        answer_notices,
        answers(vec![one.clone()]),
        Unauthenticated,
        "credential_missing"
    );
    refused!(
        s,
        &reader,
        answer_notices,
        answers(vec![one.clone()]),
        Forbidden,
        "scope_required"
    );
    refused!(
        s,
        &key,
        answer_notices,
        answers(Vec::new()),
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &key,
        answer_notices,
        answers(vec![one.clone(); 1001]),
        Invalid,
        "too_many"
    );
    let long = v1::AnswerNoticesRequest {
        idempotency_key: "k".repeat(201),
        items: vec![one],
        ..v1::AnswerNoticesRequest::default()
    };
    refused!(s, &key, answer_notices, long, Invalid, "field_too_long");
    let verify = |signed: Vec<u8>, signature: Vec<u8>| v1::VerifyNoticeRequest {
        notice_id: NIL.into(),
        signed: signed.into(),
        signature: signature.into(),
    };
    refused!(
        s,
        &key,
        verify_notice,
        verify(Vec::new(), vec![1]),
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &key,
        verify_notice,
        verify(vec![1], Vec::new()),
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &key,
        verify_notice,
        verify(vec![1; 20_000], vec![1]),
        Invalid,
        "field_too_long"
    );
    let set = |channel, url: &str, mailbox: &str| v1::SetPreferencesRequest {
        preferences: Some(v1::Preferences {
            channel,
            webhook_url: url.into(),
            abuse_contact: mailbox.into(),
            ..v1::Preferences::default()
        }),
    };
    refused!(
        s,
        &reader,
        get_preferences,
        v1::GetPreferencesRequest {},
        Forbidden,
        "scope_required"
    );
    refused!(
        s,
        &key,
        set_preferences,
        v1::SetPreferencesRequest { preferences: None },
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &key,
        set_preferences,
        set(9, "", ""),
        Invalid,
        "word_unknown"
    );
    refused!(
        s,
        &key,
        set_preferences,
        set(2, "", ""),
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &key,
        set_preferences,
        set(3, "", ""),
        Invalid,
        "field_missing"
    );
    refused!(
        s,
        &key,
        set_preferences,
        set(2, "http://host.example/", ""),
        Invalid,
        "webhook_malformed"
    );
    refused!(
        s,
        &key,
        set_preferences,
        set(2, "https://u:p@host.example/", ""),
        Invalid,
        "webhook_malformed"
    );
    refused!(
        s,
        &key,
        set_preferences,
        set(3, "", "two@a.example, b@b.example"),
        Invalid,
        "mailbox_malformed"
    );
    let view = |token: &str| v1::ViewByLinkRequest {
        token: token.into(),
    };
    refused!(s, "", view_by_link, view(""), Invalid, "field_missing");
    refused!(s, "", view_by_link, view("x"), NotFound, "link_unknown");
    let by_link = v1::AnswerByLinkRequest {
        token: "x".into(),
        answer: Some(item("", Answer::Removed)),
    };
    refused!(s, "", answer_by_link, by_link, NotFound, "link_unknown");

    let operator = s.staff(&[Role::Operator]);
    let id = &key["tdh_".len()..][..32];
    let revoke = v1::RevokeProviderKeyRequest { key_id: id.into() };
    s.client
        .revoke_provider_key(with(&operator, revoke))
        .await
        .unwrap();
    refused!(
        s,
        &key,
        get_notice,
        get(NIL),
        Unauthenticated,
        "key_refused"
    );
    s.stop().await;
}

#[tokio::test]
async fn one_bad_answer_costs_the_others_nothing() {
    let mut s = Served::start().await;
    let case_id = s.bench.act("https://amber.example/1").await;
    let notice = s.bench.notices(case_id).await.remove(0).id.to_string();
    let elsewhere = s.bench.act("https://kite.example/1").await;
    let foreign = s.bench.notices(elsewhere).await.remove(0).id.to_string();
    let key = s.key("amber", &[]).await;
    let past = domain::wire::timestamp(s.bench.now() - time::Duration::HOUR);
    let items = vec![
        v1::AnswerItem::default(),
        item("x", Answer::Removed),
        item(NIL, Answer::Removed),
        item(&foreign, Answer::Removed),
        v1::AnswerItem {
            answer: 0,
            ..item(&notice, Answer::Removed)
        },
        item(&notice, Answer::NeedTime),
        v1::AnswerItem {
            until: Some(past),
            ..item(&notice, Answer::NeedTime)
        },
        v1::AnswerItem {
            text: "x".repeat(2001),
            ..item(&notice, Answer::Disputed)
        },
        v1::AnswerItem {
            named: "x\0y".into(),
            ..item(&notice, Answer::NotOurs)
        },
        item(&notice, Answer::Acknowledged),
    ];
    let request = v1::AnswerNoticesRequest {
        idempotency_key: String::new(),
        items,
        ..v1::AnswerNoticesRequest::default()
    };
    let replies = s.client.answer_notices(with(&key, request)).await;
    let codes: Vec<String> = replies
        .unwrap()
        .into_inner()
        .results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            v1::answer_result::Result::Problem(p) => format!("{} {}", p.code, p.field),
            v1::answer_result::Result::State(state) => format!("state {state}"),
        })
        .collect();
    assert_eq!(
        codes,
        [
            "field_missing items[0].notice_id",
            "id_malformed items[1].notice_id",
            "not_found items[2].notice_id",
            "not_found items[3].notice_id",
            "field_missing items[4].answer",
            "field_missing items[5].until",
            "until_past items[6].until",
            "field_too_long items[7].text",
            "field_control_character items[8].named",
            "state 4",
        ]
    );
    s.stop().await;
}
