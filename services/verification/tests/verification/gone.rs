//! What a changed page shows is not the material: the verdict stands, and that is no more to be removed.

use domain::event::Body;
use platform::principal::Role;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;
use proto::v1::ReviewReason;
use proto::v1::verdict::Verdict;
use uuid::Uuid;

use crate::house::{House, Person, Reported, category, item, not_illegal};

const GONE: Verdict = Verdict::Gone(true);

async fn actionable(house: &House, analyst: &Person) -> Reported {
    let of = house.reported("https://host.example/1", &[]).await;
    house
        .judged(analyst, of.case, category(Category::B))
        .await
        .unwrap();
    of
}

/// Dispatch asks; returns the question's id.
async fn asked(house: &House, of: &Reported, reason: ReviewReason) -> Uuid {
    let review = Uuid::new_v4();
    let body = Body::ReviewRequested(v1::ReviewRequested {
        review_id: review.to_string(),
        reason: reason as i32,
        ..Default::default()
    });
    house.dispatch_says(of.case, body).await;
    review
}

async fn outcome(house: &House, review: Uuid) -> Option<String> {
    sqlx::query_scalar("select outcome from review where review_id = $1")
        .bind(review)
        .fetch_one(&house.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_page_is_called_gone_once_and_the_verdict_stands() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let of = actionable(&house, &analyst).await;
    for reason in [ReviewReason::Soft404, ReviewReason::ReappearedChanged] {
        let before = house.said(of.case).await.len();
        let review = asked(&house, &of, reason).await;
        let claimed = house.claim(&analyst, of.case).await.unwrap();
        let first = house.decide(&analyst, &claimed, GONE).await.unwrap();
        assert_eq!(
            (first.state(), first.review.as_str(), first.category()),
            (State::Actionable, "", Category::B)
        );
        // Said again it is the same answer, and no other word fits that claim any more.
        let again = house.decide(&analyst, &claimed, GONE).await.unwrap();
        assert_eq!(again, first);
        let other = house
            .decide(&analyst, &claimed, Verdict::Uphold(true))
            .await;
        assert_eq!(other.unwrap_err(), "claim_spent");

        let said = house.said(of.case).await;
        let [Body::VerdictUpheld(event)] = &said[before..] else {
            panic!("{:?}", house.names(of.case).await);
        };
        assert_eq!(
            (event.review_id.as_str(), event.gone),
            (review.to_string().as_str(), true)
        );
        assert!(!event.decision_id.is_empty());
        assert_eq!(outcome(&house, review).await.as_deref(), Some("gone"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispute_that_is_open_beside_it_is_upheld() {
    let house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Analyst]),
        house.person(&[Role::Analyst]),
    );
    let of = actionable(&house, &one).await;
    let page = asked(&house, &of, ReviewReason::Soft404).await;
    let dispute = asked(&house, &of, ReviewReason::Disputed).await;
    house.judged(&two, of.case, GONE).await.unwrap();
    let said = house.said(of.case).await;
    let mut answers: Vec<(String, bool)> = said
        .into_iter()
        .filter_map(|body| match body {
            Body::VerdictUpheld(event) => Some((event.review_id, event.gone)),
            _ => None,
        })
        .collect();
    answers.sort();
    let mut expected = vec![(page.to_string(), true), (dispute.to_string(), false)];
    expected.sort();
    assert_eq!(answers, expected);
    assert_eq!(outcome(&house, page).await.as_deref(), Some("gone"));
    assert_eq!(outcome(&house, dispute).await.as_deref(), Some("upheld"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_is_no_answer_where_no_changed_page_is_in_question() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let supervisor = house.person(&[Role::Supervisor]);
    let fresh = house.reported("https://host.example/2", &[]).await;
    let unfit = house.judged(&analyst, fresh.case, GONE).await;
    assert_eq!(unfit.unwrap_err(), "verdict_does_not_fit");

    // An answered question about a page is none.
    let disputed = actionable(&house, &analyst).await;
    asked(&house, &disputed, ReviewReason::Soft404).await;
    house
        .judged(&analyst, disputed.case, Verdict::Uphold(true))
        .await
        .unwrap();
    let review = asked(&house, &disputed, ReviewReason::Disputed).await;
    let other = house.person(&[Role::Analyst]);
    let refused = house.judged(&other, disputed.case, GONE).await;
    assert_eq!(refused.unwrap_err(), "page_not_in_question");
    assert_eq!(outcome(&house, review).await, None);

    for reason in [ReviewReason::NoContact, ReviewReason::Onion] {
        let of = actionable(&house, &analyst).await;
        asked(&house, &of, reason).await;
        let refused = house.judged(&supervisor, of.case, GONE).await;
        assert_eq!(refused.unwrap_err(), "page_not_in_question");
        assert_eq!(house.names(of.case).await, ["CaseActionable"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_refused_leaves_its_neighbours_alone_and_its_claim_in_hand() {
    let house = House::new().await;
    let (one, two) = (
        house.person(&[Role::Analyst]),
        house.person(&[Role::Analyst]),
    );
    let (disputed, changed) = (
        actionable(&house, &one).await,
        actionable(&house, &one).await,
    );
    asked(&house, &disputed, ReviewReason::Disputed).await;
    asked(&house, &changed, ReviewReason::ReappearedChanged).await;
    let first = house.claim(&two, disputed.case).await.unwrap();
    let second = house.claim(&two, changed.case).await.unwrap();
    let items = vec![item(&first, GONE), item(&second, GONE), item(&second, GONE)];
    let answers = house.decide_all(&two, items).await.unwrap();
    let codes: Vec<String> = answers
        .into_iter()
        .map(|answer| match answer.result.unwrap() {
            v1::decision_result::Result::Problem(problem) => problem.code,
            v1::decision_result::Result::Assessment(_) => "decided".into(),
        })
        .collect();
    assert_eq!(codes, ["page_not_in_question", "decided", "decided"]);
    assert_eq!(
        house.names(changed.case).await,
        ["CaseActionable", "VerdictUpheld"]
    );
    assert_eq!(
        house.decide(&two, &first, not_illegal()).await.unwrap_err(),
        "verdict_does_not_fit"
    );
    let upheld = house.decide(&two, &first, Verdict::Uphold(true)).await;
    assert_eq!(upheld.unwrap().state(), State::Actionable);
}
