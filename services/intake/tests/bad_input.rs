//! Every error in a request has a code and a path, and does not affect the rest of the request.

mod support;

use platform::principal::Role;
use proto::v1;
use support::{TestIntake, bearer, code, problem, public, receipt, report, with_authorization};
use tonic::Code;

#[tokio::test]
async fn an_invalid_submission_is_refused_with_its_reason() {
    let mut intake = TestIntake::start().await;
    let hotline = intake
        .partner_key(v1::ReportChannel::PartnerHotline, 0)
        .await;
    let good = || public(vec![report("https://lotus.test/")]);
    let facts = |under_18, age_band: i32, number: &str| v1::ReportRemoveFacts {
        under_18,
        age_band,
        unique_number: number.into(),
    };
    let remove = |facts| v1::SubmitReportsRequest {
        channel: v1::ReportChannel::ReportRemove.into(),
        report_remove: facts,
        ..good()
    };
    let cases = [
        (
            v1::SubmitReportsRequest {
                channel: 0,
                ..good()
            },
            Code::InvalidArgument,
            "field_missing",
        ),
        (
            v1::SubmitReportsRequest {
                channel: 99,
                ..good()
            },
            Code::InvalidArgument,
            "value_unknown",
        ),
        (public(vec![]), Code::InvalidArgument, "field_missing"),
        (
            public(vec![report("https://lotus.test/"); 1001]),
            Code::InvalidArgument,
            "too_many_reports",
        ),
        (
            v1::SubmitReportsRequest {
                reporter_country: "gb".into(),
                ..good()
            },
            Code::InvalidArgument,
            "country_malformed",
        ),
        (
            v1::SubmitReportsRequest {
                idempotency_key: "k".repeat(129),
                ..good()
            },
            Code::InvalidArgument,
            "field_too_long",
        ),
        (
            v1::SubmitReportsRequest {
                idempotency_key: "a\0b".into(),
                ..good()
            },
            Code::InvalidArgument,
            "field_control_character",
        ),
        (
            v1::SubmitReportsRequest {
                report_remove: Some(facts(true, 1, "n")),
                ..good()
            },
            Code::InvalidArgument,
            "report_remove_not_here",
        ),
        (remove(None), Code::InvalidArgument, "field_missing"),
        (
            remove(Some(facts(false, 1, "n"))),
            Code::InvalidArgument,
            "not_under_18",
        ),
        (
            remove(Some(facts(true, 0, "n"))),
            Code::InvalidArgument,
            "field_missing",
        ),
        (
            remove(Some(facts(true, 1, " "))),
            Code::InvalidArgument,
            "field_missing",
        ),
        (
            v1::SubmitReportsRequest {
                reporter_country: "GB".into(),
                ..remove(Some(facts(true, 1, "n")))
            },
            Code::InvalidArgument,
            "country_not_here",
        ),
    ];
    for (request, kind, expected) in cases {
        let request = intake.as_operator(request);
        let status = intake.client.submit_reports(request).await.unwrap_err();
        assert_eq!(code(&status), (kind, expected.into()));
    }

    // Callers without the right to submit.
    let partner_only = v1::SubmitReportsRequest {
        channel: v1::ReportChannel::Proactive.into(),
        ..good()
    };
    let status = intake
        .client
        .submit_reports(partner_only.clone())
        .await
        .unwrap_err();
    assert_eq!(
        code(&status),
        (Code::PermissionDenied, "channel_needs_key".into())
    );
    let status = intake
        .client
        .submit_reports(bearer(&hotline, partner_only))
        .await
        .unwrap_err();
    assert_eq!(
        code(&status),
        (Code::PermissionDenied, "channel_not_yours".into())
    );
    let request = intake.as_staff(&[Role::Auditor], good());
    let status = intake.client.submit_reports(request).await.unwrap_err();
    assert_eq!(
        code(&status),
        (Code::PermissionDenied, "role_required".into())
    );
    for token in [
        "nonsense",
        "tdp_nonsense",
        &format!("{hotline}0"),
        "tdp_00000000000000000000000000000000_00",
    ] {
        let status = intake
            .client
            .submit_reports(bearer(token, good()))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token}");
    }
    assert_eq!(intake.count("select count(*) from report").await, 0);
}

