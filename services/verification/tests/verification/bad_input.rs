//! Every call with what it cannot take: a stable code, the right kind, nothing changed.

use platform::principal::Role;
use proto::v1;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::house::{House, code, sha256};

/// Asks and expects a refusal of this kind with this code.
macro_rules! refused {
    ($house:expr, $request:expr, $method:ident, $kind:ident, $code:literal) => {{
        let status: Status = $house.client.$method($request).await.unwrap_err();
        let found = (status.code(), code(&status));
        assert_eq!(found, (Code::$kind, $code.to_owned()), stringify!($method));
        assert!(!status.message().is_empty());
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credential_and_bad_ones_open_nothing() {
    let mut house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    macro_rules! every {
        ($($method:ident $request:ident;)*) => {$(
            let bare = Request::new(v1::$request::default());
            refused!(house, bare, $method, Unauthenticated, "credential_missing");
            let other = analyst.ask_for("intake", v1::$request::default());
            refused!(house, other, $method, Unauthenticated, "credential_invalid");
            let late = analyst.ask_late(v1::$request::default());
            refused!(house, late, $method, Unauthenticated, "credential_invalid");
            let mut forged = Request::new(v1::$request::default());
            forged.metadata_mut().insert("authorization", "Bearer e30.e30".parse().unwrap());
            refused!(house, forged, $method, Unauthenticated, "credential_invalid");
        )*};
    }
    every! {
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
async fn a_role_does_only_what_is_its_own() {
    let mut house = House::new().await;
    let of = house.reported("https://host.example/1", &[]).await;
    let case_id = of.case.to_string();
    let auditor = house.person(&[Role::Auditor]);
    let analyst = house.person(&[Role::Analyst]);
    let supervisor = house.person(&[Role::Supervisor]);
    // An auditor reads everything and does nothing.
    assert!(
        house
            .client
            .list_rules(auditor.ask(v1::ListRulesRequest {}))
            .await
            .is_ok()
    );
    let claim = v1::ClaimCasesRequest {
        limit: 1,
        case_id: String::new(),
    };
    refused!(
        house,
        auditor.ask(claim),
        claim_cases,
        PermissionDenied,
        "role_required"
    );
    let items = vec![v1::DecisionItem::default()];
    refused!(
        house,
        auditor.ask(v1::DecideCasesRequest { items }),
        decide_cases,
        PermissionDenied,
        "role_required"
    );
    let this = v1::ClaimCasesRequest {
        limit: 0,
        case_id: case_id.clone(),
    };
    refused!(
        house,
        supervisor.ask(this),
        claim_cases,
        PermissionDenied,
        "role_required"
    );
    let hold = v1::HoldCaseRequest {
        case_id: case_id.clone(),
        reason: "reason".into(),
        until: Some(domain::wire::timestamp(
            house.clock.read() + time::Duration::hours(1),
        )),
    };
    refused!(
        house,
        analyst.ask(hold),
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
        house,
        auditor.ask(withdraw),
        withdraw_verdict,
        PermissionDenied,
        "role_required"
    );
    refused!(
        house,
        analyst.ask(v1::ListDisagreementsRequest { page: None }),
        list_disagreements,
        PermissionDenied,
        "role_required"
    );
    let release = v1::ReleaseHoldRequest { case_id };
    refused!(
        house,
        analyst.ask(release),
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
        house,
        analyst.ask(approve),
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
        house,
        analyst.ask(approve),
        approve_rule,
        PermissionDenied,
        "role_required"
    );
    refused!(
        house,
        analyst.ask(v1::RetireRuleRequest { rule_id }),
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
        house,
        auditor.ask(import),
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
        house,
        supervisor.ask(create),
        create_staff,
        PermissionDenied,
        "role_required"
    );
    let subject = Uuid::new_v4().to_string();
    refused!(
        house,
        supervisor.ask(v1::RevokeStaffRequest { subject }),
        revoke_staff,
        PermissionDenied,
        "role_required"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases_are_named_by_ids_that_exist() {
    let mut house = House::new().await;
    let all = house.person(&Role::ALL);
    let unknown = Uuid::new_v4().to_string();
    let reason = || "reason".to_owned();
    let until = Some(domain::wire::timestamp(
        house.clock.read() + time::Duration::hours(1),
    ));
    for (case_id, kind, expected) in [
        (String::new(), Code::InvalidArgument, "field_missing"),
        ("x".to_owned(), Code::InvalidArgument, "id_malformed"),
        ("x".repeat(5000), Code::InvalidArgument, "id_malformed"),
        (unknown, Code::NotFound, "case_unknown"),
    ] {
        let id = || case_id.clone();
        let mut client = house.client.clone();
        let mut answers = vec![
            client
                .get_assessment(all.ask(v1::GetAssessmentRequest { case_id: id() }))
                .await
                .map(|_| ()),
            client
                .reveal_url(all.ask(v1::RevealUrlRequest {
                    case_id: id(),
                    reason: reason(),
                }))
                .await
                .map(|_| ()),
            client
                .withdraw_verdict(all.ask(v1::WithdrawVerdictRequest {
                    case_id: id(),
                    reason: reason(),
                    ..Default::default()
                }))
                .await
                .map(|_| ()),
            client
                .hold_case(all.ask(v1::HoldCaseRequest {
                    case_id: id(),
                    reason: reason(),
                    until,
                }))
                .await
                .map(|_| ()),
            client
                .release_hold(all.ask(v1::ReleaseHoldRequest { case_id: id() }))
                .await
                .map(|_| ()),
            client
                .release_claim(all.ask(v1::ReleaseClaimRequest {
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
            answers.push(client.claim_cases(all.ask(claim)).await.map(|_| ()));
        }
        for answer in answers {
            let status = answer.unwrap_err();
            assert_eq!((status.code(), code(&status).as_str()), (kind, expected));
        }
    }
    let of = house.reported("https://host.example/1", &[]).await;
    let case_id = of.case.to_string();
    refused!(
        house,
        all.ask(v1::ReleaseHoldRequest {
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
        house,
        all.ask(withdraw("early".into())),
        withdraw_verdict,
        FailedPrecondition,
        "case_undecided"
    );
    refused!(
        house,
        all.ask(withdraw(String::new())),
        withdraw_verdict,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        house,
        all.ask(withdraw("x".repeat(501))),
        withdraw_verdict,
        InvalidArgument,
        "field_too_long"
    );
    refused!(
        house,
        all.ask(withdraw("nul \0".into())),
        withdraw_verdict,
        InvalidArgument,
        "field_control_character"
    );
    let hold = |until| v1::HoldCaseRequest {
        case_id: case_id.clone(),
        reason: reason(),
        until,
    };
    refused!(
        house,
        all.ask(hold(None)),
        hold_case,
        InvalidArgument,
        "field_missing"
    );
    let mut never = domain::wire::timestamp(house.clock.read());
    never.seconds = i64::MAX;
    let never = Some(never);
    refused!(
        house,
        all.ask(hold(never)),
        hold_case,
        InvalidArgument,
        "time_malformed"
    );
    assert_eq!(house.names(of.case).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_a_claim_and_a_batch_have_bounds() {
    let mut house = House::new().await;
    let all = house.person(&Role::ALL);
    for limit in [0, 101, u32::MAX] {
        let claim = v1::ClaimCasesRequest {
            limit,
            case_id: String::new(),
        };
        refused!(
            house,
            all.ask(claim),
            claim_cases,
            InvalidArgument,
            "limit_out_of_range"
        );
    }
    let page = |cursor: &str| v1::ListQueueRequest {
        page: Some(v1::Page {
            size: u32::MAX,
            cursor: cursor.into(),
        }),
        states: vec![],
    };
    assert!(house.client.list_queue(all.ask(page(""))).await.is_ok());
    // The last is well formed and says the year -9999, which the database does not have.
    let before_time = "AAAAAP_________rhkndcBiTAAAAAAAAAAAAAAAAAAAAAAAA";
    for cursor in ["x", "e30", &"A".repeat(9000), before_time] {
        refused!(
            house,
            all.ask(page(cursor)),
            list_queue,
            InvalidArgument,
            "cursor_malformed"
        );
    }
    let states = v1::ListQueueRequest {
        page: None,
        states: vec![99],
    };
    refused!(
        house,
        all.ask(states),
        list_queue,
        InvalidArgument,
        "word_unknown"
    );
    refused!(
        house,
        all.ask(v1::DecideCasesRequest { items: vec![] }),
        decide_cases,
        InvalidArgument,
        "field_missing"
    );
    let items = vec![v1::DecisionItem::default(); 101];
    refused!(
        house,
        all.ask(v1::DecideCasesRequest { items }),
        decide_cases,
        InvalidArgument,
        "too_many_items"
    );

    let good = v1::DecisionItem {
        case_id: Uuid::new_v4().to_string(),
        claim_token: Uuid::new_v4().to_string(),
        version: 1,
        verdict: Some(v1::Verdict {
            verdict: Some(v1::verdict::Verdict::SecondLook(true)),
        }),
    };
    let verdict = |verdict| {
        Some(v1::Verdict {
            verdict: Some(verdict),
        })
    };
    let items = vec![
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
            verdict: verdict(v1::verdict::Verdict::Gone(false)),
            ..good.clone()
        },
        good,
    ];
    let answers = house.decide_all(&all, items).await.unwrap();
    let problems: Vec<(String, String)> = answers
        .into_iter()
        .map(|answer| match answer.result.unwrap() {
            v1::decision_result::Result::Problem(problem) => (problem.field, problem.code),
            v1::decision_result::Result::Assessment(_) => panic!("nothing was decided"),
        })
        .collect();
    let expected = [
        ("items[0].case_id", "id_malformed"),
        ("items[1].claim_token", "field_missing"),
        ("items[2].version", "field_missing"),
        ("items[3].verdict", "verdict_missing"),
        ("items[4].verdict", "verdict_missing"),
        ("items[5].verdict.category", "word_unknown"),
        ("items[6].verdict", "verdict_missing"),
        ("items[7]", "case_unknown"),
    ];
    assert_eq!(
        problems,
        expected.map(|(field, code)| (field.to_owned(), code.to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_rules_are_well_formed_or_refused() {
    let mut house = House::new().await;
    let all = house.person(&Role::ALL);
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
        let status = house
            .client
            .import_hashes(all.ask(import(list, entries)))
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
        house,
        all.ask(approve(0)),
        approve_hash_list,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        house,
        all.ask(approve(1)),
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
            "word_unknown",
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
        let status = house
            .client
            .propose_rule(all.ask(v1::ProposeRuleRequest { rule }))
            .await
            .unwrap_err();
        assert_eq!((status.code(), code(&status).as_str()), (kind, expected));
    }
    let rule_id = Uuid::new_v4().to_string();
    refused!(
        house,
        all.ask(v1::ApproveRuleRequest {
            rule_id: rule_id.clone(),
            version: 0,
        }),
        approve_rule,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        house,
        all.ask(v1::ApproveRuleRequest {
            rule_id: rule_id.clone(),
            version: 1,
        }),
        approve_rule,
        NotFound,
        "rule_unknown"
    );
    refused!(
        house,
        all.ask(v1::RetireRuleRequest { rule_id }),
        retire_rule,
        NotFound,
        "rule_unknown"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_and_sessions_are_well_formed_or_refused() {
    let mut house = House::new().await;
    let operator = house.person(&[Role::Operator]);
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
            "word_unknown",
        ),
    ] {
        refused_staff(
            &house,
            operator.ask(request),
            Code::InvalidArgument,
            expected,
        )
        .await;
    }
    assert!(
        house
            .client
            .create_staff(operator.ask(good.clone()))
            .await
            .is_ok()
    );
    let other = v1::CreateStaffRequest {
        name: "ANN".into(),
        roles: vec![2],
        ..good
    };
    refused_staff(
        &house,
        operator.ask(other),
        Code::AlreadyExists,
        "name_taken",
    )
    .await;

    let me = v1::RevokeStaffRequest {
        subject: operator.subject.to_string(),
    };
    refused!(
        house,
        operator.ask(me),
        revoke_staff,
        FailedPrecondition,
        "own_account"
    );
    let nobody = v1::RevokeStaffRequest {
        subject: Uuid::new_v4().to_string(),
    };
    refused!(
        house,
        operator.ask(nobody),
        revoke_staff,
        NotFound,
        "staff_unknown"
    );
    let sign_in = |name: &str, password: &str| v1::SignInRequest {
        name: name.into(),
        password: password.into(),
    };
    refused!(
        house,
        sign_in("", "x"),
        sign_in,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        house,
        sign_in("Ann", ""),
        sign_in,
        InvalidArgument,
        "field_missing"
    );
    refused!(
        house,
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
        house,
        exchange("gateway"),
        exchange_session,
        InvalidArgument,
        "audience_unknown"
    );
    refused!(
        house,
        exchange("intake"),
        exchange_session,
        Unauthenticated,
        "session_over"
    );
    refused!(
        house,
        v1::SignOutRequest::default(),
        sign_out,
        InvalidArgument,
        "field_missing"
    );
}

async fn refused_staff(
    house: &House,
    request: Request<v1::CreateStaffRequest>,
    kind: Code,
    expected: &str,
) {
    let status = house
        .client
        .clone()
        .create_staff(request)
        .await
        .unwrap_err();
    assert_eq!((status.code(), code(&status).as_str()), (kind, expected));
}
