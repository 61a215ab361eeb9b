//! Every call with invalid input: it is refused with the right status and a stable code, and changes nothing.

use platform::principal::Role;
use proto::v1;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::fixture::{TestVerification, code, sha256};

/// Calls and expects a refusal of this kind with this code.
macro_rules! refused {
    ($fixture:expr, $request:expr, $method:ident, $kind:ident, $code:literal) => {{
        let status: Status = $fixture.client.$method($request).await.unwrap_err();
        let found = (status.code(), code(&status));
        assert_eq!(found, (Code::$kind, $code.to_owned()), stringify!($method));
        assert!(!status.message().is_empty());
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_without_a_valid_token_are_refused() {
    let mut fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    macro_rules! all_refused {
        ($($method:ident $request:ident;)*) => {$(
            let bare = Request::new(v1::$request::default());
            refused!(fixture, bare, $method, Unauthenticated, "credential_missing");
            let other = analyst.request_for("intake", v1::$request::default());
            refused!(fixture, other, $method, Unauthenticated, "credential_invalid");
            let late = analyst.request_with_expired_token(v1::$request::default());
            refused!(fixture, late, $method, Unauthenticated, "credential_invalid");
            let mut forged = Request::new(v1::$request::default());
            forged.metadata_mut().insert("authorization", "Bearer e30.e30".parse().unwrap());
            refused!(fixture, forged, $method, Unauthenticated, "credential_invalid");
        )*};
    }
    all_refused! {
        create_staff CreateStaffRequest;
        list_staff ListStaffRequest;
        revoke_staff RevokeStaffRequest;
        list_queue ListQueueRequest;
        claim_cases ClaimCasesRequest;
        release_claim ReleaseClaimRequest;
        decide_cases DecideCasesRequest;
        get_assessment GetAssessmentRequest;
        reveal_url RevealUrlRequest;
        withdraw_verdict WithdrawVerdictRequest;
        assess_again AssessAgainRequest;
        hold_case HoldCaseRequest;
        release_hold ReleaseHoldRequest;
        get_workload GetWorkloadRequest;
        list_disagreements ListDisagreementsRequest;
        import_hashes ImportHashesRequest;
        approve_hash_list ApproveHashListRequest;
        list_hash_lists ListHashListsRequest;
        propose_rule ProposeRuleRequest;
        approve_rule ApproveRuleRequest;
        retire_rule RetireRuleRequest;
        list_rules ListRulesRequest;
        get_verification_counts GetVerificationCountsRequest;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_permits_only_its_own_calls() {
    let mut fixture = TestVerification::new().await;
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let case_id = case.id.to_string();
    let auditor = fixture.staff(&[Role::Auditor]);
    let analyst = fixture.staff(&[Role::Analyst]);
    let supervisor = fixture.staff(&[Role::Supervisor]);
    // An auditor reads everything and changes nothing.
    assert!(
        fixture
            .client
            .list_rules(auditor.request(v1::ListRulesRequest {}))
            .await
            .is_ok()
    );
    let claim = v1::ClaimCasesRequest {
        limit: 1,
        case_id: String::new(),
    };
    refused!(
        fixture,
        auditor.request(claim),
        claim_cases,
        PermissionDenied,
        "role_required"
    );
    let decisions = vec![v1::DecisionItem::default()];
    refused!(
        fixture,
        auditor.request(v1::DecideCasesRequest { decisions }),
        decide_cases,
        PermissionDenied,
        "role_required"
    );
    let this = v1::ClaimCasesRequest {
        limit: 0,
        case_id: case_id.clone(),
    };
    refused!(
        fixture,
        supervisor.request(this),
        claim_cases,
        PermissionDenied,
        "role_required"
    );
    let police_hold = v1::HoldCaseRequest {
        case_id: case_id.clone(),
        reason: "reason".into(),
        until: Some(domain::wire::timestamp(
            fixture.clock.read() + time::Duration::hours(1),
        )),
    };
    refused!(
        fixture,
        analyst.request(police_hold),
        hold_case,
        PermissionDenied,
        "role_required"
    );
    let withdraw = v1::WithdrawVerdictRequest {
        case_id: case_id.clone(),
        reason: "reason".into(),
        assess_again: true,
    };
    refused!(
        fixture,
        auditor.request(withdraw),
        withdraw_verdict,
        PermissionDenied,
        "role_required"
    );
    refused!(
        fixture,
        analyst.request(v1::ListDisagreementsRequest::default()),
        list_disagreements,
        PermissionDenied,
        "role_required"
    );
    let release = v1::ReleaseHoldRequest { case_id };
    refused!(
        fixture,
        analyst.request(release),
        release_hold,
        PermissionDenied,
        "role_required"
    );
    let approve = v1::ApproveHashListRequest {
        list: "list".into(),
        version: 1,
        entries: 1,
    };
    refused!(
        fixture,
        analyst.request(approve),
        approve_hash_list,
        PermissionDenied,
        "role_required"
    );
    let rule_id = Uuid::new_v4().to_string();
    let approve = v1::ApproveRuleRequest {
        rule_id: rule_id.clone(),
        version: 1,
    };
    refused!(
        fixture,
        analyst.request(approve),
        approve_rule,
        PermissionDenied,
        "role_required"
    );
    refused!(
        fixture,
        analyst.request(v1::RetireRuleRequest { rule_id }),
        retire_rule,
        PermissionDenied,
        "role_required"
    );
    let entries = vec![v1::HashEntry {
        hash: Some(sha256(1)),
        verdict: Some(v1::hash_entry::Verdict::Actionable(1)),
    }];
    let import = v1::ImportHashesRequest {
        list: "list".into(),
        entries,
    };
    refused!(
        fixture,
        auditor.request(import),
        import_hashes,
        PermissionDenied,
        "role_required"
    );
    let create = v1::CreateStaffRequest {
        name: "Eve".into(),
        password: "a long enough password".into(),
        roles: vec![1],
    };
    refused!(
        fixture,
        supervisor.request(create),
        create_staff,
        PermissionDenied,
        "role_required"
    );
    let subject = Uuid::new_v4().to_string();
    refused!(
        fixture,
        supervisor.request(v1::RevokeStaffRequest { subject }),
        revoke_staff,
        PermissionDenied,
        "role_required"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_and_unknown_case_ids_are_refused() {
    let mut fixture = TestVerification::new().await;
    let all = fixture.staff(&Role::ALL);
    let unknown = Uuid::new_v4().to_string();
    let reason = || "reason".to_owned();
    let until = Some(domain::wire::timestamp(
        fixture.clock.read() + time::Duration::hours(1),
    ));
    for (case_id, kind, expected) in [
        (String::new(), Code::InvalidArgument, "field_missing"),
        ("x".to_owned(), Code::InvalidArgument, "id_malformed"),
        ("x".repeat(5000), Code::InvalidArgument, "id_malformed"),
        (unknown, Code::NotFound, "case_unknown"),
    ] {
        let id = || case_id.clone();
        let mut client = fixture.client.clone();
        let mut results = vec![
            client
                .get_assessment(all.request(v1::GetAssessmentRequest { case_id: id() }))
                .await
                .map(|_| ()),
            client
                .reveal_url(all.request(v1::RevealUrlRequest {
                    case_id: id(),
                    reason: reason(),
                }))
                .await
                .map(|_| ()),
            client
                .withdraw_verdict(all.request(v1::WithdrawVerdictRequest {
                    case_id: id(),
                    reason: reason(),
                    ..Default::default()
                }))
                .await
                .map(|_| ()),
            client
                .hold_case(all.request(v1::HoldCaseRequest {
                    case_id: id(),
                    reason: reason(),
                    until,
                }))
                .await
                .map(|_| ()),
            client
                .release_hold(all.request(v1::ReleaseHoldRequest { case_id: id() }))
                .await
                .map(|_| ()),
            client
                .release_claim(all.request(v1::ReleaseClaimRequest {
                    case_id: id(),
                    claim_token: Uuid::nil().to_string(),
                }))
                .await
                .map(|_| ()),
        ];
        if !case_id.is_empty() {
            let claim = v1::ClaimCasesRequest {
                limit: 0,
                case_id: id(),
            };
            results.push(client.claim_cases(all.request(claim)).await.map(|_| ()));
        }
        for response in results {
            let status = response.unwrap_err();
            assert_eq!((status.code(), code(&status).as_str()), (kind, expected));
        }
    }
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let case_id = case.id.to_string();
    refused!(
        fixture,
        all.request(v1::ReleaseHoldRequest {
            case_id: case_id.clone()
        }),
        release_hold,
        FailedPrecondition,
        "case_not_on_hold"
    );
    let withdraw = |reason: String| v1::WithdrawVerdictRequest {
        case_id: case_id.clone(),
        reason,
        ..Default::default()
    };
    refused!(
        fixture,
        all.request(withdraw("early".into())),
        withdraw_verdict,
        FailedPrecondition,
        "case_undecided"
    );
    refused!(
        fixture,
        all.request(withdraw(String::new())),
        withdraw_verdict,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        fixture,
        all.request(withdraw("x".repeat(501))),
        withdraw_verdict,
        InvalidArgument,
        "field_too_long"
    );
    refused!(
        fixture,
        all.request(withdraw("nul \0".into())),
        withdraw_verdict,
        InvalidArgument,
        "field_control_character"
    );
    let police_hold = |until| v1::HoldCaseRequest {
        case_id: case_id.clone(),
        reason: reason(),
        until,
    };
    refused!(
        fixture,
        all.request(police_hold(None)),
        hold_case,
        InvalidArgument,
        "field_missing"
    );
    let mut never = domain::wire::timestamp(fixture.clock.read());
    never.seconds = i64::MAX;
    let never = Some(never);
    refused!(
        fixture,
        all.request(police_hold(never)),
        hold_case,
        InvalidArgument,
        "time_malformed"
    );
    assert_eq!(fixture.emitted_kinds(case.id).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_claims_and_batches_are_bounded() {
    let mut fixture = TestVerification::new().await;
    let all = fixture.staff(&Role::ALL);
    for limit in [0, 101, u32::MAX] {
        let claim = v1::ClaimCasesRequest {
            limit,
            case_id: String::new(),
        };
        refused!(
            fixture,
            all.request(claim),
            claim_cases,
            InvalidArgument,
            "limit_out_of_range"
        );
    }
    let page = |page_token: &str| v1::ListQueueRequest {
        page_size: i32::MAX,
        page_token: page_token.into(),
        states: vec![],
    };
    assert!(
        fixture
            .client
            .list_queue(all.request(page("")))
            .await
            .is_ok()
    );
    // The last one is well formed but names the year -9999, which is outside the range of the database.
    let before_time = "AAAAAP_________rhkndcBiTAAAAAAAAAAAAAAAAAAAAAAAA";
    for page_token in ["x", "e30", &"A".repeat(9000), before_time] {
        refused!(
            fixture,
            all.request(page(page_token)),
            list_queue,
            InvalidArgument,
            "page_token_malformed"
        );
    }
    let negative = v1::ListQueueRequest {
        page_size: -1,
        ..page("")
    };
    refused!(
        fixture,
        all.request(negative),
        list_queue,
        InvalidArgument,
        "page_size_negative"
    );
    let states = v1::ListQueueRequest {
        states: vec![99],
        ..v1::ListQueueRequest::default()
    };
    refused!(
        fixture,
        all.request(states),
        list_queue,
        InvalidArgument,
        "value_unknown"
    );
    refused!(
        fixture,
        all.request(v1::DecideCasesRequest { decisions: vec![] }),
        decide_cases,
        InvalidArgument,
        "field_missing"
    );
    let decisions = vec![v1::DecisionItem::default(); 101];
    refused!(
        fixture,
        all.request(v1::DecideCasesRequest { decisions }),
        decide_cases,
        InvalidArgument,
        "too_many_items"
    );

    let good = v1::DecisionItem {
        case_id: Uuid::new_v4().to_string(),
        claim_token: Uuid::new_v4().to_string(),
        version: 1,
        verdict: Some(v1::Verdict {
            verdict: Some(v1::verdict::Verdict::SecondOpinion(true)),
        }),
    };
    let verdict = |verdict| {
        Some(v1::Verdict {
            verdict: Some(verdict),
        })
    };
    let decisions = vec![
        v1::DecisionItem {
            case_id: "x".into(),
            ..good.clone()
        },
        v1::DecisionItem {
            claim_token: String::new(),
            ..good.clone()
        },
        v1::DecisionItem {
            version: 0,
            ..good.clone()
        },
        v1::DecisionItem {
            verdict: None,
            ..good.clone()
        },
        v1::DecisionItem {
            verdict: verdict(v1::verdict::Verdict::Uphold(false)),
            ..good.clone()
        },
        v1::DecisionItem {
            verdict: verdict(v1::verdict::Verdict::Actionable(9)),
            ..good.clone()
        },
        v1::DecisionItem {
            verdict: verdict(v1::verdict::Verdict::Offline(false)),
            ..good.clone()
        },
        good,
    ];
    let results = fixture.decide_all(&all, decisions).await.unwrap();
    let problems: Vec<(String, String)> = results
        .into_iter()
        .map(|response| match response.result.unwrap() {
            v1::decision_result::Result::Problem(problem) => (problem.field, problem.code),
            v1::decision_result::Result::Assessment(_) => panic!("nothing was decided"),
        })
        .collect();
    let expected = [
        ("decisions[0].case_id", "id_malformed"),
        ("decisions[1].claim_token", "field_missing"),
        ("decisions[2].version", "field_missing"),
        ("decisions[3].verdict", "verdict_missing"),
        ("decisions[4].verdict", "verdict_missing"),
        ("decisions[5].verdict.category", "value_unknown"),
        ("decisions[6].verdict", "verdict_missing"),
        ("decisions[7]", "case_unknown"),
    ];
    assert_eq!(
        problems,
        expected.map(|(field, code)| (field.to_owned(), code.to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_lists_and_rules_are_refused() {
    let mut fixture = TestVerification::new().await;
    let all = fixture.staff(&Role::ALL);
    let entry = v1::HashEntry {
        hash: Some(sha256(1)),
        verdict: Some(v1::hash_entry::Verdict::Actionable(1)),
    };
    let import = |list: &str, entries| v1::ImportHashesRequest {
        list: list.into(),
        entries,
    };
    for (list, entries, expected) in [
        ("", vec![entry.clone()], "field_missing"),
        ("No Good", vec![entry.clone()], "list_malformed"),
        ("list", vec![], "field_missing"),
        ("list", vec![entry.clone(); 10_001], "too_many_items"),
    ] {
        let status = fixture
            .client
            .import_hashes(all.request(import(list, entries)))
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), code(&status).as_str()),
            (Code::InvalidArgument, expected)
        );
    }
    let approve = |version| v1::ApproveHashListRequest {
        list: "list".into(),
        version,
        entries: 1,
    };
    refused!(
        fixture,
        all.request(approve(0)),
        approve_hash_list,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        fixture,
        all.request(approve(1)),
        approve_hash_list,
        NotFound,
        "list_unknown"
    );

    let good = v1::Rule {
        host: "host.example".into(),
        verdict: Some(v1::rule::Verdict::Actionable(1)),
        ..v1::Rule::default()
    };
    for (rule, kind, expected) in [
        (None, Code::InvalidArgument, "field_missing"),
        (
            Some(v1::Rule {
                host: String::new(),
                ..good.clone()
            }),
            Code::InvalidArgument,
            "field_missing",
        ),
        (
            Some(v1::Rule {
                host: "https://host.example/".into(),
                ..good.clone()
            }),
            Code::InvalidArgument,
            "host_malformed",
        ),
        (
            Some(v1::Rule {
                path_prefix: "x".into(),
                ..good.clone()
            }),
            Code::InvalidArgument,
            "path_prefix_malformed",
        ),
        (
            Some(v1::Rule {
                verdict: None,
                ..good.clone()
            }),
            Code::InvalidArgument,
            "verdict_missing",
        ),
        (
            Some(v1::Rule {
                verdict: Some(v1::rule::Verdict::Actionable(7)),
                ..good.clone()
            }),
            Code::InvalidArgument,
            "value_unknown",
        ),
        (
            Some(v1::Rule {
                reason: "x".repeat(501),
                ..good.clone()
            }),
            Code::InvalidArgument,
            "field_too_long",
        ),
        (
            Some(v1::Rule {
                rule_id: "x".into(),
                ..good.clone()
            }),
            Code::InvalidArgument,
            "id_malformed",
        ),
        (
            Some(v1::Rule {
                rule_id: Uuid::new_v4().to_string(),
                ..good
            }),
            Code::NotFound,
            "rule_unknown",
        ),
    ] {
        let status = fixture
            .client
            .propose_rule(all.request(v1::ProposeRuleRequest { rule }))
            .await
            .unwrap_err();
        assert_eq!((status.code(), code(&status).as_str()), (kind, expected));
    }
    let rule_id = Uuid::new_v4().to_string();
    refused!(
        fixture,
        all.request(v1::ApproveRuleRequest {
            rule_id: rule_id.clone(),
            version: 0,
        }),
        approve_rule,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        fixture,
        all.request(v1::ApproveRuleRequest {
            rule_id: rule_id.clone(),
            version: 1,
        }),
        approve_rule,
        NotFound,
        "rule_unknown"
    );
    refused!(
        fixture,
        all.request(v1::RetireRuleRequest { rule_id }),
        retire_rule,
        NotFound,
        "rule_unknown"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_accounts_and_sessions_are_refused() {
    let mut fixture = TestVerification::new().await;
    let operator = fixture.staff(&[Role::Operator]);
    let good = v1::CreateStaffRequest {
        name: "Ann".into(),
        password: "a long enough password".into(),
        roles: vec![1],
    };
    for (request, expected) in [
        (
            v1::CreateStaffRequest {
                name: " ".into(),
                ..good.clone()
            },
            "field_missing",
        ),
        (
            v1::CreateStaffRequest {
                name: "x".repeat(51),
                ..good.clone()
            },
            "field_too_long",
        ),
        (
            v1::CreateStaffRequest {
                password: String::new(),
                ..good.clone()
            },
            "field_missing",
        ),
        (
            v1::CreateStaffRequest {
                password: "short".into(),
                ..good.clone()
            },
            "password_length",
        ),
        (
            v1::CreateStaffRequest {
                roles: vec![],
                ..good.clone()
            },
            "field_missing",
        ),
        (
            v1::CreateStaffRequest {
                roles: vec![9],
                ..good.clone()
            },
            "value_unknown",
        ),
    ] {
        expect_account_refused(
            &fixture,
            operator.request(request),
            Code::InvalidArgument,
            expected,
        )
        .await;
    }
    assert!(
        fixture
            .client
            .create_staff(operator.request(good.clone()))
            .await
            .is_ok()
    );
    let other = v1::CreateStaffRequest {
        name: "ANN".into(),
        roles: vec![2],
        ..good
    };
    expect_account_refused(
        &fixture,
        operator.request(other),
        Code::AlreadyExists,
        "name_taken",
    )
    .await;

    let me = v1::RevokeStaffRequest {
        subject: operator.subject.to_string(),
    };
    refused!(
        fixture,
        operator.request(me),
        revoke_staff,
        FailedPrecondition,
        "own_account"
    );
    let unknown = v1::RevokeStaffRequest {
        subject: Uuid::new_v4().to_string(),
    };
    refused!(
        fixture,
        operator.request(unknown),
        revoke_staff,
        NotFound,
        "staff_unknown"
    );
    let sign_in = |name: &str, password: &str| v1::SignInRequest {
        name: name.into(),
        password: password.into(),
    };
    refused!(
        fixture,
        sign_in("", "x"),
        sign_in,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        fixture,
        sign_in("Ann", ""),
        sign_in,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        fixture,
        sign_in("Ann", &"x".repeat(201)),
        sign_in,
        InvalidArgument,
        "field_too_long"
    );
    let session = "x".to_owned();
    let exchange = |audience: &str| v1::ExchangeSessionRequest {
        session: session.clone(),
        audience: audience.into(),
    };
    refused!(
        fixture,
        exchange("gateway"),
        exchange_session,
        InvalidArgument,
        "audience_unknown"
    );
    refused!(
        fixture,
        exchange("intake"),
        exchange_session,
        Unauthenticated,
        "session_over"
    );
    refused!(
        fixture,
        v1::SignOutRequest::default(),
        sign_out,
        InvalidArgument,
        "field_missing"
    );
}

async fn expect_account_refused(
    fixture: &TestVerification,
    request: Request<v1::CreateStaffRequest>,
    kind: Code,
    expected: &str,
) {
    let status = fixture
        .client
        .clone()
        .create_staff(request)
        .await
        .unwrap_err();
    assert_eq!((status.code(), code(&status).as_str()), (kind, expected));
}