#[tokio::test]
async fn an_invalid_report_has_a_code_and_a_path_beside_valid_ones() {
    let mut intake = TestIntake::start().await;
    let with = |change: &dyn Fn(&mut v1::NewReport)| {
        let mut report = report("https://lotus.test/");
        change(&mut report);
        report
    };
    let hash = |kind: v1::HashKind, value: &str| v1::Hash {
        kind: kind.into(),
        value: value.into(),
    };
    let future = prost_types::Timestamp {
        seconds: 4_000_000_000,
        nanos: 0,
    };
    let malformed = prost_types::Timestamp {
        seconds: 0,
        nanos: -1,
    };
    let cases = [
        (report(""), "url_missing", "url"),
        (report("ftp://lotus.test/"), "url_scheme_not_allowed", "url"),
        (report("http://127.0.0.1/"), "url_private_address", "url"),
        (
            with(&|r| r.external_id = "x".repeat(129)),
            "field_too_long",
            "external_id",
        ),
        (with(&|r| r.media = 77), "value_unknown", "media"),
        (
            with(&|r| r.hashes = vec![hash(v1::HashKind::Sha256, "abc")]),
            "hash_length",
            "hashes[0].value",
        ),
        (
            with(&|r| r.hashes = vec![hash(v1::HashKind::Unspecified, "abc")]),
            "hash_kind",
            "hashes[0].kind",
        ),
        (
            with(&|r| r.hashes = vec![hash(v1::HashKind::Md5, &"0".repeat(32)); 17]),
            "too_many_hashes",
            "hashes",
        ),
        (
            with(&|r| r.received_at = Some(future)),
            "time_in_future",
            "received_at",
        ),
        (
            with(&|r| r.received_at = Some(malformed)),
            "time_malformed",
            "received_at",
        ),
    ];
    for (invalid, expected, field) in cases {
        let request = intake.as_operator(public(vec![report("https://good.test/"), invalid]));
        let response = intake.client.submit_reports(request).await.unwrap();
        let results = &response.get_ref().results;
        receipt(&results[0]);
        let problem = problem(&results[1]);
        assert_eq!(problem.code, expected);
        assert_eq!(problem.field, format!("reports[1].{field}"));
        // An id that is too long is returned cut.
        assert!(results[1].external_id.len() <= 128);
    }
}

#[tokio::test]
async fn report_remove_accepts_no_fourth_fact() {
    let mut intake = TestIntake::start().await;
    let key = intake.partner_key(v1::ReportChannel::ReportRemove, 0).await;
    let named = |external_id: &str| v1::NewReport {
        external_id: external_id.into(),
        ..report("https://lotus.test/")
    };
    let request = v1::SubmitReportsRequest {
        channel: v1::ReportChannel::ReportRemove.into(),
        report_remove: Some(v1::ReportRemoveFacts {
            under_18: true,
            age_band: v1::AgeBand::AgeBand1315.into(),
            unique_number: "CH-1".into(),
        }),
        reports: vec![named(""), named(" CH-1 "), named("Sam, 14")],
        ..v1::SubmitReportsRequest::default()
    };
    let response = intake.client.submit_reports(bearer(&key, request)).await;
    let results = response.unwrap().into_inner().results;
    receipt(&results[0]);
    receipt(&results[1]);
    let refused = problem(&results[2]);
    assert_eq!(
        (refused.code.as_str(), refused.field.as_str()),
        ("external_id_not_here", "reports[2].external_id")
    );
}

