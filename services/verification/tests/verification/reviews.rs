//! What happens to a verdict that stands: questions, withdrawal, holds, and reports after dispatch closed the case.

use domain::event::Body;
use domain::wire::timestamp;
use platform::principal::Role;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;
use proto::v1::ReviewReason;
use proto::v1::verdict::Verdict;
use uuid::Uuid;

use crate::house::{House, Person, Reported, category, code, not_illegal, until};

fn question(review: Uuid, reason: ReviewReason) -> Body {
    Body::ReviewRequested(v1::ReviewRequested {
        review_id: review.to_string(),
        reason: reason as i32,
        notice_id: Uuid::new_v4().to_string(),
        sealed_note: vec![].into(),
    })
}

async fn actionable(house: &House, analyst: &Person) -> Reported {
    let of = house.reported("https://host.example/1", &[]).await;
    house
        .judged(analyst, of.case, category(Category::B))
        .await
        .unwrap();
    of
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_analyst_upholds_a_disputed_verdict() {
    let house = House::new().await;
    let one = house.colleague(&[Role::Analyst]).await;
    let two = house.colleague(&[Role::Analyst]).await;
    let of = actionable(&house, &one).await;
    let review = Uuid::new_v4();
    let asked = question(review, ReviewReason::Disputed);
    house.dispatch_says(of.case, asked.clone()).await;
    // The same question again is no other question.
    house.dispatch_says(of.case, asked).await;
    let seen = house.assessment(&one, of.case).await;
    assert_eq!(
        (seen.state(), seen.review.as_str()),
        (State::UnderReview, "disputed")
    );
    assert_eq!(
        code(&house.claim(&one, of.case).await.unwrap_err()),
        "another_analyst_needed"
    );
    let claimed = house.claim(&two, of.case).await.unwrap();
    assert_eq!(
        house
            .decide(&two, &claimed, not_illegal())
            .await
            .unwrap_err(),
        "verdict_does_not_fit"
    );
    let upheld = house
        .decide(&two, &claimed, Verdict::Uphold(true))
        .await
        .unwrap();
    assert_eq!(
        (upheld.state(), upheld.review.as_str()),
        (State::Actionable, "")
    );
    let said = house.said(of.case).await;
    let [Body::CaseActionable(first), Body::VerdictUpheld(event)] = said.as_slice() else {
        panic!("{:?}", house.names(of.case).await);
    };
    assert_eq!(event.review_id, review.to_string());
    assert_eq!(event.decision_id, first.decision_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_nobody_else_the_same_analyst_reviews() {
    let house = House::new().await;
    let one = house.colleague(&[Role::Analyst]).await;
    let of = actionable(&house, &one).await;
    house
        .dispatch_says(of.case, question(Uuid::new_v4(), ReviewReason::Disputed))
        .await;
    let withdrawn = house
        .judged(&one, of.case, Verdict::Withdraw(true))
        .await
        .unwrap();
    assert_eq!(withdrawn.state(), State::Withdrawn);
    assert_eq!(
        house.names(of.case).await,
        ["CaseActionable", "VerdictWithdrawn"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_contact_is_a_supervisors_question() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let supervisor = house.person(&[Role::Supervisor]);
    let of = actionable(&house, &analyst).await;
    house
        .dispatch_says(of.case, question(Uuid::new_v4(), ReviewReason::NoContact))
        .await;
    assert!(house.claim_urgent(&analyst, 5).await.is_empty());
    assert_eq!(house.claim_urgent(&supervisor, 5).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_question_makes_a_decision_on_the_first_stale() {
    let house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Analyst]),
        house.person(&[Role::Analyst]),
    );
    let of = actionable(&house, &one).await;
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    house
        .dispatch_says(of.case, question(first, ReviewReason::Soft404))
        .await;
    let claimed = house.claim(&two, of.case).await.unwrap();
    house
        .dispatch_says(of.case, question(second, ReviewReason::ReappearedChanged))
        .await;
    let stale = house.decide(&two, &claimed, Verdict::Uphold(true)).await;
    assert_eq!(stale.unwrap_err(), "version_stale");
    let claimed = house.claim(&two, of.case).await.unwrap();
    house
        .decide(&two, &claimed, Verdict::Uphold(true))
        .await
        .unwrap();
    // Both are answered.
    assert_eq!(
        house.names(of.case).await,
        ["CaseActionable", "VerdictUpheld", "VerdictUpheld"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_withdraws_a_verdict_once() {
    let mut house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let supervisor = house.person(&[Role::Supervisor]);
    let of = actionable(&house, &analyst).await;
    let message = v1::WithdrawVerdictRequest {
        case_id: of.case.to_string(),
        reason: "it was the wrong page".into(),
        ..Default::default()
    };
    let other = house.person(&[Role::Analyst]);
    let forbidden = house
        .client
        .withdraw_verdict(other.ask(message.clone()))
        .await;
    assert_eq!(code(&forbidden.unwrap_err()), "undo_not_yours");
    for _ in 0..2 {
        let answer = house
            .client
            .withdraw_verdict(supervisor.ask(message.clone()))
            .await;
        let assessment = answer.unwrap().into_inner().assessment.unwrap();
        assert_eq!(assessment.state(), State::Withdrawn);
    }
    assert_eq!(
        house.names(of.case).await,
        ["CaseActionable", "VerdictWithdrawn"]
    );
    // A question about it has been answered by that.
    house
        .dispatch_says(of.case, question(Uuid::new_v4(), ReviewReason::Disputed))
        .await;
    assert_eq!(house.state(&analyst, of.case).await, State::Withdrawn);
    assert_eq!(house.parked().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_not_actionable_verdict_that_is_withdrawn_is_assessed_again_by_others() {
    let mut house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Analyst]),
        house.person(&[Role::Analyst]),
    );
    let supervisor = house.person(&[Role::Supervisor]);
    let of = house.reported("https://host.example/1", &[]).await;
    house.judged(&one, of.case, not_illegal()).await.unwrap();
    let message = v1::WithdrawVerdictRequest {
        case_id: of.case.to_string(),
        reason: "look again".into(),
        ..Default::default()
    };
    house
        .client
        .withdraw_verdict(supervisor.ask(message))
        .await
        .unwrap();
    assert_eq!(house.state(&one, of.case).await, State::Queued);
    assert!(house.claim_urgent(&one, 1).await.is_empty());
    let decided = house
        .judged(&two, of.case, category(Category::A))
        .await
        .unwrap();
    assert_eq!(decided.state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_stops_a_case_and_runs_out_by_itself() {
    let mut house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let supervisor = house.person(&[Role::Supervisor]);
    let of = house.reported("https://host.example/1", &[]).await;
    let claimed = house.claim(&analyst, of.case).await.unwrap();
    let hold = |until| v1::HoldCaseRequest {
        case_id: of.case.to_string(),
        reason: "asked by the police".into(),
        until: Some(timestamp(until)),
    };
    let now = house.clock.read();
    let past = house.client.hold_case(supervisor.ask(hold(now))).await;
    assert_eq!(code(&past.unwrap_err()), "hold_until_past");
    let until_then = now + time::Duration::hours(2);
    for _ in 0..2 {
        house
            .client
            .hold_case(supervisor.ask(hold(until_then)))
            .await
            .unwrap();
    }
    assert_eq!(house.state(&analyst, of.case).await, State::PoliceHold);
    assert_eq!(
        house
            .decide(&analyst, &claimed, not_illegal())
            .await
            .unwrap_err(),
        "claim_spent"
    );
    assert_eq!(
        code(&house.claim(&analyst, of.case).await.unwrap_err()),
        "case_on_hold"
    );
    house.clock.advance(time::Duration::hours(2));
    until("the hold runs out", async || {
        house.state(&analyst, of.case).await == State::Queued
    })
    .await;
    // Releasing what has been released is success, and says nothing more.
    let release = v1::ReleaseHoldRequest {
        case_id: of.case.to_string(),
    };
    house
        .client
        .release_hold(supervisor.ask(release))
        .await
        .unwrap();
    assert_eq!(house.names(of.case).await, ["CaseHeld", "CaseReleased"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_after_the_case_was_closed_makes_dispatch_look_again() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let of = actionable(&house, &analyst).await;
    house.report(&of, &[]).await;
    assert_eq!(house.names(of.case).await.len(), 1);
    let closed = Body::CaseClosed(v1::CaseClosed {
        reason: v1::CloseReason::Removed as i32,
        closed_at: Some(timestamp(house.clock.read())),
    });
    let sent = Body::NoticeSent(v1::NoticeSent::default());
    house.dispatch_says(of.case, sent).await;
    house.dispatch_says(of.case, closed).await;
    house.report(&of, &[]).await;
    house.clock.advance(time::Duration::hours(25));
    house.report(&of, &[]).await;
    house
        .dispatch_says(of.case, Body::CaseReopened(v1::CaseReopened { episode: 2 }))
        .await;
    house.report(&of, &[]).await;

    let said = house.said(of.case).await;
    let [
        Body::CaseActionable(first),
        Body::CaseActionable(second),
        Body::CaseActionable(third),
    ] = said.as_slice()
    else {
        panic!("{:?}", house.names(of.case).await);
    };
    assert_eq!(first.proof, second.proof);
    // The proof had expired: a new one, under the same decision.
    assert_ne!(second.proof, third.proof);
    assert_eq!(first.decision_id, third.decision_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_understood_is_parked_and_the_rest_flows() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let (bad, good) = (
        house.case("https://host.example/1"),
        house.case("https://host.example/2"),
    );
    let events = [
        // Sealed for another report: whoever moved it is not believed.
        house.report_event(&bad, &[], |report| {
            report.report_id = Uuid::new_v4().to_string();
        }),
        house.report_event(&good, &[], |_| {}),
    ];
    house.intake_says(&events).await;
    house
        .dispatch_says(
            Uuid::new_v4(),
            question(Uuid::new_v4(), ReviewReason::Onion),
        )
        .await;
    assert_eq!(house.parked().await, 2);
    assert_eq!(house.state(&analyst, good.case).await, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_heard_twice_counts_once_and_a_withdrawn_one_lowers_the_priority() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let of = house.case("https://host.example/1");
    let event = house.report_event(&of, &[], |_| {});
    let mut again = house.report_event(&of, &[], |_| {});
    again.payload.clone_from(&event.payload);
    let id = match domain::event::decode(&event.payload).unwrap() {
        Body::ReportReceived(report) => report.report_id,
        _ => unreachable!("it is a report"),
    };
    house.intake_says(&[event, again]).await;
    house.report(&of, &[]).await;
    let before = house.assessment(&analyst, of.case).await;
    assert_eq!(before.reports, 2);
    let mut withdrawal = house.report_event(&of, &[], |_| {});
    let body = Body::ReportWithdrawn(v1::ReportWithdrawn {
        report_id: id,
        ..v1::ReportWithdrawn::default()
    });
    withdrawal.kind = domain::event::name(&body);
    withdrawal.payload = domain::event::encode(body);
    house.intake_says(&[withdrawal]).await;
    let after = house.assessment(&analyst, of.case).await;
    assert!(after.priority < before.priority);
    assert_eq!(after.state(), State::Queued);
}

fn withdraw(of: &Reported) -> v1::WithdrawVerdictRequest {
    v1::WithdrawVerdictRequest {
        case_id: of.case.to_string(),
        reason: "it was the wrong page".into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_case_is_assessed_again_by_a_report_or_a_supervisor_and_by_others() {
    let mut house = House::new().await;
    let (one, two) = (
        house.colleague(&[Role::Analyst]).await,
        house.colleague(&[Role::Analyst]).await,
    );
    let supervisor = house.person(&[Role::Supervisor]);
    for by_report in [true, false] {
        let of = actionable(&house, &one).await;
        let again = v1::AssessAgainRequest {
            case_id: of.case.to_string(),
            reason: "look again".into(),
        };
        let stands = house.client.assess_again(supervisor.ask(again.clone()));
        assert_eq!(code(&stands.await.unwrap_err()), "verdict_stands");
        house
            .client
            .withdraw_verdict(supervisor.ask(withdraw(&of)))
            .await
            .unwrap();
        if by_report {
            house.report(&of, &[]).await;
        } else {
            let forbidden = house.client.assess_again(one.ask(again.clone())).await;
            assert_eq!(code(&forbidden.unwrap_err()), "role_required");
            for _ in 0..2 {
                let answer = house.client.assess_again(supervisor.ask(again.clone()));
                let assessment = answer.await.unwrap().into_inner().assessment.unwrap();
                assert_eq!(assessment.state(), State::Queued);
            }
        }
        let seen = house.assessment(&one, of.case).await;
        assert_eq!((seen.state(), seen.basis.as_str()), (State::Queued, ""));
        assert_eq!(
            code(&house.claim(&one, of.case).await.unwrap_err()),
            "another_analyst_needed"
        );
        house
            .judged(&two, of.case, category(Category::A))
            .await
            .unwrap();
        assert_eq!(
            house.names(of.case).await,
            ["CaseActionable", "VerdictWithdrawn", "CaseActionable"]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_is_withdrawn_during_a_hold_and_once() {
    let mut house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let supervisor = house.person(&[Role::Supervisor]);
    let of = actionable(&house, &analyst).await;
    let harmless = house.reported("https://host.example/2", &[]).await;
    house
        .judged(&analyst, harmless.case, not_illegal())
        .await
        .unwrap();
    let hold = v1::HoldCaseRequest {
        case_id: of.case.to_string(),
        reason: "asked by the police".into(),
        until: Some(timestamp(house.clock.read() + time::Duration::hours(2))),
    };
    house.client.hold_case(supervisor.ask(hold)).await.unwrap();
    for of in [&of, &harmless] {
        for _ in 0..2 {
            house
                .client
                .withdraw_verdict(supervisor.ask(withdraw(of)))
                .await
                .unwrap();
        }
    }
    assert_eq!(
        house.names(of.case).await,
        ["CaseActionable", "CaseHeld", "VerdictWithdrawn"]
    );
    assert_eq!(
        house.names(harmless.case).await,
        ["CaseNotActionable", "VerdictWithdrawn"]
    );
    house.clock.advance(time::Duration::hours(2));
    until("the hold runs out", async || {
        house.state(&analyst, of.case).await == State::Withdrawn
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_during_a_hold_is_told_when_the_hold_ends() {
    let mut house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let supervisor = house.person(&[Role::Supervisor]);
    let of = actionable(&house, &analyst).await;
    let closed = Body::CaseClosed(v1::CaseClosed {
        reason: v1::CloseReason::Removed as i32,
        closed_at: Some(timestamp(house.clock.read())),
    });
    house.dispatch_says(of.case, closed).await;
    let hold = v1::HoldCaseRequest {
        case_id: of.case.to_string(),
        reason: "asked by the police".into(),
        until: Some(timestamp(house.clock.read() + time::Duration::hours(2))),
    };
    house.client.hold_case(supervisor.ask(hold)).await.unwrap();
    house.report(&of, &[]).await;
    assert_eq!(house.names(of.case).await, ["CaseActionable", "CaseHeld"]);
    let release = v1::ReleaseHoldRequest {
        case_id: of.case.to_string(),
    };
    house
        .client
        .release_hold(supervisor.ask(release))
        .await
        .unwrap();
    assert_eq!(
        house.names(of.case).await,
        [
            "CaseActionable",
            "CaseHeld",
            "CaseReleased",
            "CaseActionable"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_ran_out_before_dispatch_opened_the_case_is_renewed() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let of = actionable(&house, &analyst).await;
    let opened = house.reported("https://host.example/2", &[]).await;
    house
        .judged(&analyst, opened.case, category(Category::B))
        .await
        .unwrap();
    house
        .dispatch_says(opened.case, Body::NoticeSent(v1::NoticeSent::default()))
        .await;
    house.clock.advance(time::Duration::hours(25));
    until("the verdict is said again", async || {
        house.names(of.case).await.len() == 2
    })
    .await;
    let said = house.said(of.case).await;
    let [Body::CaseActionable(first), Body::CaseActionable(second)] = said.as_slice() else {
        panic!("{:?}", house.names(of.case).await);
    };
    assert_eq!(first.decision_id, second.decision_id);
    assert_ne!(first.proof, second.proof);
    assert_eq!(house.names(opened.case).await, ["CaseActionable"]);
}
