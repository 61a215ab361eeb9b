//! What happens to a verdict later: reviews, withdrawal, police holds, and reports after dispatch closed the
//! case.

use domain::event::Body;
use domain::wire::timestamp;
use platform::principal::Role;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;
use proto::v1::ReviewReason;
use proto::v1::verdict::Verdict;
use uuid::Uuid;

use crate::fixture::{
    TestCase, TestStaff, TestVerification, category, code, not_illegal, wait_until,
};

fn review_requested(review: Uuid, reason: ReviewReason) -> Body {
    Body::ReviewRequested(v1::ReviewRequested {
        review_id: review.to_string(),
        reason: reason as i32,
        notice_id: Uuid::new_v4().to_string(),
        sealed_note: vec![].into(),
    })
}

async fn actionable(fixture: &TestVerification, analyst: &TestStaff) -> TestCase {
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    fixture
        .claim_and_decide(analyst, case.id, category(Category::B))
        .await
        .unwrap();
    case
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_analyst_upholds_a_disputed_verdict() {
    let fixture = TestVerification::new().await;
    let one = fixture.staff_with_account(&[Role::Analyst]).await;
    let two = fixture.staff_with_account(&[Role::Analyst]).await;
    let case = actionable(&fixture, &one).await;
    let review = Uuid::new_v4();
    let request = review_requested(review, ReviewReason::Disputed);
    fixture
        .append_dispatch_event(case.id, request.clone())
        .await;
    // A repeated request opens no second review.
    fixture.append_dispatch_event(case.id, request).await;
    let assessment = fixture.assessment(&one, case.id).await;
    assert_eq!(
        (assessment.state(), assessment.review()),
        (State::UnderReview, ReviewReason::Disputed)
    );
    assert_eq!(
        code(&fixture.claim(&one, case.id).await.unwrap_err()),
        "another_analyst_needed"
    );
    let claimed = fixture.claim(&two, case.id).await.unwrap();
    assert_eq!(
        fixture
            .decide(&two, &claimed, not_illegal())
            .await
            .unwrap_err(),
        "verdict_does_not_fit"
    );
    let upheld = fixture
        .decide(&two, &claimed, Verdict::Uphold(true))
        .await
        .unwrap();
    assert_eq!(
        (upheld.state(), upheld.review()),
        (State::Actionable, ReviewReason::Unspecified)
    );
    let events = fixture.emitted(case.id).await;
    let [Body::CaseActionable(first), Body::VerdictUpheld(event)] = events.as_slice() else {
        panic!("{:?}", fixture.emitted_kinds(case.id).await);
    };
    assert_eq!(event.review_id, review.to_string());
    assert_eq!(event.decision_id, first.decision_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_analyst_reviews_if_there_is_no_other() {
    let fixture = TestVerification::new().await;
    let one = fixture.staff_with_account(&[Role::Analyst]).await;
    let case = actionable(&fixture, &one).await;
    fixture
        .append_dispatch_event(
            case.id,
            review_requested(Uuid::new_v4(), ReviewReason::Disputed),
        )
        .await;
    let withdrawn = fixture
        .claim_and_decide(&one, case.id, Verdict::Withdraw(true))
        .await
        .unwrap();
    assert_eq!(withdrawn.state(), State::Withdrawn);
    assert_eq!(
        fixture.emitted_kinds(case.id).await,
        ["CaseActionable", "VerdictWithdrawn"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_for_a_missing_contact_goes_to_a_supervisor() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let supervisor = fixture.staff(&[Role::Supervisor]);
    let case = actionable(&fixture, &analyst).await;
    fixture
        .append_dispatch_event(
            case.id,
            review_requested(Uuid::new_v4(), ReviewReason::NoContact),
        )
        .await;
    assert!(fixture.claim_urgent(&analyst, 5).await.is_empty());
    assert_eq!(fixture.claim_urgent(&supervisor, 5).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_review_makes_a_decision_on_the_first_stale() {
    let fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Analyst]),
        fixture.staff(&[Role::Analyst]),
    );
    let case = actionable(&fixture, &one).await;
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    fixture
        .append_dispatch_event(case.id, review_requested(first, ReviewReason::Soft404))
        .await;
    let claimed = fixture.claim(&two, case.id).await.unwrap();
    fixture
        .append_dispatch_event(
            case.id,
            review_requested(second, ReviewReason::ReappearedChanged),
        )
        .await;
    let stale = fixture.decide(&two, &claimed, Verdict::Uphold(true)).await;
    assert_eq!(stale.unwrap_err(), "version_stale");
    let claimed = fixture.claim(&two, case.id).await.unwrap();
    fixture
        .decide(&two, &claimed, Verdict::Uphold(true))
        .await
        .unwrap();
    // Both reviews are closed.
    assert_eq!(
        fixture.emitted_kinds(case.id).await,
        ["CaseActionable", "VerdictUpheld", "VerdictUpheld"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_withdraws_a_verdict_once() {
    let mut fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let supervisor = fixture.staff(&[Role::Supervisor]);
    let case = actionable(&fixture, &analyst).await;
    let message = v1::WithdrawVerdictRequest {
        case_id: case.id.to_string(),
        reason: "it was the wrong page".into(),
        ..Default::default()
    };
    let other = fixture.staff(&[Role::Analyst]);
    let forbidden = fixture
        .client
        .withdraw_verdict(other.request(message.clone()))
        .await;
    assert_eq!(code(&forbidden.unwrap_err()), "undo_not_yours");
    for _ in 0..2 {
        let response = fixture
            .client
            .withdraw_verdict(supervisor.request(message.clone()))
            .await;
        let assessment = response.unwrap().into_inner().assessment.unwrap();
        assert_eq!(assessment.state(), State::Withdrawn);
    }
    assert_eq!(
        fixture.emitted_kinds(case.id).await,
        ["CaseActionable", "VerdictWithdrawn"]
    );
    // A later request for a review has no effect.
    fixture
        .append_dispatch_event(
            case.id,
            review_requested(Uuid::new_v4(), ReviewReason::Disputed),
        )
        .await;
    assert_eq!(fixture.state(&analyst, case.id).await, State::Withdrawn);
    assert_eq!(fixture.parked().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_whose_not_actionable_verdict_is_withdrawn_is_assessed_again_by_others() {
    let mut fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Analyst]),
        fixture.staff(&[Role::Analyst]),
    );
    let supervisor = fixture.staff(&[Role::Supervisor]);
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    fixture
        .claim_and_decide(&one, case.id, not_illegal())
        .await
        .unwrap();
    let message = v1::WithdrawVerdictRequest {
        case_id: case.id.to_string(),
        reason: "assess again".into(),
        ..Default::default()
    };
    fixture
        .client
        .withdraw_verdict(supervisor.request(message))
        .await
        .unwrap();
    assert_eq!(fixture.state(&one, case.id).await, State::Queued);
    assert!(fixture.claim_urgent(&one, 1).await.is_empty());
    let decided = fixture
        .claim_and_decide(&two, case.id, category(Category::A))
        .await
        .unwrap();
    assert_eq!(decided.state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_police_hold_stops_a_case_and_ends_by_itself() {
    let mut fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let supervisor = fixture.staff(&[Role::Supervisor]);
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let claimed = fixture.claim(&analyst, case.id).await.unwrap();
    let police_hold = |until| v1::HoldCaseRequest {
        case_id: case.id.to_string(),
        reason: "asked by the police".into(),
        until: Some(timestamp(until)),
    };
    let now = fixture.clock.read();
    let past = fixture
        .client
        .hold_case(supervisor.request(police_hold(now)))
        .await;
    let past = platform::error::Problem::from(&past.unwrap_err());
    assert_eq!(past.code, "hold_until_past");
    assert_eq!(past.field.as_deref(), Some("until"));
    let until_then = now + time::Duration::hours(2);
    for _ in 0..2 {
        fixture
            .client
            .hold_case(supervisor.request(police_hold(until_then)))
            .await
            .unwrap();
    }
    assert_eq!(fixture.state(&analyst, case.id).await, State::PoliceHold);
    assert_eq!(
        fixture
            .decide(&analyst, &claimed, not_illegal())
            .await
            .unwrap_err(),
        "claim_spent"
    );
    assert_eq!(
        code(&fixture.claim(&analyst, case.id).await.unwrap_err()),
        "case_on_hold"
    );
    fixture.clock.advance(time::Duration::hours(2));
    wait_until("the hold has ended", async || {
        fixture.state(&analyst, case.id).await == State::Queued
    })
    .await;
    // Releasing a released hold is a success and emits nothing.
    let release = v1::ReleaseHoldRequest {
        case_id: case.id.to_string(),
    };
    fixture
        .client
        .release_hold(supervisor.request(release))
        .await
        .unwrap();
    assert_eq!(
        fixture.emitted_kinds(case.id).await,
        ["CaseHeld", "CaseReleased"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_of_a_closed_case_is_announced_to_dispatch_again() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = actionable(&fixture, &analyst).await;
    fixture.report(&case, &[]).await;
    assert_eq!(fixture.emitted_kinds(case.id).await.len(), 1);
    let closed = Body::CaseClosed(v1::CaseClosed {
        reason: v1::CloseReason::Removed as i32,
        closed_at: Some(timestamp(fixture.clock.read())),
    });
    let sent = Body::NoticeSent(v1::NoticeSent::default());
    fixture.append_dispatch_event(case.id, sent).await;
    fixture.append_dispatch_event(case.id, closed).await;
    fixture.report(&case, &[]).await;
    fixture.clock.advance(time::Duration::hours(25));
    fixture.report(&case, &[]).await;
    fixture
        .append_dispatch_event(case.id, Body::CaseReopened(v1::CaseReopened { episode: 2 }))
        .await;
    fixture.report(&case, &[]).await;

    let events = fixture.emitted(case.id).await;
    let [
        Body::CaseActionable(first),
        Body::CaseActionable(second),
        Body::CaseActionable(third),
    ] = events.as_slice()
    else {
        panic!("{:?}", fixture.emitted_kinds(case.id).await);
    };
    assert_eq!(first.proof, second.proof);
    // The proof had expired: there is a new one of the same decision.
    assert_ne!(second.proof, third.proof);
    assert_eq!(first.decision_id, third.decision_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_event_is_parked_and_the_others_are_applied() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let (bad, good) = (
        fixture.new_case("https://host.example/1"),
        fixture.new_case("https://host.example/2"),
    );
    let events = [
        // Sealed for another report, so that it cannot be opened.
        fixture.report_event(&bad, &[], |report| {
            report.report_id = Uuid::new_v4().to_string();
        }),
        fixture.report_event(&good, &[], |_| {}),
    ];
    fixture.append_intake_events(&events).await;
    fixture
        .append_dispatch_event(
            Uuid::new_v4(),
            review_requested(Uuid::new_v4(), ReviewReason::Onion),
        )
        .await;
    assert_eq!(fixture.parked().await, 2);
    assert_eq!(fixture.state(&analyst, good.id).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redelivered_report_counts_once_and_a_withdrawn_one_lowers_the_priority() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = fixture.new_case("https://host.example/1");
    let event = fixture.report_event(&case, &[], |_| {});
    let mut again = fixture.report_event(&case, &[], |_| {});
    again.payload.clone_from(&event.payload);
    let id = match domain::event::decode(&event.payload).unwrap() {
        Body::ReportReceived(report) => report.report_id,
        _ => unreachable!("it is a report"),
    };
    fixture.append_intake_events(&[event, again]).await;
    fixture.report(&case, &[]).await;
    let before = fixture.assessment(&analyst, case.id).await;
    assert_eq!(before.reports, 2);
    let mut withdrawal = fixture.report_event(&case, &[], |_| {});
    let body = Body::ReportWithdrawn(v1::ReportWithdrawn {
        report_id: id,
        ..v1::ReportWithdrawn::default()
    });
    withdrawal.kind = domain::event::name(&body);
    withdrawal.payload = domain::event::encode(body);
    fixture.append_intake_events(&[withdrawal]).await;
    let after = fixture.assessment(&analyst, case.id).await;
    assert!(after.priority < before.priority);
    assert_eq!(after.state(), State::Queued);
}

fn withdraw(case: &TestCase) -> v1::WithdrawVerdictRequest {
    v1::WithdrawVerdictRequest {
        case_id: case.id.to_string(),
        reason: "it was the wrong page".into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_case_is_assessed_again_after_a_report_or_a_request_by_others() {
    let mut fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff_with_account(&[Role::Analyst]).await,
        fixture.staff_with_account(&[Role::Analyst]).await,
    );
    let supervisor = fixture.staff(&[Role::Supervisor]);
    for by_report in [true, false] {
        let case = actionable(&fixture, &one).await;
        let again = v1::AssessAgainRequest {
            case_id: case.id.to_string(),
            reason: "assess again".into(),
        };
        let stands = fixture
            .client
            .assess_again(supervisor.request(again.clone()));
        assert_eq!(code(&stands.await.unwrap_err()), "verdict_stands");
        fixture
            .client
            .withdraw_verdict(supervisor.request(withdraw(&case)))
            .await
            .unwrap();
        if by_report {
            fixture.report(&case, &[]).await;
        } else {
            let forbidden = fixture
                .client
                .assess_again(one.request(again.clone()))
                .await;
            assert_eq!(code(&forbidden.unwrap_err()), "role_required");
            for _ in 0..2 {
                let response = fixture
                    .client
                    .assess_again(supervisor.request(again.clone()));
                let assessment = response.await.unwrap().into_inner().assessment.unwrap();
                assert_eq!(assessment.state(), State::Queued);
            }
        }
        let assessment = fixture.assessment(&one, case.id).await;
        assert_eq!(
            (assessment.state(), assessment.basis.as_str()),
            (State::Queued, "")
        );
        assert_eq!(
            code(&fixture.claim(&one, case.id).await.unwrap_err()),
            "another_analyst_needed"
        );
        fixture
            .claim_and_decide(&two, case.id, category(Category::A))
            .await
            .unwrap();
        assert_eq!(
            fixture.emitted_kinds(case.id).await,
            ["CaseActionable", "VerdictWithdrawn", "CaseActionable"]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_is_withdrawn_once_even_during_a_police_hold() {
    let mut fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let supervisor = fixture.staff(&[Role::Supervisor]);
    let case = actionable(&fixture, &analyst).await;
    let harmless = fixture.report_new_case("https://host.example/2", &[]).await;
    fixture
        .claim_and_decide(&analyst, harmless.id, not_illegal())
        .await
        .unwrap();
    let police_hold = v1::HoldCaseRequest {
        case_id: case.id.to_string(),
        reason: "asked by the police".into(),
        until: Some(timestamp(fixture.clock.read() + time::Duration::hours(2))),
    };
    fixture
        .client
        .hold_case(supervisor.request(police_hold))
        .await
        .unwrap();
    for case in [&case, &harmless] {
        for _ in 0..2 {
            fixture
                .client
                .withdraw_verdict(supervisor.request(withdraw(case)))
                .await
                .unwrap();
        }
    }
    assert_eq!(
        fixture.emitted_kinds(case.id).await,
        ["CaseActionable", "CaseHeld", "VerdictWithdrawn"]
    );
    assert_eq!(
        fixture.emitted_kinds(harmless.id).await,
        ["CaseNotActionable", "VerdictWithdrawn"]
    );
    fixture.clock.advance(time::Duration::hours(2));
    wait_until("the hold has ended", async || {
        fixture.state(&analyst, case.id).await == State::Withdrawn
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_during_a_police_hold_is_announced_when_it_ends() {
    let mut fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let supervisor = fixture.staff(&[Role::Supervisor]);
    let case = actionable(&fixture, &analyst).await;
    let closed = Body::CaseClosed(v1::CaseClosed {
        reason: v1::CloseReason::Removed as i32,
        closed_at: Some(timestamp(fixture.clock.read())),
    });
    fixture.append_dispatch_event(case.id, closed).await;
    let police_hold = v1::HoldCaseRequest {
        case_id: case.id.to_string(),
        reason: "asked by the police".into(),
        until: Some(timestamp(fixture.clock.read() + time::Duration::hours(2))),
    };
    fixture
        .client
        .hold_case(supervisor.request(police_hold))
        .await
        .unwrap();
    fixture.report(&case, &[]).await;
    assert_eq!(
        fixture.emitted_kinds(case.id).await,
        ["CaseActionable", "CaseHeld"]
    );
    let release = v1::ReleaseHoldRequest {
        case_id: case.id.to_string(),
    };
    fixture
        .client
        .release_hold(supervisor.request(release))
        .await
        .unwrap();
    assert_eq!(
        fixture.emitted_kinds(case.id).await,
        [
            "CaseActionable",
            "CaseHeld",
            "CaseReleased",
            "CaseActionable"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_expired_before_dispatch_opened_the_case_is_renewed() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = actionable(&fixture, &analyst).await;
    let opened = fixture.report_new_case("https://host.example/2", &[]).await;
    fixture
        .claim_and_decide(&analyst, opened.id, category(Category::B))
        .await
        .unwrap();
    fixture
        .append_dispatch_event(opened.id, Body::NoticeSent(v1::NoticeSent::default()))
        .await;
    fixture.clock.advance(time::Duration::hours(25));
    wait_until("the verdict is emitted again", async || {
        fixture.emitted_kinds(case.id).await.len() == 2
    })
    .await;
    let events = fixture.emitted(case.id).await;
    let [Body::CaseActionable(first), Body::CaseActionable(second)] = events.as_slice() else {
        panic!("{:?}", fixture.emitted_kinds(case.id).await);
    };
    assert_eq!(first.decision_id, second.decision_id);
    assert_ne!(first.proof, second.proof);
    assert_eq!(fixture.emitted_kinds(opened.id).await, ["CaseActionable"]);
}
