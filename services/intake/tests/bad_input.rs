//! Each thing that can be wrong with a request has a code, a place, and costs nothing but itself.

mod support;

use platform::principal::Role;
use proto::v1;
use support::{World, bearer, code, item, problem, public, receipt, showing};
use tonic::Code;

#[tokio::test]
async fn a_submission_that_cannot_be_taken_says_why() {
    let mut world = World::start().await;
    let hotline = world
        .partner_key(v1::ReportChannel::PartnerHotline, 0)
        .await;
    let good = || public(vec![item("https://lotus.test/")]);
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
            "word_unknown",
        ),
        (public(vec![]), Code::InvalidArgument, "field_missing"),
        (
            public(vec![item("https://lotus.test/"); 1001]),
            Code::InvalidArgument,
            "too_many_items",
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
    for (request, kind, wanted) in cases {
        let request = world.as_operator(request);
        let status = world.client.submit_reports(request).await.unwrap_err();
        assert_eq!(code(&status), (kind, wanted.into()));
    }

    // Who may not.
    let partner_only = v1::SubmitReportsRequest {
        channel: v1::ReportChannel::Proactive.into(),
        ..good()
    };
    let status = world
        .client
        .submit_reports(partner_only.clone())
        .await
        .unwrap_err();
    assert_eq!(
        code(&status),
        (Code::PermissionDenied, "channel_needs_key".into())
    );
    let status = world
        .client
        .submit_reports(bearer(&hotline, partner_only))
        .await
        .unwrap_err();
    assert_eq!(
        code(&status),
        (Code::PermissionDenied, "channel_not_yours".into())
    );
    let request = world.as_staff(&[Role::Auditor], good());
    let status = world.client.submit_reports(request).await.unwrap_err();
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
        let status = world
            .client
            .submit_reports(bearer(token, good()))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token}");
    }
    assert_eq!(world.count("select count(*) from report").await, 0);
}

#[tokio::test]
async fn a_bad_item_says_what_and_where_beside_its_good_neighbours() {
    let mut world = World::start().await;
    let with = |change: &dyn Fn(&mut v1::ReportItem)| {
        let mut item = item("https://lotus.test/");
        change(&mut item);
        item
    };
    let hash = |kind: v1::HashKind, value: &str| v1::Hash {
        kind: kind.into(),
        value: value.into(),
    };
    let far = prost_types::Timestamp {
        seconds: 4_000_000_000,
        nanos: 0,
    };
    let broken = prost_types::Timestamp {
        seconds: 0,
        nanos: -1,
    };
    let cases = [
        (item(""), "url_missing", "url"),
        (item("ftp://lotus.test/"), "url_scheme_not_allowed", "url"),
        (item("http://127.0.0.1/"), "url_private_address", "url"),
        (
            with(&|i| i.external_id = "x".repeat(129)),
            "field_too_long",
            "external_id",
        ),
        (with(&|i| i.media = 77), "word_unknown", "media"),
        (
            with(&|i| i.hashes = vec![hash(v1::HashKind::Sha256, "abc")]),
            "hash_length",
            "hashes[0].value",
        ),
        (
            with(&|i| i.hashes = vec![hash(v1::HashKind::Unspecified, "abc")]),
            "hash_kind",
            "hashes[0].kind",
        ),
        (
            with(&|i| i.hashes = vec![hash(v1::HashKind::Md5, &"0".repeat(32)); 17]),
            "too_many_hashes",
            "hashes",
        ),
        (
            with(&|i| i.received_at = Some(far)),
            "time_in_future",
            "received_at",
        ),
        (
            with(&|i| i.received_at = Some(broken)),
            "time_malformed",
            "received_at",
        ),
    ];
    for (bad, wanted, field) in cases {
        let request = world.as_operator(public(vec![item("https://good.test/"), bad]));
        let response = world.client.submit_reports(request).await.unwrap();
        let results = &response.get_ref().results;
        receipt(&results[0]);
        let problem = problem(&results[1]);
        assert_eq!(problem.code, wanted);
        assert_eq!(problem.field, format!("items[1].{field}"));
        // An id that is too long to be kept is not said again at full length.
        assert!(results[1].external_id.len() <= 128);
    }
}

#[tokio::test]
async fn report_remove_has_no_place_for_a_fourth_fact() {
    let mut world = World::start().await;
    let key = world.partner_key(v1::ReportChannel::ReportRemove, 0).await;
    let named = |external_id: &str| v1::ReportItem {
        external_id: external_id.into(),
        ..item("https://lotus.test/")
    };
    let request = v1::SubmitReportsRequest {
        channel: v1::ReportChannel::ReportRemove.into(),
        report_remove: Some(v1::ReportRemoveFacts {
            under_18: true,
            age_band: v1::AgeBand::AgeBand1315.into(),
            unique_number: "CH-1".into(),
        }),
        items: vec![named(""), named(" CH-1 "), named("Sam, 14")],
        ..v1::SubmitReportsRequest::default()
    };
    let response = world.client.submit_reports(bearer(&key, request)).await;
    let results = response.unwrap().into_inner().results;
    receipt(&results[0]);
    receipt(&results[1]);
    let refused = problem(&results[2]);
    assert_eq!(
        (refused.code.as_str(), refused.field.as_str()),
        ("external_id_not_here", "items[2].external_id")
    );
}