#[tokio::test]
async fn every_other_call_refuses_invalid_requests() {
    let mut intake = TestIntake::start().await;
    let key = intake.partner_key(v1::ReportChannel::Proactive, 0).await;

    let ask = |reference: &str| v1::GetOutcomeRequest {
        reference: reference.into(),
    };
    for (reference, kind, expected) in [
        ("", Code::InvalidArgument, "field_missing"),
        ("short", Code::InvalidArgument, "reference_malformed"),
        ("00000-00000-00000-00000", Code::NotFound, "not_found"),
    ] {
        let status = intake.client.get_outcome(ask(reference)).await.unwrap_err();
        assert_eq!(code(&status), (kind, expected.into()), "{reference}");
        let request = v1::WithdrawReportRequest {
            reference: reference.into(),
        };
        let status = intake.client.withdraw_report(request).await.unwrap_err();
        assert_eq!(code(&status), (kind, expected.into()), "{reference}");
    }
    // These calls need no credential, but a credential that is sent must be valid.
    let reference = "00000-00000-00000-00000";
    for (authorization, expected) in [
        ("Bearer tdp_nonsense", "key_invalid"),
        ("Basic abc", "credential_malformed"),
        ("Bearer", "credential_malformed"),
    ] {
        let request = with_authorization(authorization, ask(reference));
        let status = intake.client.get_outcome(request).await.unwrap_err();
        assert_eq!(code(&status), (Code::Unauthenticated, expected.into()));
        let withdraw = v1::WithdrawReportRequest {
            reference: reference.into(),
        };
        let request = with_authorization(authorization, withdraw);
        let status = intake.client.withdraw_report(request).await.unwrap_err();
        assert_eq!(code(&status), (Code::Unauthenticated, expected.into()));
        let request =
            with_authorization(authorization, public(vec![report("https://lotus.test/")]));
        let status = intake.client.submit_reports(request).await.unwrap_err();
        assert_eq!(code(&status), (Code::Unauthenticated, expected.into()));
    }

    let find = v1::FindReportsRequest { by: None };
    let status = intake.client.find_reports(find.clone()).await.unwrap_err();
    assert_eq!(
        code(&status),
        (Code::Unauthenticated, "credential_missing".into())
    );
    let status = intake
        .client
        .find_reports(bearer(&key, find.clone()))
        .await
        .unwrap_err();
    assert_eq!(code(&status), (Code::PermissionDenied, "staff_only".into()));
    let request = intake.as_operator(find);
    let status = intake.client.find_reports(request).await.unwrap_err();
    assert_eq!(
        code(&status),
        (Code::InvalidArgument, "field_missing".into())
    );

    let create = |name: &str, channel: i32, daily_quota| v1::CreatePartnerRequest {
        name: name.into(),
        channel,
        daily_quota,
    };
    for (request, kind, expected) in [
        (create("", 2, 0), Code::InvalidArgument, "field_missing"),
        (create("a", 0, 0), Code::InvalidArgument, "field_missing"),
        (
            create("a", 1, 0),
            Code::InvalidArgument,
            "channel_needs_no_key",
        ),
        (
            create("a", 2, u32::MAX),
            Code::InvalidArgument,
            "quota_too_large",
        ),
    ] {
        let request = intake.as_operator(request);
        let status = intake.client.create_partner(request).await.unwrap_err();
        assert_eq!(code(&status), (kind, expected.into()));
    }
    let request = intake.as_staff(&[Role::Analyst], create("a", 2, 0));
    let status = intake.client.create_partner(request).await.unwrap_err();
    assert_eq!(
        code(&status),
        (Code::PermissionDenied, "role_required".into())
    );
    let request = intake.as_operator(create("a", 2, 0));
    let partner = intake
        .client
        .create_partner(request)
        .await
        .unwrap()
        .into_inner();
    let request = intake.as_operator(create("a", 2, 0));
    let status = intake.client.create_partner(request).await.unwrap_err();
    assert_eq!(code(&status), (Code::AlreadyExists, "name_taken".into()));

    let revoke = |id: &str| v1::RevokePartnerRequest {
        partner_id: id.into(),
    };
    for (id, kind, expected) in [
        ("x", Code::InvalidArgument, "id_malformed"),
        (
            "00000000-0000-0000-0000-000000000000",
            Code::NotFound,
            "not_found",
        ),
    ] {
        let request = intake.as_operator(revoke(id));
        let status = intake.client.revoke_partner(request).await.unwrap_err();
        assert_eq!(code(&status), (kind, expected.into()));
    }
    // Revoking is idempotent, and the key is invalid immediately.
    let id = partner.partner.unwrap().partner_id;
    for _ in 0..2 {
        let request = intake.as_operator(revoke(&id));
        intake.client.revoke_partner(request).await.unwrap();
    }
    let submit = v1::SubmitReportsRequest {
        channel: v1::ReportChannel::PartnerHotline.into(),
        ..public(vec![report("https://lotus.test/")])
    };
    let status = intake
        .client
        .submit_reports(bearer(&partner.key, submit))
        .await
        .unwrap_err();
    assert_eq!(code(&status), (Code::Unauthenticated, "key_invalid".into()));
}
