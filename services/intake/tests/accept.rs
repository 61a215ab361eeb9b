//! A report is accepted once and attached to the case of its URL, and its outcome can be read by its
//! reference.

mod support;

use domain::event::Body;
use domain::wire::timestamp;
use futures::StreamExt;
use http_body_util::BodyExt as _;
use intake::Config;
use platform::batch::fold::KEY_REUSED;
use platform::clock;
use platform::sealed::{Purpose, WrappedKey};
use proto::v1;
use support::{TestIntake, bearer, code, problem, public, receipt, report};
use tower::ServiceExt as _;

#[tokio::test]
async fn two_forms_of_a_url_are_one_case_and_an_invalid_report_does_not_affect_the_others() {
    let mut intake = TestIntake::start().await;
    let request = intake.as_operator(public(vec![
        report("https://img.lotus.test/a/1.jpg"),
        report("not a url"),
        report("HXXPS://IMG.LOTUS[.]TEST:443/a/1.jpg#top"),
        report("https://img.lotus.test/a/2.jpg"),
    ]));
    let results = intake
        .client
        .submit_reports(request)
        .await
        .unwrap()
        .into_inner()
        .results;
    assert_eq!(receipt(&results[0]).case_id, receipt(&results[2]).case_id);
    assert_ne!(receipt(&results[0]).case_id, receipt(&results[3]).case_id);
    assert!(receipt(&results[0]).opened_case && !receipt(&results[2]).opened_case);
    assert_eq!(problem(&results[1]).field, "reports[1].url");
    assert_eq!(intake.count("select count(*) from report").await, 3);
    assert_eq!(intake.count("select count(*) from case_identity").await, 2);
    assert_eq!(intake.count("select count(*) from event").await, 3);

    let counts = intake
        .client
        .get_intake_counts(intake.as_operator(v1::GetIntakeCountsRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((counts.accepted, counts.cases), (3, 2));
}

#[tokio::test]
async fn the_public_receives_a_reference_and_nothing_about_the_case() {
    let mut intake = TestIntake::start().await;
    let response = intake
        .client
        .submit_reports(public(vec![report("https://lotus.test/")]))
        .await
        .unwrap()
        .into_inner();
    let receipt = receipt(&response.results[0]);
    assert!(receipt.case_id.is_empty());
    assert!(!receipt.opened_case);
    assert_eq!(
        intake.outcome(&receipt.reference).await,
        v1::Outcome::Received
    );
}

#[tokio::test]
async fn a_repeated_key_returns_the_same_receipts_and_a_different_body_is_refused() {
    let mut intake = TestIntake::start().await;
    let key = intake
        .partner_key(v1::ReportChannel::PartnerHotline, 0)
        .await;
    let request = |url: &str| v1::SubmitReportsRequest {
        idempotency_key: "monday-1".into(),
        channel: v1::ReportChannel::PartnerHotline.into(),
        reports: vec![report(url)],
        ..v1::SubmitReportsRequest::default()
    };
    let first = intake
        .client
        .submit_reports(bearer(&key, request("https://lotus.test/1")))
        .await
        .unwrap()
        .into_inner();
    let again = intake
        .client
        .submit_reports(bearer(&key, request("https://lotus.test/1")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(receipt(&first.results[0]), receipt(&again.results[0]));
    assert!(again.repeated && !first.repeated);
    let other = intake
        .client
        .submit_reports(bearer(&key, request("https://lotus.test/2")))
        .await
        .unwrap_err();
    assert_eq!(
        code(&other),
        (tonic::Code::AlreadyExists, KEY_REUSED.into())
    );
    assert_eq!(intake.count("select count(*) from report").await, 1);

    // Keys are scoped to the principal: another partner can use the same key.
    let second = intake
        .partner_key(v1::ReportChannel::PartnerHotline, 0)
        .await;
    let theirs = intake
        .client
        .submit_reports(bearer(&second, request("https://lotus.test/2")))
        .await
        .unwrap()
        .into_inner();
    assert!(!theirs.repeated);

    // A repeat is still recognised after a rotation of the key for request MACs.
    let mut rotated = intake.with_another_body_key().await;
    let again = rotated
        .submit_reports(bearer(&key, request("https://lotus.test/1")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(receipt(&first.results[0]), receipt(&again.results[0]));
}

#[tokio::test]
async fn the_digest_of_the_original_body_is_part_of_the_body() {
    let mut intake = TestIntake::start().await;
    let key = intake
        .partner_key(v1::ReportChannel::PartnerHotline, 0)
        .await;
    let request = |digest: u8, urls: &[&str]| v1::SubmitReportsRequest {
        idempotency_key: "monday-1".into(),
        channel: v1::ReportChannel::PartnerHotline.into(),
        reports: urls.iter().map(|url| report(url)).collect(),
        body_digest: vec![digest; 32].into(),
        ..v1::SubmitReportsRequest::default()
    };
    // Without a valid report the submission is still authenticated, and its key is used.
    let none = intake.client.submit_reports(request(1, &[])).await;
    assert_eq!(none.unwrap_err().code(), tonic::Code::PermissionDenied);
    for _ in 0..2 {
        let none = bearer(&key, request(1, &[]));
        let none = intake.client.submit_reports(none).await.unwrap();
        assert!(none.get_ref().results.is_empty());
    }
    for other in [request(2, &[]), request(1, &["https://lotus.test/"])] {
        let status = intake.client.submit_reports(bearer(&key, other)).await;
        assert_eq!(code(&status.unwrap_err()).1, KEY_REUSED);
    }
    let mut short = request(1, &["https://lotus.test/"]);
    short.body_digest = vec![1; 31].into();
    let status = intake.client.submit_reports(bearer(&key, short)).await;
    assert_eq!(code(&status.unwrap_err()).1, "digest_malformed");
}

#[tokio::test]
async fn a_repeat_succeeds_beside_concurrent_requests_with_a_different_body() {
    let mut intake = TestIntake::start().await;
    let key = intake.partner_key(v1::ReportChannel::Proactive, 0).await;
    let request = |url: &str| v1::SubmitReportsRequest {
        idempotency_key: "monday-1".into(),
        channel: v1::ReportChannel::Proactive.into(),
        reports: vec![report(url)],
        ..v1::SubmitReportsRequest::default()
    };
    let first = bearer(&key, request("https://lotus.test/1"));
    let first = intake
        .client
        .submit_reports(first)
        .await
        .unwrap()
        .into_inner();
    // Blocks the first batch, so that the calls that arrive meanwhile form one batch after it.
    let mut lock = intake.pool.begin().await.unwrap();
    sqlx::query("-- lock_submissions\nlock table submission in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let calls = (0..40).map(|n| {
        let url = if n % 2 == 0 {
            "https://lotus.test/2"
        } else {
            "https://lotus.test/1"
        };
        let (mut client, request) = (intake.client.clone(), bearer(&key, request(url)));
        async move { (n, client.submit_reports(request).await) }
    });
    let release = async {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%reserve_keys%'";
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while intake.count(waiting).await < 2 && std::time::Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(calls), release);
    for (n, answer) in answers {
        if n % 2 == 0 {
            assert_eq!(code(&answer.unwrap_err()).1, KEY_REUSED);
        } else {
            assert_eq!(answer.unwrap().into_inner().results, first.results);
        }
    }
}

#[tokio::test]
async fn the_public_may_use_only_unguessable_keys() {
    let mut intake = TestIntake::start().await;
    let request = |key: &str| v1::SubmitReportsRequest {
        idempotency_key: key.into(),
        ..public(vec![report("https://lotus.test/")])
    };
    for weak in ["1", "monday-1", &"0".repeat(31), "twenty-two characters !"] {
        let status = intake.client.submit_reports(request(weak)).await;
        assert_eq!(
            code(&status.unwrap_err()).1,
            "idempotency_key_weak",
            "{weak}"
        );
    }
    for strong in [
        "7d444840-9dc0-11d1-b245-5ffdce74fad2",
        "7d4448409dc011d1b2455ffdce74fad2",
        "AxE3fUpxcX-9m_0aQ7rLhg",
    ] {
        intake.client.submit_reports(request(strong)).await.unwrap();
    }
}

#[tokio::test]
async fn concurrent_requests_with_the_same_key_create_one_report() {
    let intake = TestIntake::start().await;
    let calls = (0..40).map(|_| {
        let mut client = intake.client.clone();
        let request = intake.as_operator(v1::SubmitReportsRequest {
            idempotency_key: "once".into(),
            ..public(vec![report("https://lotus.test/once")])
        });
        async move { client.submit_reports(request).await.unwrap().into_inner() }
    });
    let answers = futures::future::join_all(calls).await;
    let reports: std::collections::BTreeSet<&str> = answers
        .iter()
        .map(|answer| receipt(&answer.results[0]).report_id.as_str())
        .collect();
    assert_eq!(reports.len(), 1);
    assert_eq!(intake.count("select count(*) from report").await, 1);
    assert_eq!(intake.count("select count(*) from event").await, 1);
}

#[tokio::test]
async fn concurrent_reports_of_a_url_open_one_case() {
    let intake = TestIntake::start().await;
    let calls = (0..64).map(|n| {
        let mut client = intake.client.clone();
        let urls = [n % 8, (n + 3) % 8, (n + 5) % 8];
        let reports = urls
            .iter()
            .map(|n| report(&format!("https://race{n}.lotus.test/")));
        let request = intake.as_operator(public(reports.collect()));
        async move { client.submit_reports(request).await.unwrap() }
    });
    futures::future::join_all(calls).await;
    assert_eq!(intake.count("select count(*) from case_identity").await, 8);
    assert_eq!(intake.count("select count(*) from case_tag").await, 8);
    assert_eq!(intake.count("select count(*) from report").await, 64 * 3);
    assert_eq!(
        intake
            .count("select count(distinct case_id) from report")
            .await,
        8
    );
}

#[tokio::test]
async fn a_stream_answers_each_submission() {
    let mut intake = TestIntake::start().await;
    let mut messages: Vec<_> = (1..=20)
        .map(|n| v1::StreamReportsRequest {
            submission: n,
            request: Some(public(
                (0..50)
                    .map(|i| report(&format!("https://lotus.test/{n}/{i}")))
                    .collect(),
            )),
        })
        .collect();
    messages.push(v1::StreamReportsRequest {
        submission: 21,
        request: None,
    });
    let request = intake.as_operator(futures::stream::iter(messages));
    let answers: Vec<_> = intake
        .client
        .stream_reports(request)
        .await
        .unwrap()
        .into_inner()
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(answers.len(), 21);
    for answer in answers {
        match answer.result.unwrap() {
            v1::stream_reports_response::Result::Response(response) => {
                assert_eq!(response.results.len(), 50);
            }
            v1::stream_reports_response::Result::Problem(problem) => {
                assert_eq!(
                    (answer.submission, problem.code.as_str()),
                    (21, "field_missing")
                );
            }
        }
    }
    assert_eq!(intake.count("select count(*) from report").await, 1000);
}

/// Write access to the table must not be enough to create a partner or to extend its rights.
#[tokio::test]
async fn a_partner_that_was_inserted_or_changed_by_sql_is_refused() {
    let mut intake = TestIntake::start().await;
    let key = intake.partner_key(v1::ReportChannel::Proactive, 3).await;
    let other = intake.partner_key(v1::ReportChannel::Proactive, 9).await;
    let request = || v1::SubmitReportsRequest {
        channel: v1::ReportChannel::Proactive.into(),
        reports: vec![report("https://lotus.test/1")],
        ..v1::SubmitReportsRequest::default()
    };
    for change in [
        "update partner set daily_quota = 0",
        "update partner set channel = 'report_remove'",
        "update partner set name = name || ' and others'",
        "update partner set vouched = null",
        "update partner p set vouched = o.vouched from partner o where o.id <> p.id",
    ] {
        for sql in ["create table backup as table partner", change] {
            sqlx::query(sql).execute(&intake.pool).await.unwrap();
        }
        for key in [&key, &other] {
            let refused = intake.client.submit_reports(bearer(key, request())).await;
            let refused = code(&refused.unwrap_err()).1;
            assert_eq!(refused, "key_invalid", "{change}");
        }
        for sql in [
            "delete from partner",
            "insert into partner table backup",
            "drop table backup",
        ] {
            sqlx::query(sql).execute(&intake.pool).await.unwrap();
        }
    }
    for key in [&key, &other] {
        let opened = intake.client.submit_reports(bearer(key, request())).await;
        receipt(&opened.unwrap().into_inner().results[0]);
    }
}

#[tokio::test]
async fn reports_over_quota_are_refused_until_tomorrow() {
    let mut intake = TestIntake::start().await;
    let key = intake.partner_key(v1::ReportChannel::Proactive, 3).await;
    let request = |from: usize| v1::SubmitReportsRequest {
        channel: v1::ReportChannel::Proactive.into(),
        reports: (from..from + 2)
            .map(|n| report(&format!("https://lotus.test/{n}")))
            .collect(),
        ..v1::SubmitReportsRequest::default()
    };
    for from in [0, 2] {
        let response = intake
            .client
            .submit_reports(bearer(&key, request(from)))
            .await
            .unwrap();
        let results = response.into_inner().results;
        receipt(&results[0]);
        if from == 2 {
            let refused = problem(&results[1]);
            assert_eq!(refused.code, "quota_exceeded");
            assert!(refused.detail.contains("new idempotency key"));
        }
    }
    assert_eq!(intake.count("select count(*) from report").await, 3);

    // If no report is within the quota, the submission is refused until midnight and its key stays unused.
    let keyed = v1::SubmitReportsRequest {
        idempotency_key: "evening".into(),
        ..request(4)
    };
    for _ in 0..2 {
        let status = intake
            .client
            .submit_reports(bearer(&key, keyed.clone()))
            .await
            .unwrap_err();
        let refused = platform::error::Problem::from(status);
        assert_eq!(
            (refused.kind, &*refused.code),
            (platform::error::Kind::Exhausted, "quota_exceeded")
        );
        let after = refused.retry_after.unwrap().as_secs();
        assert!((1..=86_400).contains(&after), "{after}");
    }
    sqlx::query("-- tomorrow\ndelete from quota_usage")
        .execute(&intake.pool)
        .await
        .unwrap();
    let response = intake
        .client
        .submit_reports(bearer(&key, keyed))
        .await
        .unwrap()
        .into_inner();
    assert!(!response.repeated);
    response.results.iter().for_each(|result| {
        receipt(result);
    });
}

#[tokio::test]
async fn a_stream_ends_when_its_credential_is_revoked() {
    let mut intake = TestIntake::start_with(Config {
        credential_recheck_seconds: 0,
    })
    .await;
    let request = intake.as_operator(v1::CreatePartnerRequest {
        name: "short".into(),
        channel: v1::ReportChannel::Proactive.into(),
        daily_quota: 0,
    });
    let partner = intake.client.create_partner(request).await.unwrap();
    let partner = partner.into_inner();
    let (sender, messages) = tokio::sync::mpsc::channel(4);
    let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
    let mut answers = intake
        .client
        .stream_reports(bearer(&partner.key, messages))
        .await
        .unwrap()
        .into_inner();
    let message = |submission| v1::StreamReportsRequest {
        submission,
        request: Some(v1::SubmitReportsRequest {
            channel: v1::ReportChannel::Proactive.into(),
            reports: vec![report("https://lotus.test/")],
            ..v1::SubmitReportsRequest::default()
        }),
    };
    sender.send(message(1)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().submission, 1);
    let revoke = intake.as_operator(v1::RevokePartnerRequest {
        partner_id: partner.partner.unwrap().partner_id,
    });
    intake.client.revoke_partner(revoke).await.unwrap();
    sender.send(message(2)).await.unwrap();
    let status = answers.message().await.unwrap_err();
    assert_eq!(
        code(&status),
        (tonic::Code::Unauthenticated, "key_invalid".into())
    );
    assert_eq!(intake.count("select count(*) from report").await, 1);
}

#[tokio::test]
async fn a_malformed_stream_ends_with_an_error_in_its_trailers() {
    let intake = TestIntake::start().await;
    let frames = bytes::Bytes::from_static(&[7, 0, 0, 0, 0]);
    let body = tonic::body::Body::new(http_body_util::Full::new(frames));
    let request = http::Request::post("/takedown.v1.IntakeService/StreamReports")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let response = intake.channel.clone().oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    let status = tonic::Status::from_header_map(body.trailers().unwrap()).unwrap();
    assert_eq!(
        code(&status),
        (tonic::Code::InvalidArgument, "malformed_message".into())
    );
}

#[tokio::test]
async fn the_outcome_of_a_report_follows_the_events_of_its_case() {
    let mut intake = TestIntake::start().await;
    let request = intake.as_operator(v1::SubmitReportsRequest {
        channel: v1::ReportChannel::ReportRemove.into(),
        report_remove: Some(v1::ReportRemoveFacts {
            under_18: true,
            age_band: v1::AgeBand::AgeBand1315.into(),
            unique_number: "RE-7-000001".into(),
        }),
        reports: vec![report("https://lotus.test/x")],
        ..v1::SubmitReportsRequest::default()
    });
    let response = intake.client.submit_reports(request).await.unwrap();
    let receipt = receipt(&response.get_ref().results[0]).clone();
    let reference = receipt.reference.as_str();
    let now = timestamp(clock::wall());

    let actionable = Body::CaseActionable(v1::CaseActionable::default());
    intake
        .append_event("verification", &receipt.case_id, actionable)
        .await;
    intake
        .until_outcome(reference, v1::Outcome::BeingRemoved)
        .await;
    let confirmed = Body::RemovalConfirmed(v1::RemovalConfirmed {
        episode: 1,
        agreed: 2,
        checks: 3,
        confirmed_at: Some(now),
    });
    intake
        .append_event("dispatch", &receipt.case_id, confirmed)
        .await;
    intake.until_outcome(reference, v1::Outcome::Removed).await;
    let reappeared = Body::Reappeared(v1::Reappeared {
        episode: 2,
        seen_at: Some(now),
    });
    intake
        .append_event("dispatch", &receipt.case_id, reappeared)
        .await;
    intake
        .until_outcome(reference, v1::Outcome::BeingRemoved)
        .await;

    // The helpline finds the report by the child's number.
    let request = intake.as_operator(v1::FindReportsRequest {
        by: Some(v1::find_reports_request::By::ExternalId(
            "RE-7-000001".into(),
        )),
    });
    let found = intake
        .client
        .find_reports(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.reports[0].external_id, "RE-7-000001");
    assert_eq!(found.reports[0].case_id, receipt.case_id);
}

#[tokio::test]
async fn a_report_is_withdrawn_once() {
    let mut intake = TestIntake::start().await;
    let response = intake
        .client
        .submit_reports(public(vec![report("https://lotus.test/w")]))
        .await
        .unwrap();
    let reference = receipt(&response.get_ref().results[0]).reference.clone();
    for _ in 0..2 {
        let request = v1::WithdrawReportRequest {
            reference: reference.to_lowercase().replace('-', ""),
        };
        let answer = intake.client.withdraw_report(request).await.unwrap();
        assert_eq!(answer.get_ref().outcome(), v1::Outcome::Withdrawn);
    }
    let payload: Vec<u8> =
        sqlx::query_scalar("select payload from event where kind = 'ReportWithdrawn'")
            .fetch_one(&intake.pool)
            .await
            .unwrap();
    let Body::ReportWithdrawn(event) = domain::event::decode(&payload).unwrap() else {
        panic!("not a withdrawal");
    };
    assert_eq!(event.withdrawn_by, "reporter");
    assert_eq!(
        intake
            .count("select count(*) from event where kind = 'ReportWithdrawn'")
            .await,
        1
    );
}

/// The number of values in intake's tables that contain a text unsealed, whatever the column's type.
async fn count_plaintext(intake: &TestIntake, text: &str) -> i64 {
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "-- columns
        select c.table_name::text, c.column_name::text, c.data_type::text
        from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
        where c.table_schema = current_schema and t.table_type = 'BASE TABLE'",
    )
    .fetch_all(&intake.pool)
    .await
    .unwrap();
    let counts = columns.into_iter().map(|(table, column, kind)| {
        let as_text = match kind.as_str() {
            "bytea" => format!("encode(\"{column}\", 'escape')"),
            _ => format!("\"{column}\"::text"),
        };
        format!("(select count(*) from \"{table}\" where {as_text} like '%' || $1 || '%')")
    });
    let sum = counts.collect::<Vec<_>>().join(" + ");
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "-- count_plaintext\nselect {sum}"
    )))
    .bind(text)
    .fetch_one(&intake.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn no_part_of_a_url_is_stored_unsealed() {
    let mut intake = TestIntake::start().await;
    let request = v1::SubmitReportsRequest {
        idempotency_key: "7d444840-9dc0-11d1-b245-5ffdce74fad2".into(),
        ..public(vec![report("https://needle-in-hay.test/needle-path")])
    };
    let response = intake.client.submit_reports(request).await.unwrap();
    assert_eq!(count_plaintext(&intake, "needle").await, 0);
    // The search does find unsealed values: in text columns and within bytes (the event's payload).
    assert!(count_plaintext(&intake, "7d444840").await > 0);
    let report = &receipt(&response.get_ref().results[0]).report_id;
    let id = uuid::Uuid::parse_str(report).unwrap();
    let in_payload =
        "select count(*) from event where encode(payload, 'escape') like '%' || $1 || '%'";
    let in_payload: i64 = sqlx::query_scalar(in_payload)
        .bind(report)
        .fetch_one(&intake.pool)
        .await
        .unwrap();
    assert_eq!(in_payload, 1);
    assert!(count_plaintext(&intake, report).await > in_payload);

    // The case's key opens the reported URL.
    let (case, sealed, wrapped): (uuid::Uuid, Vec<u8>, Vec<u8>) = sqlx::query_as(
        "-- sealed_reported_url
        select c.id, r.sealed_reported_url, c.wrapped_key from report r join case_identity c on c.id = r.case_id where r.id = $1",
    )
    .bind(id)
    .fetch_one(&intake.pool)
    .await
    .unwrap();
    let key = intake
        .keyring
        .unwrap(case, &WrappedKey::parse(wrapped).unwrap())
        .unwrap();
    let opened = key.open(Purpose::ReportedUrl, case, id, sealed).unwrap();
    assert_eq!(
        opened.text().unwrap(),
        "https://needle-in-hay.test/needle-path"
    );
}
