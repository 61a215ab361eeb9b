//! From the first report of a case to a verdict by analysts.

use domain::event::Body;
use platform::principal::Role;
use platform::sealed::{KeyId, Purpose, SigningContext, WrappedKey, commitment};
use prost::Message;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;
use proto::v1::verdict::Verdict;
use verification::Config;

use crate::fixture::{
    TestVerification, category, code, decision_item, not_illegal, sha256, wait_until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actionable_verdict_is_emitted_with_a_valid_proof() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = fixture
        .report_new_case("https://img.host.example/a/b.jpg?c=d", &[sha256(1)])
        .await;
    let waiting = fixture.assessment(&analyst, case.id).await;
    assert_eq!(waiting.state(), State::Queued);
    assert_eq!(waiting.masked_url, "hxxps://img.host[.]example/…");
    assert_eq!(waiting.hash_kinds, [v1::HashKind::Sha256 as i32]);

    let decided = fixture
        .claim_and_decide(&analyst, case.id, category(Category::B))
        .await
        .unwrap();
    assert_eq!(decided.state(), State::Actionable);
    assert_eq!(decided.basis, "analyst");

    let events = fixture.emitted(case.id).await;
    let [Body::CaseActionable(event)] = events.as_slice() else {
        panic!("{:?}", fixture.emitted_kinds(case.id).await);
    };
    let proof = event.proof.as_ref().unwrap();
    fixture
        .keyring
        .verifier(SigningContext::Proof)
        .verify(
            &KeyId::parse(&proof.key_id).unwrap(),
            &proof.body,
            &proof.signature,
        )
        .unwrap();
    let body = v1::ApprovalProofBody::decode(&*proof.body).unwrap();
    assert_eq!(body.case_id, case.id.to_string());
    assert_eq!(body.decision_id, event.decision_id);
    assert_eq!(body.category(), Category::B);
    assert_eq!(body.approvers, [analyst.subject.to_string()]);
    let wrapped = WrappedKey::parse(event.wrapped_key.to_vec()).unwrap();
    let key = fixture.keyring.unwrap(case.id, &wrapped).unwrap();
    assert_eq!(
        body.url_commitment,
        commitment(&key.salt(), &case.url).to_vec()
    );
    let life = body.expires_at.unwrap().seconds - body.issued_at.unwrap().seconds;
    assert_eq!(life, 24 * 3600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_report_raises_the_priority_and_changes_no_decision() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let other = fixture.report_new_case("https://host.example/2", &[]).await;
    let before = fixture.assessment(&analyst, case.id).await;
    let claimed = fixture.claim(&analyst, case.id).await.unwrap();
    let join = fixture.report_event(&case, &[], |report| {
        report.channel = v1::ReportChannel::ReportRemove as i32;
        report.age_band = v1::AgeBand::Under13 as i32;
    });
    fixture.append_intake_events(&[join]).await;
    let joined = fixture.assessment(&analyst, case.id).await;
    assert_eq!(joined.reports, 2);
    assert!(joined.self_reported && joined.priority > before.priority);

    // The claim and the version that it was made with are still valid.
    let decided = fixture
        .decide(&analyst, &claimed, not_illegal())
        .await
        .unwrap();
    fixture.report(&case, &[]).await;
    let after = fixture.assessment(&analyst, case.id).await;
    assert_eq!(after.state(), State::NotActionable);
    assert_eq!((after.reports, after.version), (3, decided.version));
    assert_eq!(fixture.emitted_kinds(case.id).await, ["CaseNotActionable"]);
    assert_eq!(fixture.state(&analyst, other.id).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_most_urgent_case_comes_first_and_is_claimed_once() {
    let fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Analyst]),
        fixture.staff(&[Role::Analyst]),
    );
    for n in 0..5 {
        fixture
            .report_new_case(&format!("https://host.example/{n}"), &[])
            .await;
    }
    let urgent = fixture.new_case("https://host.example/child");
    let event = fixture.report_event(&urgent, &[], |report| {
        report.channel = v1::ReportChannel::ReportRemove as i32;
    });
    fixture.append_intake_events(&[event]).await;

    let (first, second) =
        tokio::join!(fixture.claim_urgent(&one, 3), fixture.claim_urgent(&two, 3));
    let mut ids: Vec<String> = first
        .iter()
        .chain(&second)
        .map(|claimed| claimed.assessment.as_ref().unwrap().case_id.clone())
        .collect();
    assert!(ids.contains(&urgent.id.to_string()));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    assert!(fixture.claim_urgent(&one, 3).await.is_empty());
    // The claimant keeps the claim; another analyst is refused.
    let mine = first[0]
        .assessment
        .as_ref()
        .unwrap()
        .case_id
        .parse()
        .unwrap();
    let again = fixture.claim(&one, mine).await.unwrap();
    assert_eq!(again.claim_token, first[0].claim_token);
    assert_eq!(
        code(&fixture.claim(&two, mine).await.unwrap_err()),
        "case_claimed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_decision_is_success_without_a_second_event() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let claimed = fixture.claim(&analyst, case.id).await.unwrap();
    let verdict = category(Category::A);
    let first = fixture.decide(&analyst, &claimed, verdict).await.unwrap();
    // Twice in one batch, and once more.
    let decisions = vec![
        decision_item(&claimed, verdict),
        decision_item(&claimed, verdict),
    ];
    let results = fixture.decide_all(&analyst, decisions).await.unwrap();
    for response in results {
        assert_eq!(
            response.result.unwrap(),
            v1::decision_result::Result::Assessment(first.clone())
        );
    }
    assert_eq!(fixture.emitted_kinds(case.id).await, ["CaseActionable"]);
    let other = fixture.decide(&analyst, &claimed, not_illegal()).await;
    assert_eq!(other.unwrap_err(), "claim_spent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_version_and_a_foreign_token_decide_nothing() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let other = fixture.staff(&[Role::Analyst]);
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let good = fixture.report_new_case("https://host.example/2", &[]).await;
    let claimed = fixture.claim(&analyst, case.id).await.unwrap();
    let valid = fixture.claim(&analyst, good.id).await.unwrap();
    assert_eq!(
        fixture
            .decide(&other, &claimed, not_illegal())
            .await
            .unwrap_err(),
        "claim_lost"
    );
    let mut stale = decision_item(&claimed, not_illegal());
    stale.version += 1;
    let not_allowed = decision_item(&claimed, Verdict::Uphold(true));
    let decisions = vec![stale, not_allowed, decision_item(&valid, not_illegal())];
    let results = fixture.decide_all(&analyst, decisions).await.unwrap();
    let codes: Vec<String> = results
        .into_iter()
        .map(|response| match response.result.unwrap() {
            v1::decision_result::Result::Problem(problem) => problem.code,
            v1::decision_result::Result::Assessment(_) => "decided".into(),
        })
        .collect();
    assert_eq!(codes, ["version_stale", "verdict_does_not_fit", "decided"]);
    assert!(fixture.emitted_kinds(case.id).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyst_who_passes_a_case_on_does_not_get_it_back() {
    let fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Analyst]),
        fixture.staff(&[Role::Analyst]),
    );
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let passed = fixture
        .claim_and_decide(&one, case.id, Verdict::SecondOpinion(true))
        .await
        .unwrap();
    assert_eq!(passed.state(), State::AwaitingSecondOpinion);
    assert!(fixture.claim_urgent(&one, 10).await.is_empty());
    assert_eq!(
        code(&fixture.claim(&one, case.id).await.unwrap_err()),
        "another_analyst_needed"
    );
    let decided = fixture
        .claim_and_decide(&two, case.id, category(Category::B))
        .await
        .unwrap();
    assert_eq!(decided.state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_category_that_needs_two_analysts_is_confirmed_by_a_second() {
    let fixture = TestVerification::with_config(Config {
        second_analyst: vec![domain::enums::Category::A],
        ..Config::default()
    })
    .await;
    let (one, two) = (
        fixture.staff(&[Role::Analyst]),
        fixture.staff(&[Role::Analyst]),
    );
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let first = fixture
        .claim_and_decide(&one, case.id, category(Category::A))
        .await
        .unwrap();
    assert_eq!(first.state(), State::AwaitingSecondOpinion);
    assert!(fixture.emitted_kinds(case.id).await.is_empty());
    assert!(fixture.claim_urgent(&one, 1).await.is_empty());
    fixture
        .claim_and_decide(&two, case.id, category(Category::A))
        .await
        .unwrap();
    let events = fixture.emitted(case.id).await;
    let [Body::CaseActionable(event)] = events.as_slice() else {
        panic!("one event");
    };
    let body = v1::ApprovalProofBody::decode(&*event.proof.as_ref().unwrap().body).unwrap();
    assert_eq!(
        body.approvers,
        [one.subject.to_string(), two.subject.to_string()]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_report_puts_a_case_back_that_needs_information() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let waiting = fixture
        .claim_and_decide(&analyst, case.id, Verdict::NeedsInformation(true))
        .await
        .unwrap();
    assert_eq!(waiting.state(), State::NeedsInformation);
    fixture.report(&case, &[]).await;
    assert_eq!(fixture.state(&analyst, case.id).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_claim_puts_the_case_back_into_the_queue() {
    let fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Analyst]),
        fixture.staff(&[Role::Analyst]),
    );
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let claimed = fixture.claim(&one, case.id).await.unwrap();
    fixture.clock.advance(time::Duration::minutes(15));
    wait_until("the claim has expired", async || {
        fixture.state(&one, case.id).await == State::Queued
    })
    .await;
    let late = fixture.decide(&one, &claimed, not_illegal()).await;
    assert!(["claim_lost", "claim_spent"].contains(&late.unwrap_err().as_str()));
    assert!(
        fixture
            .claim_and_decide(&two, case.id, not_illegal())
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_released_once_and_by_its_claimant() {
    let mut fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Analyst]),
        fixture.staff(&[Role::Analyst]),
    );
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let claimed = fixture.claim(&one, case.id).await.unwrap();
    let message = v1::ReleaseClaimRequest {
        case_id: case.id.to_string(),
        claim_token: claimed.claim_token.clone(),
    };
    let foreign = fixture
        .client
        .release_claim(two.request(message.clone()))
        .await;
    assert_eq!(code(&foreign.unwrap_err()), "claim_lost");
    for _ in 0..2 {
        fixture
            .client
            .release_claim(one.request(message.clone()))
            .await
            .unwrap();
    }
    assert_eq!(fixture.state(&one, case.id).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_is_revealed_with_a_sealed_reason_within_the_exposure_budget() {
    let mut fixture = TestVerification::with_config(Config {
        reveals_per_shift: 2,
        ..Config::default()
    })
    .await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = fixture
        .report_new_case("https://host.example/secret", &[])
        .await;
    let reveal = |reason: &str| {
        analyst.request(v1::RevealUrlRequest {
            case_id: case.id.to_string(),
            reason: reason.into(),
        })
    };
    let unclaimed = fixture.client.reveal_url(reveal("to assess")).await;
    assert_eq!(code(&unclaimed.unwrap_err()), "case_not_claimed");
    fixture.claim(&analyst, case.id).await.unwrap();
    for used in 1..=2 {
        let shown = fixture
            .client
            .reveal_url(reveal("to see www.host.example/secret as reported"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (shown.url.as_str(), shown.used, shown.allowed),
            (case.url.as_str(), used, 2)
        );
    }
    let spent = fixture.client.reveal_url(reveal("to assess")).await;
    assert_eq!(code(&spent.unwrap_err()), "exposure_budget_spent");
    let events = fixture.emitted(case.id).await;
    let [Body::UrlRevealed(event), Body::UrlRevealed(_)] = events.as_slice() else {
        panic!("{:?}", fixture.emitted_kinds(case.id).await);
    };
    // Free text may contain anything, so the reason is emitted only sealed.
    assert!(event.reason.is_empty());
    let key = fixture.keyring.unwrap(case.id, &case.wrapped).unwrap();
    let row = event.reveal_id.parse().unwrap();
    let reason = key
        .open(Purpose::Note, case.id, row, &event.sealed_reason)
        .unwrap();
    assert_eq!(&*reason, b"to see www.host.example/secret as reported");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_add_up_and_pages_list_each_case_once() {
    let mut fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let mut events = Vec::new();
    for n in 0..25 {
        let case = fixture.new_case(&format!("https://host.example/{n}"));
        events.push(fixture.report_event(&case, &[], |_| {}));
    }
    fixture.append_intake_events(&events).await;
    for claimed in fixture.claim_urgent(&analyst, 3).await {
        fixture
            .decide(&analyst, &claimed, not_illegal())
            .await
            .unwrap();
    }
    let counts = fixture
        .client
        .get_verification_counts(analyst.request(v1::GetVerificationCountsRequest {}))
        .await
        .unwrap()
        .into_inner();
    let sum: u64 = counts.by_state.iter().map(|stage| stage.count).sum();
    assert_eq!((sum, counts.cases), (25, 25));
    assert_eq!(counts.decided_by.iter().map(|by| by.count).sum::<u64>(), 3);

    let (mut seen, mut page_token) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let page = fixture
            .client
            .list_queue(analyst.request(v1::ListQueueRequest {
                page_size: 5,
                page_token,
                states: vec![],
            }))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(page.waiting, 22);
        for case in page.cases {
            assert!(seen.insert(case.case_id));
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 22);
}
