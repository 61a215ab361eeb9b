//! Reviews of a changed page that end as offline: the verdict stands, and the page no longer shows the
//! material.

use domain::event::Body;
use platform::principal::Role;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;
use proto::v1::ReviewReason;
use proto::v1::verdict::Verdict;
use uuid::Uuid;

use crate::fixture::{TestCase, TestStaff, TestVerification, category, decision_item, not_illegal};

const OFFLINE: Verdict = Verdict::Offline(true);

async fn actionable(fixture: &TestVerification, analyst: &TestStaff) -> TestCase {
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    fixture
        .claim_and_decide(analyst, case.id, category(Category::B))
        .await
        .unwrap();
    case
}

/// Dispatch requests a review; returns its id.
async fn request_review(fixture: &TestVerification, case: &TestCase, reason: ReviewReason) -> Uuid {
    let review = Uuid::new_v4();
    let body = Body::ReviewRequested(v1::ReviewRequested {
        review_id: review.to_string(),
        reason: reason as i32,
        ..Default::default()
    });
    fixture.append_dispatch_event(case.id, body).await;
    review
}

async fn outcome(fixture: &TestVerification, review: Uuid) -> Option<String> {
    sqlx::query_scalar("select outcome from review where review_id = $1")
        .bind(review)
        .fetch_one(&fixture.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_page_is_reported_offline_once_and_the_verdict_stands() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let case = actionable(&fixture, &analyst).await;
    for reason in [ReviewReason::Soft404, ReviewReason::ReappearedChanged] {
        let before = fixture.emitted(case.id).await.len();
        let review = request_review(&fixture, &case, reason).await;
        let claimed = fixture.claim(&analyst, case.id).await.unwrap();
        let first = fixture.decide(&analyst, &claimed, OFFLINE).await.unwrap();
        assert_eq!(
            (first.state(), first.review(), first.category()),
            (State::Actionable, ReviewReason::Unspecified, Category::B)
        );
        // A repeated decision has the same result; a different one is refused.
        let again = fixture.decide(&analyst, &claimed, OFFLINE).await.unwrap();
        assert_eq!(again, first);
        let other = fixture
            .decide(&analyst, &claimed, Verdict::Uphold(true))
            .await;
        assert_eq!(other.unwrap_err(), "claim_spent");

        let events = fixture.emitted(case.id).await;
        let [Body::VerdictUpheld(event)] = &events[before..] else {
            panic!("{:?}", fixture.emitted_kinds(case.id).await);
        };
        assert_eq!(
            (event.review_id.as_str(), event.offline),
            (review.to_string().as_str(), true)
        );
        assert!(!event.decision_id.is_empty());
        assert_eq!(outcome(&fixture, review).await.as_deref(), Some("offline"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_dispute_of_the_same_case_is_upheld() {
    let fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Analyst]),
        fixture.staff(&[Role::Analyst]),
    );
    let case = actionable(&fixture, &one).await;
    let page = request_review(&fixture, &case, ReviewReason::Soft404).await;
    let dispute = request_review(&fixture, &case, ReviewReason::Disputed).await;
    fixture
        .claim_and_decide(&two, case.id, OFFLINE)
        .await
        .unwrap();
    let events = fixture.emitted(case.id).await;
    let mut results: Vec<(String, bool)> = events
        .into_iter()
        .filter_map(|body| match body {
            Body::VerdictUpheld(event) => Some((event.review_id, event.offline)),
            _ => None,
        })
        .collect();
    results.sort();
    let mut expected = vec![(page.to_string(), true), (dispute.to_string(), false)];
    expected.sort();
    assert_eq!(results, expected);
    assert_eq!(outcome(&fixture, page).await.as_deref(), Some("offline"));
    assert_eq!(outcome(&fixture, dispute).await.as_deref(), Some("upheld"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline_is_refused_without_an_open_review_of_a_changed_page() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let supervisor = fixture.staff(&[Role::Supervisor]);
    let undecided = fixture.report_new_case("https://host.example/2", &[]).await;
    let refused = fixture
        .claim_and_decide(&analyst, undecided.id, OFFLINE)
        .await;
    assert_eq!(refused.unwrap_err(), "verdict_does_not_fit");

    // A closed review of a changed page does not count.
    let disputed = actionable(&fixture, &analyst).await;
    request_review(&fixture, &disputed, ReviewReason::Soft404).await;
    fixture
        .claim_and_decide(&analyst, disputed.id, Verdict::Uphold(true))
        .await
        .unwrap();
    let review = request_review(&fixture, &disputed, ReviewReason::Disputed).await;
    let other = fixture.staff(&[Role::Analyst]);
    let refused = fixture.claim_and_decide(&other, disputed.id, OFFLINE).await;
    assert_eq!(refused.unwrap_err(), "page_not_in_question");
    assert_eq!(outcome(&fixture, review).await, None);

    for reason in [ReviewReason::NoContact, ReviewReason::Onion] {
        let case = actionable(&fixture, &analyst).await;
        request_review(&fixture, &case, reason).await;
        let refused = fixture
            .claim_and_decide(&supervisor, case.id, OFFLINE)
            .await;
        assert_eq!(refused.unwrap_err(), "page_not_in_question");
        assert_eq!(fixture.emitted_kinds(case.id).await, ["CaseActionable"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_decision_keeps_its_claim_and_does_not_affect_the_others() {
    let fixture = TestVerification::new().await;
    let (one, two) = (
        fixture.staff(&[Role::Analyst]),
        fixture.staff(&[Role::Analyst]),
    );
    let (disputed, changed) = (
        actionable(&fixture, &one).await,
        actionable(&fixture, &one).await,
    );
    request_review(&fixture, &disputed, ReviewReason::Disputed).await;
    request_review(&fixture, &changed, ReviewReason::ReappearedChanged).await;
    let first = fixture.claim(&two, disputed.id).await.unwrap();
    let second = fixture.claim(&two, changed.id).await.unwrap();
    let decisions = vec![
        decision_item(&first, OFFLINE),
        decision_item(&second, OFFLINE),
        decision_item(&second, OFFLINE),
    ];
    let results = fixture.decide_all(&two, decisions).await.unwrap();
    let codes: Vec<String> = results
        .into_iter()
        .map(|response| match response.result.unwrap() {
            v1::decision_result::Result::Problem(problem) => problem.code,
            v1::decision_result::Result::Assessment(_) => "decided".into(),
        })
        .collect();
    assert_eq!(codes, ["page_not_in_question", "decided", "decided"]);
    assert_eq!(
        fixture.emitted_kinds(changed.id).await,
        ["CaseActionable", "VerdictUpheld"]
    );
    assert_eq!(
        fixture
            .decide(&two, &first, not_illegal())
            .await
            .unwrap_err(),
        "verdict_does_not_fit"
    );
    let upheld = fixture.decide(&two, &first, Verdict::Uphold(true)).await;
    assert_eq!(upheld.unwrap().state(), State::Actionable);
}
