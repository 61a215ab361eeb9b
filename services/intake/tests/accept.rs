//! A report is accepted once, belongs to the case of its URL, and its reporter can ask what became of it.

mod support;

use domain::event::Body;
use domain::wire::timestamp;
use futures::StreamExt;
use platform::clock;
use proto::v1;
use support::{World, bearer, code, item, problem, public, receipt};

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
        (tonic::Code::AlreadyExists, "idempotency_conflict".into())
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
            assert_eq!(problem(&results[1]).code, "quota_exceeded");
        }
    }
    assert_eq!(world.count("select count(*) from report").await, 3);
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
    assert_eq!(
        world
            .count("select count(*) from event where kind = 'ReportWithdrawn'")
            .await,
        1
    );
}

#[tokio::test]
async fn nothing_of_a_url_lies_open_in_the_database() {
    let mut world = World::start().await;
    world
        .client
        .submit_reports(public(vec![item("https://needle-in-hay.test/needle-path")]))
        .await
        .unwrap();
    let found = world
        .count(
            "select (select count(*) from report r where encode(convert_to(r::text, 'utf8'), 'escape') like '%needle%')
                + (select count(*) from event e where encode(e.payload, 'escape') like '%needle%')
                + (select count(*) from report where encode(sealed_item, 'escape') like '%needle%')",
        )
        .await;
    assert_eq!(found, 0);
}