#[tokio::test]
async fn every_other_call_refuses_what_it_cannot_take() {
    let mut world = World::start().await;
    let key = world.partner_key(v1::ReportChannel::Proactive, 0).await;

    let ask = |reference: &str| v1::GetOutcomeRequest {
        reference: reference.into(),
    };
    for (reference, kind, wanted) in [
        ("", Code::InvalidArgument, "field_missing"),
        ("short", Code::InvalidArgument, "reference_malformed"),
        ("00000-00000-00000-00000", Code::NotFound, "not_found"),
    ] {
        let status = world.client.get_outcome(ask(reference)).await.unwrap_err();
        assert_eq!(code(&status), (kind, wanted.into()), "{reference}");
        let request = v1::WithdrawReportRequest {
            reference: reference.into(),
        };
        let status = world.client.withdraw_report(request).await.unwrap_err();
        assert_eq!(code(&status), (kind, wanted.into()), "{reference}");
    }
    // No credential is needed for these, but one that is shown must hold, and be one.
    let reference = "00000-00000-00000-00000";
    for (shown, wanted) in [
        ("Bearer tdp_nonsense", "key_invalid"),
        ("Basic abc", "credential_malformed"),
        ("Bearer", "credential_malformed"),
    ] {
        let request = showing(shown, ask(reference));
        let status = world.client.get_outcome(request).await.unwrap_err();
        assert_eq!(code(&status), (Code::Unauthenticated, wanted.into()));
        let withdraw = v1::WithdrawReportRequest {
            reference: reference.into(),
        };
        let request = showing(shown, withdraw);
        let status = world.client.withdraw_report(request).await.unwrap_err();
        assert_eq!(code(&status), (Code::Unauthenticated, wanted.into()));
        let request = showing(shown, public(vec![item("https://lotus.test/")]));
        let status = world.client.submit_reports(request).await.unwrap_err();
        assert_eq!(code(&status), (Code::Unauthenticated, wanted.into()));
    }

    let find = v1::FindReportsRequest { by: None };
    let status = world.client.find_reports(find.clone()).await.unwrap_err();
    assert_eq!(
        code(&status),
        (Code::Unauthenticated, "credential_missing".into())
    );
    let status = world
        .client
        .find_reports(bearer(&key, find.clone()))
        .await
        .unwrap_err();
    assert_eq!(code(&status), (Code::PermissionDenied, "staff_only".into()));
    let request = world.as_operator(find);
    let status = world.client.find_reports(request).await.unwrap_err();
    assert_eq!(
        code(&status),
        (Code::InvalidArgument, "field_missing".into())
    );

    let create = |name: &str, channel: i32, daily_quota| v1::CreatePartnerRequest {
        name: name.into(),
        channel,
        daily_quota,
    };
    for (request, kind, wanted) in [
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
        let request = world.as_operator(request);
        let status = world.client.create_partner(request).await.unwrap_err();
        assert_eq!(code(&status), (kind, wanted.into()));
    }
    let request = world.as_staff(&[Role::Analyst], create("a", 2, 0));
    let status = world.client.create_partner(request).await.unwrap_err();
    assert_eq!(
        code(&status),
        (Code::PermissionDenied, "role_required".into())
    );
    let request = world.as_operator(create("a", 2, 0));
    let partner = world
        .client
        .create_partner(request)
        .await
        .unwrap()
        .into_inner();
    let request = world.as_operator(create("a", 2, 0));
    let status = world.client.create_partner(request).await.unwrap_err();
    assert_eq!(code(&status), (Code::AlreadyExists, "name_taken".into()));

    let revoke = |id: &str| v1::RevokePartnerRequest {
        partner_id: id.into(),
    };
    for (id, kind, wanted) in [
        ("x", Code::InvalidArgument, "id_malformed"),
        (
            "00000000-0000-0000-0000-000000000000",
            Code::NotFound,
            "not_found",
        ),
    ] {
        let request = world.as_operator(revoke(id));
        let status = world.client.revoke_partner(request).await.unwrap_err();
        assert_eq!(code(&status), (kind, wanted.into()));
    }
    // Revoking twice is success, and the key is dead at once.
    let id = partner.partner.unwrap().partner_id;
    for _ in 0..2 {
        let request = world.as_operator(revoke(&id));
        world.client.revoke_partner(request).await.unwrap();
    }
    let submit = v1::SubmitReportsRequest {
        channel: v1::ReportChannel::PartnerHotline.into(),
        ..public(vec![item("https://lotus.test/")])
    };
    let status = world
        .client
        .submit_reports(bearer(&partner.key, submit))
        .await
        .unwrap_err();
    assert_eq!(code(&status), (Code::Unauthenticated, "key_invalid".into()));
}
