//! Who may take a case and who may not, in houses of few people: nobody decides what they reported, nobody is the
//! second after themselves, and no case waits for ever without a word.

use platform::principal::Role;
use proto::v1::AssessmentState as State;
use proto::v1::Category;
use proto::v1::verdict::Verdict;
use verification::Config;

use crate::house::{House, Person, category, code, not_illegal};

async fn two_needed_for_a() -> House {
    House::with(Config {
        second_analyst: vec![domain::word::Category::A],
        ..Config::default()
    })
    .await
}

async fn two_analysts(house: &House) -> [Person; 2] {
    [
        house.colleague(&[Role::Analyst]).await,
        house.colleague(&[Role::Analyst]).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_passed_a_case_on_gives_the_second_verdict_where_there_are_two() {
    let house = two_needed_for_a().await;
    let [one, two] = two_analysts(&house).await;
    let of = house.reported("https://host.example/1", &[]).await;
    let pass_on = Verdict::SecondLook(true);
    house.judged(&one, of.case, pass_on).await.unwrap();
    let first = house.judged(&two, of.case, category(Category::A)).await;
    assert_eq!(first.unwrap().state(), State::AwaitingSecond);
    // The first passes on once more, and is still the only one who may.
    assert!(house.claim_urgent(&two, 1).await.is_empty());
    house.judged(&one, of.case, pass_on).await.unwrap();
    assert!(house.claim_urgent(&two, 1).await.is_empty());
    let claimed = house.claim_urgent(&one, 1).await.remove(0);
    let second = house.decide(&one, &claimed, category(Category::A)).await;
    assert_eq!(second.unwrap().state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_disagree_settle_it_between_them() {
    let house = two_needed_for_a().await;
    let [one, two] = two_analysts(&house).await;
    let of = house.reported("https://host.example/1", &[]).await;
    house
        .judged(&one, of.case, category(Category::A))
        .await
        .unwrap();
    let settled = house.judged(&two, of.case, not_illegal()).await.unwrap();
    assert_eq!(settled.state(), State::NotActionable);

    let other = house.reported("https://host.example/2", &[]).await;
    house
        .judged(&one, other.case, category(Category::A))
        .await
        .unwrap();
    let settled = house.judged(&two, other.case, category(Category::B)).await;
    assert_eq!(settled.unwrap().state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_that_both_pass_on_comes_back_to_either() {
    let house = House::new().await;
    let [one, two] = two_analysts(&house).await;
    let of = house.reported("https://host.example/1", &[]).await;
    house
        .judged(&one, of.case, category(Category::B))
        .await
        .unwrap();
    let asked = proto::v1::ReviewRequested {
        review_id: uuid::Uuid::new_v4().to_string(),
        reason: proto::v1::ReviewReason::Disputed as i32,
        ..Default::default()
    };
    house
        .dispatch_says(of.case, domain::event::Body::ReviewRequested(asked))
        .await;
    let pass_on = Verdict::SecondLook(true);
    house.judged(&two, of.case, pass_on).await.unwrap();
    let claimed = house.claim_urgent(&one, 1).await.remove(0);
    house.decide(&one, &claimed, pass_on).await.unwrap();
    let upheld = house.judged(&two, of.case, Verdict::Uphold(true)).await;
    assert_eq!(upheld.unwrap().state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_decides_what_they_reported_and_a_supervisor_is_the_second() {
    let house = two_needed_for_a().await;
    let [one, two] = two_analysts(&house).await;
    let of = house.case("https://host.example/1");
    let event = house.report_event(&of, &[], |report| {
        report.submitted_by = one.subject.to_string();
    });
    house.intake_says(&[event]).await;
    assert!(house.claim_urgent(&one, 1).await.is_empty());
    assert_eq!(
        code(&house.claim(&one, of.case).await.unwrap_err()),
        "another_analyst_needed"
    );
    house
        .judged(&two, of.case, category(Category::A))
        .await
        .unwrap();
    // One reported it, the other gave the first verdict: nobody is left, and the case says so.
    assert!(house.claim_urgent(&one, 1).await.is_empty());
    assert!(house.claim_urgent(&two, 1).await.is_empty());
    let stuck = house.assessment(&one, of.case).await;
    assert_eq!(stuck.waits_for, "nobody");
    let supervisor = house.colleague(&[Role::Supervisor]).await;
    assert_eq!(
        house.assessment(&one, of.case).await.waits_for,
        "supervisor"
    );
    let claimed = house.claim_urgent(&supervisor, 1).await.remove(0);
    let second = house
        .decide(&supervisor, &claimed, category(Category::A))
        .await;
    assert_eq!(second.unwrap().state(), State::Actionable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reports_a_case_that_they_have_in_hand_no_longer_decides_it() {
    let house = House::new().await;
    let [one, two] = two_analysts(&house).await;
    let of = house.reported("https://host.example/1", &[]).await;
    let claimed = house.claim(&one, of.case).await.unwrap();
    let event = house.report_event(&of, &[], |report| {
        report.submitted_by = one.subject.to_string();
    });
    house.intake_says(&[event]).await;
    assert_eq!(
        house
            .decide(&one, &claimed, not_illegal())
            .await
            .unwrap_err(),
        "another_analyst_needed"
    );
    house.clock.advance(time::Duration::minutes(16));
    crate::house::until("the claim falls back", async || {
        house.state(&one, of.case).await == State::Queued
    })
    .await;
    assert!(house.judged(&two, of.case, not_illegal()).await.is_ok());
}
