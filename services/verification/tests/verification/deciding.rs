//! The way of a case from its first report to a verdict by analysts.

use domain::event::Body;
use platform::principal::Role;
use platform::sealed::{KeyId, Purpose, SigningContext, WrappedKey, commitment};
use prost::Message;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;
use proto::v1::verdict::Verdict;
use verification::Config;

use crate::house::{House, category, code, item, not_illegal, sha256, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_leaves_with_a_proof_that_holds() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let of = house
        .reported("https://img.host.example/a/b.jpg?c=d", &[sha256(1)])
        .await;
    let waiting = house.assessment(&analyst, of.case).await;
    assert_eq!(waiting.state(), State::Queued);
    assert_eq!(waiting.masked_url, "hxxps://img.host[.]example/…");
    assert_eq!(waiting.hash_kinds, [v1::HashKind::Sha256 as i32]);

    let decided = house
        .judged(&analyst, of.case, category(Category::B))
        .await
        .unwrap();
    assert_eq!(decided.state(), State::Actionable);
    assert_eq!(decided.basis, "analyst");

    let said = house.said(of.case).await;
    let [Body::CaseActionable(event)] = said.as_slice() else {
        panic!("{:?}", house.names(of.case).await);
    };
    let proof = event.proof.as_ref().unwrap();
    house
        .keyring
        .verifier(SigningContext::Proof)
        .verify(
            &KeyId::parse(&proof.key_id).unwrap(),
            &proof.body,
            &proof.signature,
        )
        .unwrap();
    let body = v1::ApprovalProofBody::decode(&*proof.body).unwrap();
    assert_eq!(body.case_id, of.case.to_string());
    assert_eq!(body.decision_id, event.decision_id);
    assert_eq!(body.category(), Category::B);
    assert_eq!(body.approvers, [analyst.subject.to_string()]);
    let wrapped = WrappedKey::parse(event.wrapped_key.to_vec()).unwrap();
    let key = house.keyring.unwrap(of.case, &wrapped).unwrap();
    assert_eq!(
        body.url_commitment,
        commitment(&key.salt(), &of.url).to_vec()
    );
    let life = body.expires_at.unwrap().seconds - body.issued_at.unwrap().seconds;
    assert_eq!(life, 24 * 3600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_joins_raises_the_priority_and_disturbs_nothing() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let of = house.reported("https://host.example/1", &[]).await;
    let other = house.reported("https://host.example/2", &[]).await;
    let before = house.assessment(&analyst, of.case).await;
    let claimed = house.claim(&analyst, of.case).await.unwrap();
    let join = house.report_event(&of, &[], |report| {
        report.channel = v1::ReportChannel::ReportRemove as i32;
        report.age_band = v1::AgeBand::Under13 as i32;
    });
    house.intake_says(&[join]).await;
    let joined = house.assessment(&analyst, of.case).await;
    assert_eq!(joined.reports, 2);
    assert!(joined.self_reported && joined.priority > before.priority);

    // The claim and the version it was given with still hold.
    let decided = house
        .decide(&analyst, &claimed, not_illegal())
        .await
        .unwrap();
    house.report(&of, &[]).await;
    let after = house.assessment(&analyst, of.case).await;
    assert_eq!(after.state(), State::NotActionable);
    assert_eq!((after.reports, after.version), (3, decided.version));
    assert_eq!(house.names(of.case).await, ["CaseNotActionable"]);
    assert_eq!(house.state(&analyst, other.case).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_most_urgent_case_comes_first_and_nobody_gets_it_twice() {
    let house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Analyst]),
        house.person(&[Role::Analyst]),
    );
    for n in 0..5 {
        house
            .reported(&format!("https://host.example/{n}"), &[])
            .await;
    }
    let urgent = house.case("https://host.example/child");
    let event = house.report_event(&urgent, &[], |report| {
        report.channel = v1::ReportChannel::ReportRemove as i32;
    });
    house.intake_says(&[event]).await;

    let (first, second) = tokio::join!(house.claim_urgent(&one, 3), house.claim_urgent(&two, 3));
    let mut ids: Vec<String> = first
        .iter()
        .chain(&second)
        .map(|claimed| claimed.assessment.as_ref().unwrap().case_id.clone())
        .collect();
    assert!(ids.contains(&urgent.case.to_string()));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    assert!(house.claim_urgent(&one, 3).await.is_empty());
    // Who has it keeps it; another one is told.
    let mine = first[0]
        .assessment
        .as_ref()
        .unwrap()
        .case_id
        .parse()
        .unwrap();
    let again = house.claim(&one, mine).await.unwrap();
    assert_eq!(again.claim_token, first[0].claim_token);
    assert_eq!(
        code(&house.claim(&two, mine).await.unwrap_err()),
        "case_claimed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_decision_is_success_without_a_second_event() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let of = house.reported("https://host.example/1", &[]).await;
    let claimed = house.claim(&analyst, of.case).await.unwrap();
    let verdict = category(Category::A);
    let first = house.decide(&analyst, &claimed, verdict).await.unwrap();
    // Twice in one batch, and once more.
    let items = vec![item(&claimed, verdict), item(&claimed, verdict)];
    let answers = house.decide_all(&analyst, items).await.unwrap();
    for answer in answers {
        assert_eq!(
            answer.result.unwrap(),
            v1::decision_result::Result::Assessment(first.clone())
        );
    }
    assert_eq!(house.names(of.case).await, ["CaseActionable"]);
    let other = house.decide(&analyst, &claimed, not_illegal()).await;
    assert_eq!(other.unwrap_err(), "claim_spent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_version_and_a_foreign_token_decide_nothing() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let thief = house.person(&[Role::Analyst]);
    let of = house.reported("https://host.example/1", &[]).await;
    let good = house.reported("https://host.example/2", &[]).await;
    let claimed = house.claim(&analyst, of.case).await.unwrap();
    let neighbour = house.claim(&analyst, good.case).await.unwrap();
    assert_eq!(
        house
            .decide(&thief, &claimed, not_illegal())
            .await
            .unwrap_err(),
        "claim_lost"
    );
    let mut stale = item(&claimed, not_illegal());
    stale.version += 1;
    let unfit = item(&claimed, Verdict::Uphold(true));
    let items = vec![stale, unfit, item(&neighbour, not_illegal())];
    let answers = house.decide_all(&analyst, items).await.unwrap();
    let codes: Vec<String> = answers
        .into_iter()
        .map(|answer| match answer.result.unwrap() {
            v1::decision_result::Result::Problem(problem) => problem.code,
            v1::decision_result::Result::Assessment(_) => "decided".into(),
        })
        .collect();
    assert_eq!(codes, ["version_stale", "verdict_does_not_fit", "decided"]);
    assert!(house.names(of.case).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_passes_a_case_on_does_not_get_it_back() {
    let house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Analyst]),
        house.person(&[Role::Analyst]),
    );
    let of = house.reported("https://host.example/1", &[]).await;
    let passed = house
        .judged(&one, of.case, Verdict::SecondLook(true))
        .await
        .unwrap();
    assert_eq!(passed.state(), State::AwaitingSecond);
    assert!(house.claim_urgent(&one, 10).await.is_empty());
    assert_eq!(
        code(&house.claim(&one, of.case).await.unwrap_err()),
        "another_analyst_needed"
    );
    let decided = house
        .judged(&two, of.case, category(Category::B))
        .await
        .unwrap();
    assert_eq!(decided.state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_category_that_needs_two_analysts_gets_two() {
    let house = House::with(Config {
        second_analyst: vec![domain::word::Category::A],
        ..Config::default()
    })
    .await;
    let (one, two) = (
        house.person(&[Role::Analyst]),
        house.person(&[Role::Analyst]),
    );
    let of = house.reported("https://host.example/1", &[]).await;
    let first = house
        .judged(&one, of.case, category(Category::A))
        .await
        .unwrap();
    assert_eq!(first.state(), State::AwaitingSecond);
    assert!(house.names(of.case).await.is_empty());
    assert!(house.claim_urgent(&one, 1).await.is_empty());
    house
        .judged(&two, of.case, category(Category::A))
        .await
        .unwrap();
    let said = house.said(of.case).await;
    let [Body::CaseActionable(event)] = said.as_slice() else {
        panic!("one event");
    };
    let body = v1::ApprovalProofBody::decode(&*event.proof.as_ref().unwrap().body).unwrap();
    assert_eq!(
        body.approvers,
        [one.subject.to_string(), two.subject.to_string()]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_information_comes_with_the_next_report() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let of = house.reported("https://host.example/1", &[]).await;
    let asked = house
        .judged(&analyst, of.case, Verdict::NeedsInformation(true))
        .await
        .unwrap();
    assert_eq!(asked.state(), State::NeedsInformation);
    house.report(&of, &[]).await;
    assert_eq!(house.state(&analyst, of.case).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_runs_out_goes_back_to_the_queue() {
    let house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Analyst]),
        house.person(&[Role::Analyst]),
    );
    let of = house.reported("https://host.example/1", &[]).await;
    let claimed = house.claim(&one, of.case).await.unwrap();
    house.clock.advance(time::Duration::minutes(15));
    until("the claim is put back", async || {
        house.state(&one, of.case).await == State::Queued
    })
    .await;
    let late = house.decide(&one, &claimed, not_illegal()).await;
    assert!(["claim_lost", "claim_spent"].contains(&late.unwrap_err().as_str()));
    assert!(house.judged(&two, of.case, not_illegal()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_given_back_once_and_by_its_holder() {
    let mut house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Analyst]),
        house.person(&[Role::Analyst]),
    );
    let of = house.reported("https://host.example/1", &[]).await;
    let claimed = house.claim(&one, of.case).await.unwrap();
    let message = v1::ReleaseClaimRequest {
        case_id: of.case.to_string(),
        claim_token: claimed.claim_token.clone(),
    };
    let foreign = house.client.release_claim(two.ask(message.clone())).await;
    assert_eq!(code(&foreign.unwrap_err()), "claim_lost");
    for _ in 0..2 {
        house
            .client
            .release_claim(one.ask(message.clone()))
            .await
            .unwrap();
    }
    assert_eq!(house.state(&one, of.case).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_is_shown_for_a_reason_and_within_the_budget() {
    let mut house = House::with(Config {
        reveals_per_shift: 2,
        ..Config::default()
    })
    .await;
    let analyst = house.person(&[Role::Analyst]);
    let of = house.reported("https://host.example/secret", &[]).await;
    let ask = |reason: &str| {
        analyst.ask(v1::RevealUrlRequest {
            case_id: of.case.to_string(),
            reason: reason.into(),
        })
    };
    let unclaimed = house.client.reveal_url(ask("to assess")).await;
    assert_eq!(code(&unclaimed.unwrap_err()), "case_not_claimed");
    house.claim(&analyst, of.case).await.unwrap();
    for used in 1..=2 {
        let shown = house
            .client
            .reveal_url(ask("to see www.host.example/secret as reported"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (shown.url.as_str(), shown.used, shown.allowed),
            (of.url.as_str(), used, 2)
        );
    }
    let spent = house.client.reveal_url(ask("to assess")).await;
    assert_eq!(code(&spent.unwrap_err()), "exposure_budget_spent");
    let said = house.said(of.case).await;
    let [Body::UrlRevealed(event), Body::UrlRevealed(_)] = said.as_slice() else {
        panic!("{:?}", house.names(of.case).await);
    };
    // What a person writes may hold anything: it leaves sealed, and only so.
    assert!(event.reason.is_empty());
    let key = house.keyring.unwrap(of.case, &of.wrapped).unwrap();
    let row = event.reveal_id.parse().unwrap();
    let reason = key
        .open(Purpose::Note, of.case, row, &event.sealed_reason)
        .unwrap();
    assert_eq!(&*reason, b"to see www.host.example/secret as reported");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counts_add_up_and_pages_show_each_case_once() {
    let mut house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let mut events = Vec::new();
    for n in 0..25 {
        let of = house.case(&format!("https://host.example/{n}"));
        events.push(house.report_event(&of, &[], |_| {}));
    }
    house.intake_says(&events).await;
    for claimed in house.claim_urgent(&analyst, 3).await {
        house
            .decide(&analyst, &claimed, not_illegal())
            .await
            .unwrap();
    }
    let counts = house
        .client
        .get_verification_counts(analyst.ask(v1::GetVerificationCountsRequest {}))
        .await
        .unwrap()
        .into_inner();
    let sum: u64 = counts.by_state.iter().map(|stage| stage.count).sum();
    assert_eq!((sum, counts.cases), (25, 25));
    assert_eq!(counts.decided_by.iter().map(|by| by.count).sum::<u64>(), 3);

    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let page = house
            .client
            .list_queue(analyst.ask(v1::ListQueueRequest {
                page: Some(v1::Page { size: 5, cursor }),
                states: vec![],
            }))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(page.waiting, 22);
        for case in page.cases {
            assert!(seen.insert(case.case_id));
        }
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 22);
}
