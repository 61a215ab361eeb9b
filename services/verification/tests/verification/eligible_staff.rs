//! Who may claim a case in hotlines with few staff: a person never decides what they reported, never gives
//! both of two verdicts, and a case without eligible staff is visible as such.

use platform::principal::Role;
use proto::v1::AssessmentState as State;
use proto::v1::verdict::Verdict;
use proto::v1::{AwaitedRole, Category};
use verification::Config;

use crate::fixture::{TestStaff, TestVerification, category, code, not_illegal};

async fn two_needed_for_a() -> TestVerification {
    TestVerification::with_config(Config {
        second_analyst: vec![domain::enums::Category::A],
        ..Config::default()
    })
    .await
}

async fn two_analysts(fixture: &TestVerification) -> [TestStaff; 2] {
    [
        fixture.staff_with_account(&[Role::Analyst]).await,
        fixture.staff_with_account(&[Role::Analyst]).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyst_who_passed_a_case_on_may_give_the_second_of_two_verdicts() {
    let fixture = two_needed_for_a().await;
    let [one, two] = two_analysts(&fixture).await;
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let pass_on = Verdict::SecondOpinion(true);
    fixture
        .claim_and_decide(&one, case.id, pass_on)
        .await
        .unwrap();
    let first = fixture
        .claim_and_decide(&two, case.id, category(Category::A))
        .await;
    assert_eq!(first.unwrap().state(), State::AwaitingSecondOpinion);
    // The first analyst passes the case on again and is still the only one who may claim it.
    assert!(fixture.claim_urgent(&two, 1).await.is_empty());
    fixture
        .claim_and_decide(&one, case.id, pass_on)
        .await
        .unwrap();
    assert!(fixture.claim_urgent(&two, 1).await.is_empty());
    let claimed = fixture.claim_urgent(&one, 1).await.remove(0);
    let second = fixture.decide(&one, &claimed, category(Category::A)).await;
    assert_eq!(second.unwrap().state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_of_two_analysts_settles_a_disagreement() {
    let fixture = two_needed_for_a().await;
    let [one, two] = two_analysts(&fixture).await;
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    fixture
        .claim_and_decide(&one, case.id, category(Category::A))
        .await
        .unwrap();
    let settled = fixture
        .claim_and_decide(&two, case.id, not_illegal())
        .await
        .unwrap();
    assert_eq!(settled.state(), State::NotActionable);

    let other = fixture.report_new_case("https://host.example/2", &[]).await;
    fixture
        .claim_and_decide(&one, other.id, category(Category::A))
        .await
        .unwrap();
    let settled = fixture
        .claim_and_decide(&two, other.id, category(Category::B))
        .await;
    assert_eq!(settled.unwrap().state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_that_both_analysts_passed_on_is_open_to_both_again() {
    let fixture = TestVerification::new().await;
    let [one, two] = two_analysts(&fixture).await;
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    fixture
        .claim_and_decide(&one, case.id, category(Category::B))
        .await
        .unwrap();
    let request = proto::v1::ReviewRequested {
        review_id: uuid::Uuid::new_v4().to_string(),
        reason: proto::v1::ReviewReason::Disputed as i32,
        ..Default::default()
    };
    fixture
        .append_dispatch_event(case.id, domain::event::Body::ReviewRequested(request))
        .await;
    let pass_on = Verdict::SecondOpinion(true);
    fixture
        .claim_and_decide(&two, case.id, pass_on)
        .await
        .unwrap();
    let claimed = fixture.claim_urgent(&one, 1).await.remove(0);
    fixture.decide(&one, &claimed, pass_on).await.unwrap();
    let upheld = fixture
        .claim_and_decide(&two, case.id, Verdict::Uphold(true))
        .await;
    assert_eq!(upheld.unwrap().state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reporter_never_decides_and_a_supervisor_gives_the_second_verdict() {
    let fixture = two_needed_for_a().await;
    let [one, two] = two_analysts(&fixture).await;
    let case = fixture.new_case("https://host.example/1");
    let event = fixture.report_event(&case, &[], |report| {
        report.submitted_by = one.subject.to_string();
    });
    fixture.append_intake_events(&[event]).await;
    assert!(fixture.claim_urgent(&one, 1).await.is_empty());
    assert_eq!(
        code(&fixture.claim(&one, case.id).await.unwrap_err()),
        "another_analyst_needed"
    );
    fixture
        .claim_and_decide(&two, case.id, category(Category::A))
        .await
        .unwrap();
    // One analyst reported it, the other gave the first verdict: the case has no eligible staff and states
    // so.
    assert!(fixture.claim_urgent(&one, 1).await.is_empty());
    assert!(fixture.claim_urgent(&two, 1).await.is_empty());
    let stuck = fixture.assessment(&one, case.id).await;
    assert_eq!(stuck.waits_for(), AwaitedRole::NoEligibleStaff);
    let supervisor = fixture.staff_with_account(&[Role::Supervisor]).await;
    assert_eq!(
        fixture.assessment(&one, case.id).await.waits_for(),
        AwaitedRole::Supervisor
    );
    let claimed = fixture.claim_urgent(&supervisor, 1).await.remove(0);
    let second = fixture
        .decide(&supervisor, &claimed, category(Category::A))
        .await;
    assert_eq!(second.unwrap().state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyst_who_reports_a_case_after_claiming_it_cannot_decide_it() {
    let fixture = TestVerification::new().await;
    let [one, two] = two_analysts(&fixture).await;
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let claimed = fixture.claim(&one, case.id).await.unwrap();
    let event = fixture.report_event(&case, &[], |report| {
        report.submitted_by = one.subject.to_string();
    });
    fixture.append_intake_events(&[event]).await;
    assert_eq!(
        fixture
            .decide(&one, &claimed, not_illegal())
            .await
            .unwrap_err(),
        "another_analyst_needed"
    );
    fixture.clock.advance(time::Duration::minutes(16));
    crate::fixture::wait_until("the claim has expired", async || {
        fixture.state(&one, case.id).await == State::Queued
    })
    .await;
    assert!(
        fixture
            .claim_and_decide(&two, case.id, not_illegal())
            .await
            .is_ok()
    );
}
