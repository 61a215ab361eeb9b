//! A report is accepted once, belongs to the case of its URL, and its reporter can ask what became of it.

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
use support::{World, bearer, code, item, problem, public, receipt};
use tower::ServiceExt as _;

#[tokio::test]
async fn two_spellings_of_a_url_are_one_case_and_half_a_bad_batch_costs_nothing() {
    let mut world = World::start().await;
    let request = world.as_operator(public(vec![
        item("https://img.lotus.test/a/1.jpg"),
        item("not a url"),
        item("HXXPS://IMG.LOTUS[.]TEST:443/a/1.jpg#top"),
        item("https://img.lotus.test/a/2.jpg"),
    ]));
    let results = world
        .client
        .submit_reports(request)
        .await
        .unwrap()
        .into_inner()
        .results;
    assert_eq!(receipt(&results[0]).case_id, receipt(&results[2]).case_id);
    assert_ne!(receipt(&results[0]).case_id, receipt(&results[3]).case_id);
    assert!(receipt(&results[0]).opened_case && !receipt(&results[2]).opened_case);
    assert_eq!(problem(&results[1]).field, "items[1].url");
    assert_eq!(world.count("select count(*) from report").await, 3);
    assert_eq!(world.count("select count(*) from case_identity").await, 2);
    assert_eq!(world.count("select count(*) from event").await, 3);

    let counts = world
        .client
        .get_intake_counts(world.as_operator(v1::GetIntakeCountsRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((counts.accepted, counts.cases), (3, 2));
}

#[tokio::test]
async fn the_public_learns_a_reference_and_nothing_else() {
    let mut world = World::start().await;
    let response = world
        .client
        .submit_reports(public(vec![item("https://lotus.test/")]))
        .await
        .unwrap()
        .into_inner();
    let receipt = receipt(&response.results[0]);
    assert!(receipt.case_id.is_empty());
    assert!(!receipt.opened_case);
    assert_eq!(
        world.outcome(&receipt.reference).await,
        v1::Outcome::Received
    );
}

#[tokio::test]
async fn a_repeated_key_gives_the_same_receipts_and_another_body_is_refused() {
    let mut world = World::start().await;
    let key = world
        .partner_key(v1::ReportChannel::PartnerHotline, 0)
        .await;
    let request = |url: &str| v1::SubmitReportsRequest {
        idempotency_key: "monday-1".into(),
        channel: v1::ReportChannel::PartnerHotline.into(),
        items: vec![item(url)],
        ..v1::SubmitReportsRequest::default()
    };
    let first = world
        .client
        .submit_reports(bearer(&key, request("https://lotus.test/1")))
        .await
        .unwrap()
        .into_inner();
    let again = world
        .client
        .submit_reports(bearer(&key, request("https://lotus.test/1")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(receipt(&first.results[0]), receipt(&again.results[0]));
    assert!(again.repeated && !first.repeated);
    let other = world
        .client
        .submit_reports(bearer(&key, request("https://lotus.test/2")))
        .await
        .unwrap_err();
    assert_eq!(
        code(&other),
        (tonic::Code::AlreadyExists, KEY_REUSED.into())
    );
    assert_eq!(world.count("select count(*) from report").await, 1);

    // The key is scoped to its principal: somebody else's is another key.
    let second = world
        .partner_key(v1::ReportChannel::PartnerHotline, 0)
        .await;
    let theirs = world
        .client
        .submit_reports(bearer(&second, request("https://lotus.test/2")))
        .await
        .unwrap()
        .into_inner();
    assert!(!theirs.repeated);

    // A repeat stays one when the key that bodies are hashed with is replaced.
    let mut rotated = world.with_another_body_key().await;
    let again = rotated
        .submit_reports(bearer(&key, request("https://lotus.test/1")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(receipt(&first.results[0]), receipt(&again.results[0]));
}

#[tokio::test]
async fn what_an_edge_could_not_read_is_part_of_the_body_too() {
    let mut world = World::start().await;
    let key = world
        .partner_key(v1::ReportChannel::PartnerHotline, 0)
        .await;
    let request = |digest: u8, urls: &[&str]| v1::SubmitReportsRequest {
        idempotency_key: "monday-1".into(),
        channel: v1::ReportChannel::PartnerHotline.into(),
        items: urls.iter().map(|url| item(url)).collect(),
        body_digest: vec![digest; 32].into(),
        ..v1::SubmitReportsRequest::default()
    };
    // Nothing of it could be read: it is still authenticated, and takes its key.
    let none = world.client.submit_reports(request(1, &[])).await;
    assert_eq!(none.unwrap_err().code(), tonic::Code::PermissionDenied);
    for _ in 0..2 {
        let none = bearer(&key, request(1, &[]));
        let none = world.client.submit_reports(none).await.unwrap();
        assert!(none.get_ref().results.is_empty());
    }
    for other in [request(2, &[]), request(1, &["https://lotus.test/"])] {
        let status = world.client.submit_reports(bearer(&key, other)).await;
        assert_eq!(code(&status.unwrap_err()).1, KEY_REUSED);
    }
    let mut short = request(1, &["https://lotus.test/"]);
    short.body_digest = vec![1; 31].into();
    let status = world.client.submit_reports(bearer(&key, short)).await;
    assert_eq!(code(&status.unwrap_err()).1, "digest_malformed");
}

#[tokio::test]
async fn a_true_repeat_is_heard_beside_a_wrong_body() {
    let mut world = World::start().await;
    let key = world.partner_key(v1::ReportChannel::Proactive, 0).await;
    let request = |url: &str| v1::SubmitReportsRequest {
        idempotency_key: "monday-1".into(),
        channel: v1::ReportChannel::Proactive.into(),
        items: vec![item(url)],
        ..v1::SubmitReportsRequest::default()
    };
    let first = bearer(&key, request("https://lotus.test/1"));
    let first = world
        .client
        .submit_reports(first)
        .await
        .unwrap()
        .into_inner();
    // Held up at the row, so that what comes meanwhile is gathered into one batch behind it.
    let mut lock = world.pool.begin().await.unwrap();
    sqlx::query("-- hold\nlock table submission in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let calls = (0..40).map(|n| {
        let url = if n % 2 == 0 {
            "https://lotus.test/2"
        } else {
            "https://lotus.test/1"
        };
        let (mut client, request) = (world.client.clone(), bearer(&key, request(url)));
        async move { (n, client.submit_reports(request).await) }
    });
    let let_go = async {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%take_keys%'";
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while world.count(waiting).await < 2 && std::time::Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(calls), let_go);
    for (n, answer) in answers {
        if n % 2 == 0 {
            assert_eq!(code(&answer.unwrap_err()).1, KEY_REUSED);
        } else {
            assert_eq!(answer.unwrap().into_inner().results, first.results);
        }
    }
}

#[tokio::test]
async fn the_public_shares_no_key_that_somebody_else_would_choose() {
    let mut world = World::start().await;
    let request = |key: &str| v1::SubmitReportsRequest {
        idempotency_key: key.into(),
        ..public(vec![item("https://lotus.test/")])
    };
    for weak in ["1", "monday-1", &"0".repeat(31), "twenty-two characters !"] {
        let status = world.client.submit_reports(request(weak)).await;
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
        world.client.submit_reports(request(strong)).await.unwrap();
    }
}

#[tokio::test]
async fn equal_keys_sent_at_once_make_one_report() {
    let world = World::start().await;
    let calls = (0..40).map(|_| {
        let mut client = world.client.clone();
        let request = world.as_operator(v1::SubmitReportsRequest {
            idempotency_key: "once".into(),
            ..public(vec![item("https://lotus.test/once")])
        });
        async move { client.submit_reports(request).await.unwrap().into_inner() }
    });
    let answers = futures::future::join_all(calls).await;
    let reports: std::collections::BTreeSet<&str> = answers
        .iter()
        .map(|answer| receipt(&answer.results[0]).report_id.as_str())
        .collect();
    assert_eq!(reports.len(), 1);
    assert_eq!(world.count("select count(*) from report").await, 1);
    assert_eq!(world.count("select count(*) from event").await, 1);
}

#[tokio::test]
async fn sixty_four_racers_for_a_url_open_one_case() {
    let world = World::start().await;
    let calls = (0..64).map(|n| {
        let mut client = world.client.clone();
        let urls = [n % 8, (n + 3) % 8, (n + 5) % 8];
        let items = urls
            .iter()
            .map(|n| item(&format!("https://race{n}.lotus.test/")));
        let request = world.as_operator(public(items.collect()));
        async move { client.submit_reports(request).await.unwrap() }
    });
    futures::future::join_all(calls).await;
    assert_eq!(world.count("select count(*) from case_identity").await, 8);
    assert_eq!(world.count("select count(*) from case_tag").await, 8);
    assert_eq!(world.count("select count(*) from report").await, 64 * 3);
    assert_eq!(
        world
            .count("select count(distinct case_id) from report")
            .await,
        8
    );
}

#[tokio::test]
async fn a_stream_answers_each_submission() {
    let mut world = World::start().await;
    let mut messages: Vec<_> = (1..=20)
        .map(|n| v1::StreamReportsRequest {
            submission: n,
            request: Some(public(
                (0..50)
                    .map(|i| item(&format!("https://lotus.test/{n}/{i}")))
                    .collect(),
            )),
        })
        .collect();
    messages.push(v1::StreamReportsRequest {
        submission: 21,
        request: None,
    });
    let request = world.as_operator(futures::stream::iter(messages));
    let answers: Vec<_> = world
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
    assert_eq!(world.count("select count(*) from report").await, 1000);
}

/// Whoever can write the table can make a partner, or widen one: neither opens anything.
#[tokio::test]
async fn a_partner_that_was_written_or_changed_by_sql_is_refused() {
    let mut world = World::start().await;
    let key = world.partner_key(v1::ReportChannel::Proactive, 3).await;
    let other = world.partner_key(v1::ReportChannel::Proactive, 9).await;
    let request = || v1::SubmitReportsRequest {
        channel: v1::ReportChannel::Proactive.into(),
        items: vec![item("https://lotus.test/1")],
        ..v1::SubmitReportsRequest::default()
    };
    for change in [
        "update partner set daily_quota = 0",
        "update partner set channel = 'report_remove'",
        "update partner set name = name || ' and others'",
        "update partner set vouched = null",
        "update partner p set vouched = o.vouched from partner o where o.id <> p.id",
    ] {
        for sql in ["create table kept as table partner", change] {
            sqlx::query(sql).execute(&world.pool).await.unwrap();
        }
        for key in [&key, &other] {
            let refused = world.client.submit_reports(bearer(key, request())).await;
            let refused = code(&refused.unwrap_err()).1;
            assert_eq!(refused, "key_invalid", "{change}");
        }
        for sql in [
            "delete from partner",
            "insert into partner table kept",
            "drop table kept",
        ] {
            sqlx::query(sql).execute(&world.pool).await.unwrap();
        }
    }
    for key in [&key, &other] {
        let opened = world.client.submit_reports(bearer(key, request())).await;
        receipt(&opened.unwrap().into_inner().results[0]);
    }
}

#[tokio::test]
async fn a_partner_stops_at_its_quota_and_the_rest_is_told_when_to_come_back() {
    let mut world = World::start().await;
    let key = world.partner_key(v1::ReportChannel::Proactive, 3).await;
    let request = |from: usize| v1::SubmitReportsRequest {
        channel: v1::ReportChannel::Proactive.into(),
        items: (from..from + 2)
            .map(|n| item(&format!("https://lotus.test/{n}")))
            .collect(),
        ..v1::SubmitReportsRequest::default()
    };
    for from in [0, 2] {
        let response = world
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
    assert_eq!(world.count("select count(*) from report").await, 3);

    // No room for any: the submission is refused until midnight, and its key is as good as new.
    let keyed = v1::SubmitReportsRequest {
        idempotency_key: "evening".into(),
        ..request(4)
    };
    for _ in 0..2 {
        let status = world
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
    sqlx::query("-- tomorrow\ndelete from quota_use")
        .execute(&world.pool)
        .await
        .unwrap();
    let response = world
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
async fn a_stream_ends_when_its_credential_does() {
    let mut world = World::start_with(Config {
        stream_trust_seconds: 0,
    })
    .await;
    let request = world.as_operator(v1::CreatePartnerRequest {
        name: "short".into(),
        channel: v1::ReportChannel::Proactive.into(),
        daily_quota: 0,
    });
    let partner = world.client.create_partner(request).await.unwrap();
    let partner = partner.into_inner();
    let (sender, messages) = tokio::sync::mpsc::channel(4);
    let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
    let mut answers = world
        .client
        .stream_reports(bearer(&partner.key, messages))
        .await
        .unwrap()
        .into_inner();
    let message = |submission| v1::StreamReportsRequest {
        submission,
        request: Some(v1::SubmitReportsRequest {
            channel: v1::ReportChannel::Proactive.into(),
            items: vec![item("https://lotus.test/")],
            ..v1::SubmitReportsRequest::default()
        }),
    };
    sender.send(message(1)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().submission, 1);
    let revoke = world.as_operator(v1::RevokePartnerRequest {
        partner_id: partner.partner.unwrap().partner_id,
    });
    world.client.revoke_partner(revoke).await.unwrap();
    sender.send(message(2)).await.unwrap();
    let status = answers.message().await.unwrap_err();
    assert_eq!(
        code(&status),
        (tonic::Code::Unauthenticated, "key_invalid".into())
    );
    assert_eq!(world.count("select count(*) from report").await, 1);
}

#[tokio::test]
async fn a_stream_says_at_its_end_that_it_could_not_be_read() {
    let world = World::start().await;
    let frames = bytes::Bytes::from_static(&[7, 0, 0, 0, 0]);
    let body = tonic::body::Body::new(http_body_util::Full::new(frames));
    let request = http::Request::post("/takedown.v1.IntakeService/StreamReports")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let response = world.channel.clone().oneshot(request).await.unwrap();
    let whole = response.into_body().collect().await.unwrap();
    let status = tonic::Status::from_header_map(whole.trailers().unwrap()).unwrap();
    assert_eq!(
        code(&status),
        (tonic::Code::InvalidArgument, "malformed_message".into())
    );
}

#[tokio::test]
async fn the_reporter_hears_what_becomes_of_the_case() {
    let mut world = World::start().await;
    let request = world.as_operator(v1::SubmitReportsRequest {
        channel: v1::ReportChannel::ReportRemove.into(),
        report_remove: Some(v1::ReportRemoveFacts {
            under_18: true,
            age_band: v1::AgeBand::AgeBand1315.into(),
            unique_number: "RE-7-000001".into(),
        }),
        items: vec![item("https://lotus.test/x")],
        ..v1::SubmitReportsRequest::default()
    });
    let response = world.client.submit_reports(request).await.unwrap();
    let receipt = receipt(&response.get_ref().results[0]).clone();
    let reference = receipt.reference.as_str();
    let now = timestamp(clock::wall());

    let actionable = Body::CaseActionable(v1::CaseActionable::default());
    world
        .say("verification", &receipt.case_id, actionable)
        .await;
    world
        .until_outcome(reference, v1::Outcome::BeingRemoved)
        .await;
    let confirmed = Body::RemovalConfirmed(v1::RemovalConfirmed {
        episode: 1,
        agreed: 2,
        checks: 3,
        confirmed_at: Some(now),
    });
    world.say("dispatch", &receipt.case_id, confirmed).await;
    world.until_outcome(reference, v1::Outcome::Removed).await;
    let back = Body::Reappeared(v1::Reappeared {
        episode: 2,
        seen_at: Some(now),
    });
    world.say("dispatch", &receipt.case_id, back).await;
    world
        .until_outcome(reference, v1::Outcome::BeingRemoved)
        .await;

    // The helpline asks by the child's number.
    let request = world.as_operator(v1::FindReportsRequest {
        by: Some(v1::find_reports_request::By::ExternalId(
            "RE-7-000001".into(),
        )),
    });
    let found = world
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
    let mut world = World::start().await;
    let response = world
        .client
        .submit_reports(public(vec![item("https://lotus.test/w")]))
        .await
        .unwrap();
    let reference = receipt(&response.get_ref().results[0]).reference.clone();
    for _ in 0..2 {
        let request = v1::WithdrawReportRequest {
            reference: reference.to_lowercase().replace('-', ""),
        };
        let answer = world.client.withdraw_report(request).await.unwrap();
        assert_eq!(answer.get_ref().outcome(), v1::Outcome::Withdrawn);
    }
    let by: Vec<u8> =
        sqlx::query_scalar("select payload from event where kind = 'ReportWithdrawn'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    let Body::ReportWithdrawn(by) = domain::event::decode(&by).unwrap() else {
        panic!("a withdrawal");
    };
    assert_eq!(by.withdrawn_by, "reporter");
    assert_eq!(
        world
            .count("select count(*) from event where kind = 'ReportWithdrawn'")
            .await,
        1
    );
}

/// In how many values of intake's tables a text lies open, whatever the column's type.
async fn lies_open(world: &World, text: &str) -> i64 {
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "-- columns
        select c.table_name::text, c.column_name::text, c.data_type::text
        from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
        where c.table_schema = current_schema and t.table_type = 'BASE TABLE'",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let counts = columns.into_iter().map(|(table, column, kind)| {
        let shown = match kind.as_str() {
            "bytea" => format!("encode(\"{column}\", 'escape')"),
            _ => format!("\"{column}\"::text"),
        };
        format!("(select count(*) from \"{table}\" where {shown} like '%' || $1 || '%')")
    });
    let sum = counts.collect::<Vec<_>>().join(" + ");
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("-- lies_open\nselect {sum}")))
        .bind(text)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn nothing_of_a_url_lies_open_in_the_database() {
    let mut world = World::start().await;
    let request = v1::SubmitReportsRequest {
        idempotency_key: "7d444840-9dc0-11d1-b245-5ffdce74fad2".into(),
        ..public(vec![item("https://needle-in-hay.test/needle-path")])
    };
    let response = world.client.submit_reports(request).await.unwrap();
    assert_eq!(lies_open(&world, "needle").await, 0);
    // The search finds what does lie open: text, and text within octets (the event's payload).
    assert!(lies_open(&world, "7d444840").await > 0);
    let report = &receipt(&response.get_ref().results[0]).report_id;
    let id = uuid::Uuid::parse_str(report).unwrap();
    let in_payload =
        "select count(*) from event where encode(payload, 'escape') like '%' || $1 || '%'";
    let in_payload: i64 = sqlx::query_scalar(in_payload)
        .bind(report)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(in_payload, 1);
    assert!(lies_open(&world, report).await > in_payload);

    // What is sealed is the spelling that was sent, for those who hold the case's key.
    let (case, sealed, wrapped): (uuid::Uuid, Vec<u8>, Vec<u8>) = sqlx::query_as(
        "-- sealed_spelling
        select c.id, r.sealed_spelling, c.wrapped_key from report r join case_identity c on c.id = r.case_id where r.id = $1",
    )
    .bind(id)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    let key = world
        .keyring
        .unwrap(case, &WrappedKey::parse(wrapped).unwrap())
        .unwrap();
    let opened = key.open(Purpose::Spelling, case, id, sealed).unwrap();
    assert_eq!(
        opened.text().unwrap(),
        "https://needle-in-hay.test/needle-path"
    );
}
