//! Input that each call must refuse with a stable code.

use domain::enums::Answer;
use platform::error::{Kind, Problem};
use platform::principal::Role;
use proto::v1;

use crate::served_dispatch::{ServedDispatch, answer_item, with_credential};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// Makes a call, and asserts the kind and code of its refusal and that its detail is a sentence.
macro_rules! refused {
    ($served:ident, $credential:expr, $method:ident, $request:expr, $kind:ident, $code:literal) => {{
        let credential: &str = $credential;
        let request = if credential.is_empty() {
            tonic::Request::new($request)
        } else {
            with_credential(credential, $request)
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
    let mut served = ServedDispatch::start().await;
    let operator = served.staff_token(&[Role::Operator]);
    let auditor = served.staff_token(&[Role::Auditor]);
    let analyst = served.staff_token(&[Role::Analyst]);
    let key = served.provider_key("amber", &[]).await;
    let upsert = v1::UpsertProvidersRequest::default();
    refused!(
        served,
        "",
        upsert_providers,
        upsert.clone(),
        Unauthenticated,
        "credential_missing"
    );
    refused!(
        served,
        "x",
        upsert_providers,
        upsert.clone(),
        Unauthenticated,
        "token_malformed"
    );
    refused!(
        served,
        &key,
        upsert_providers,
        upsert.clone(),
        Unauthenticated,
        "token_malformed"
    );
    refused!(
        served,
        &auditor,
        upsert_providers,
        upsert.clone(),
        Forbidden,
        "role_required"
    );
    refused!(
        served,
        &operator,
        upsert_providers,
        upsert,
        Invalid,
        "field_missing"
    );
    let many = v1::UpsertProvidersRequest {
        providers: vec![v1::Provider::default(); 1001],
    };
    refused!(
        served,
        &operator,
        upsert_providers,
        many,
        Invalid,
        "too_many"
    );
    refused!(
        served,
        "",
        list_providers,
        v1::ListProvidersRequest::default(),
        Unauthenticated,
        "credential_missing"
    );
    let list = v1::ListProvidersRequest {
        page_size: -1,
        page_token: String::new(),
    };
    refused!(
        served,
        &auditor,
        list_providers,
        list,
        Invalid,
        "page_size_negative"
    );
    let list = v1::ListProvidersRequest {
        page_size: 1,
        page_token: "%%%".into(),
    };
    refused!(
        served,
        &auditor,
        list_providers,
        list,
        Invalid,
        "page_token_malformed"
    );
    for (id, kind, code) in [
        ("", Kind::Invalid, "field_missing"),
        ("A B", Kind::Invalid, "provider_id_malformed"),
        ("unknown", Kind::NotFound, "not_found"),
    ] {
        let get = v1::GetProviderRequest {
            provider_id: id.into(),
        };
        let status = served
            .client
            .get_provider(with_credential(&auditor, get))
            .await;
        let problem = Problem::from(status.unwrap_err());
        assert_eq!((problem.kind, problem.code.as_ref()), (kind, code));
        let create = v1::CreateProviderKeyRequest {
            provider_id: id.into(),
            ..v1::CreateProviderKeyRequest::default()
        };
        let status = served
            .client
            .create_provider_key(with_credential(&operator, create))
            .await;
        let problem = Problem::from(status.unwrap_err());
        assert_eq!((problem.kind, problem.code.as_ref()), (kind, code));
    }
    let scope = v1::CreateProviderKeyRequest {
        provider_id: "amber".into(),
        scopes: vec![99],
        ..v1::CreateProviderKeyRequest::default()
    };
    refused!(
        served,
        &operator,
        create_provider_key,
        scope.clone(),
        Invalid,
        "value_unknown"
    );
    refused!(
        served,
        &analyst,
        create_provider_key,
        scope,
        Forbidden,
        "role_required"
    );
    let revoke = |id: &str| v1::RevokeProviderKeyRequest { key_id: id.into() };
    refused!(
        served,
        &operator,
        revoke_provider_key,
        revoke(""),
        Invalid,
        "field_missing"
    );
    refused!(
        served,
        &operator,
        revoke_provider_key,
        revoke("x"),
        Invalid,
        "id_malformed"
    );
    refused!(
        served,
        &operator,
        revoke_provider_key,
        revoke(NIL),
        NotFound,
        "not_found"
    );
    let case = |id: &str| v1::GetCaseDispatchRequest { case_id: id.into() };
    refused!(
        served,
        "",
        get_case_dispatch,
        case(NIL),
        Unauthenticated,
        "credential_missing"
    );
    refused!(
        served,
        &auditor,
        get_case_dispatch,
        case(""),
        Invalid,
        "field_missing"
    );
    refused!(
        served,
        &auditor,
        get_case_dispatch,
        case("x"),
        Invalid,
        "id_malformed"
    );
    refused!(
        served,
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
    refused!(
        served,
        &auditor,
        search_notices,
        search,
        Invalid,
        "value_unknown"
    );
    let search = v1::SearchNoticesRequest {
        case_id: "x".into(),
        ..v1::SearchNoticesRequest::default()
    };
    refused!(
        served,
        &auditor,
        search_notices,
        search,
        Invalid,
        "id_malformed"
    );
    let overdue = v1::ListOverdueRequest {
        page_size: 1,
        page_token: "%%%".into(),
    };
    refused!(
        served,
        &auditor,
        list_overdue,
        overdue,
        Invalid,
        "page_token_malformed"
    );
    refused!(
        served,
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
        served,
        &auditor,
        supply_information,
        supply(NIL, "x"),
        Forbidden,
        "role_required"
    );
    refused!(
        served,
        &analyst,
        supply_information,
        supply("", "x"),
        Invalid,
        "field_missing"
    );
    refused!(
        served,
        &analyst,
        supply_information,
        supply(NIL, ""),
        Invalid,
        "field_missing"
    );
    refused!(
        served,
        &analyst,
        supply_information,
        supply(NIL, &"x".repeat(2001)),
        Invalid,
        "field_too_long"
    );
    refused!(
        served,
        &analyst,
        supply_information,
        supply(NIL, "x"),
        NotFound,
        "not_found"
    );
    served.stop().await;
}

#[tokio::test]
async fn provider_calls_refuse_bad_credentials_and_bad_input() {
    let mut served = ServedDispatch::start().await;
    let key = served.provider_key("amber", &[]).await;
    let reader = served
        .provider_key("amber", &[v1::ProviderScope::Read])
        .await;
    let staff = served.staff_token(&[Role::Operator]);
    let wrong = format!("{}{}", &key[..key.len() - 3], "AAA");
    let list = v1::ListNoticesRequest::default();
    refused!(
        served,
        "",
        list_notices,
        list.clone(),
        Unauthenticated,
        "credential_missing"
    );
    refused!(
        served,
        &staff,
        list_notices,
        list.clone(),
        Unauthenticated,
        "key_refused"
    );
    refused!(
        served,
        &wrong,
        list_notices,
        list,
        Unauthenticated,
        "key_refused"
    );
    let list = v1::ListNoticesRequest {
        states: vec![-1],
        ..v1::ListNoticesRequest::default()
    };
    refused!(served, &key, list_notices, list, Invalid, "value_unknown");
    let list = v1::ListNoticesRequest {
        states: Vec::new(),
        page_size: 1,
        page_token: "A".repeat(999),
        ..v1::ListNoticesRequest::default()
    };
    refused!(
        served,
        &key,
        list_notices,
        list,
        Invalid,
        "page_token_malformed"
    );
    let get = |id: &str| v1::GetNoticeRequest {
        notice_id: id.into(),
    };
    refused!(served, &key, get_notice, get(""), Invalid, "field_missing");
    refused!(served, &key, get_notice, get("x"), Invalid, "id_malformed");
    refused!(served, &key, get_notice, get(NIL), NotFound, "not_found");
    let answers = |answers| v1::AnswerNoticesRequest {
        idempotency_key: String::new(),
        answers,
        ..v1::AnswerNoticesRequest::default()
    };
    let one = answer_item(NIL, Answer::Removed);
    refused!(
        served,
        "",
        answer_notices,
        answers(vec![one.clone()]),
        Unauthenticated,
        "credential_missing"
    );
    refused!(
        served,
        &reader,
        answer_notices,
        answers(vec![one.clone()]),
        Forbidden,
        "scope_required"
    );
    refused!(
        served,
        &key,
        answer_notices,
        answers(Vec::new()),
        Invalid,
        "field_missing"
    );
    refused!(
        served,
        &key,
        answer_notices,
        answers(vec![one.clone(); 1001]),
        Invalid,
        "too_many"
    );
    let long = v1::AnswerNoticesRequest {
        idempotency_key: "k".repeat(201),
        answers: vec![one],
        ..v1::AnswerNoticesRequest::default()
    };
    refused!(
        served,
        &key,
        answer_notices,
        long,
        Invalid,
        "field_too_long"
    );
    let verify = |signed: Vec<u8>, signature: Vec<u8>| v1::VerifyNoticeRequest {
        notice_id: NIL.into(),
        signed: signed.into(),
        signature: signature.into(),
    };
    refused!(
        served,
        &key,
        verify_notice,
        verify(Vec::new(), vec![1]),
        Invalid,
        "field_missing"
    );
    refused!(
        served,
        &key,
        verify_notice,
        verify(vec![1], Vec::new()),
        Invalid,
        "field_missing"
    );
    refused!(
        served,
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
        served,
        &reader,
        get_preferences,
        v1::GetPreferencesRequest {},
        Forbidden,
        "scope_required"
    );
    refused!(
        served,
        &key,
        set_preferences,
        v1::SetPreferencesRequest { preferences: None },
        Invalid,
        "field_missing"
    );
    refused!(
        served,
        &key,
        set_preferences,
        set(9, "", ""),
        Invalid,
        "value_unknown"
    );
    refused!(
        served,
        &key,
        set_preferences,
        set(2, "", ""),
        Invalid,
        "field_missing"
    );
    refused!(
        served,
        &key,
        set_preferences,
        set(3, "", ""),
        Invalid,
        "field_missing"
    );
    refused!(
        served,
        &key,
        set_preferences,
        set(2, "http://host.example/", ""),
        Invalid,
        "webhook_malformed"
    );
    refused!(
        served,
        &key,
        set_preferences,
        set(2, "https://u:p@host.example/", ""),
        Invalid,
        "webhook_malformed"
    );
    refused!(
        served,
        &key,
        set_preferences,
        set(3, "", "two@a.example, b@b.example"),
        Invalid,
        "mailbox_malformed"
    );
    let view = |token: &str| v1::ViewByLinkRequest {
        token: token.into(),
    };
    refused!(served, "", view_by_link, view(""), Invalid, "field_missing");
    refused!(
        served,
        "",
        view_by_link,
        view("x"),
        NotFound,
        "link_unknown"
    );
    let by_link = v1::AnswerByLinkRequest {
        token: "x".into(),
        answer: Some(answer_item("", Answer::Removed)),
    };
    refused!(
        served,
        "",
        answer_by_link,
        by_link,
        NotFound,
        "link_unknown"
    );

    let operator = served.staff_token(&[Role::Operator]);
    let id = &key["tdh_".len()..][..32];
    let revoke = v1::RevokeProviderKeyRequest { key_id: id.into() };
    served
        .client
        .revoke_provider_key(with_credential(&operator, revoke))
        .await
        .unwrap();
    refused!(
        served,
        &key,
        get_notice,
        get(NIL),
        Unauthenticated,
        "key_refused"
    );
    served.stop().await;
}

#[tokio::test]
async fn an_invalid_answer_does_not_affect_the_others() {
    let mut served = ServedDispatch::start().await;
    let case_id = served.fixture.open_case("https://amber.example/1").await;
    let notice = served
        .fixture
        .notices(case_id)
        .await
        .remove(0)
        .id
        .to_string();
    let foreign_case = served.fixture.open_case("https://kite.example/1").await;
    let foreign = served
        .fixture
        .notices(foreign_case)
        .await
        .remove(0)
        .id
        .to_string();
    let key = served.provider_key("amber", &[]).await;
    let past = domain::wire::timestamp(served.fixture.now() - time::Duration::HOUR);
    let answers = vec![
        v1::AnswerItem::default(),
        answer_item("x", Answer::Removed),
        answer_item(NIL, Answer::Removed),
        answer_item(&foreign, Answer::Removed),
        v1::AnswerItem {
            answer: 0,
            ..answer_item(&notice, Answer::Removed)
        },
        answer_item(&notice, Answer::NeedTime),
        v1::AnswerItem {
            until: Some(past),
            ..answer_item(&notice, Answer::NeedTime)
        },
        v1::AnswerItem {
            text: "x".repeat(2001),
            ..answer_item(&notice, Answer::Disputed)
        },
        v1::AnswerItem {
            named: "x\0y".into(),
            ..answer_item(&notice, Answer::NotOurs)
        },
        answer_item(&notice, Answer::Acknowledged),
    ];
    let request = v1::AnswerNoticesRequest {
        idempotency_key: String::new(),
        answers,
        ..v1::AnswerNoticesRequest::default()
    };
    let replies = served
        .client
        .answer_notices(with_credential(&key, request))
        .await;
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
            "field_missing answers[0].notice_id",
            "id_malformed answers[1].notice_id",
            "not_found answers[2].notice_id",
            "not_found answers[3].notice_id",
            "field_missing answers[4].answer",
            "field_missing answers[5].until",
            "until_past answers[6].until",
            "field_too_long answers[7].text",
            "field_control_character answers[8].named",
            "state 4",
        ]
    );
    served.stop().await;
}
