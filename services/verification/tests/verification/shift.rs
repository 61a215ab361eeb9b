//! A shift: a slip put right by whoever made it, a hold by whoever has the case in hand, and what those who oversee the
//! work see of it.

use platform::principal::Role;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;
use proto::v1::verdict::Verdict;
use tonic::Status;
use verification::Config;

use crate::house::{House, Person, Reported, category, code, not_illegal};

async fn undo(
    house: &House,
    person: &Person,
    of: &Reported,
    assess_again: bool,
) -> Result<v1::Assessment, Status> {
    let request = v1::WithdrawVerdictRequest {
        case_id: of.case.to_string(),
        reason: "the wrong key".into(),
        assess_again,
    };
    let mut client = house.client.clone();
    let answer = client.withdraw_verdict(person.ask(request));
    Ok(answer.await?.into_inner().assessment.unwrap())
}

async fn workload(house: &House, person: &Person) -> v1::GetWorkloadResponse {
    let request = person.ask(v1::GetWorkloadRequest {});
    let answer = house.client.clone().get_workload(request).await;
    answer.unwrap().into_inner()
}

async fn disagreements(
    house: &House,
    person: &Person,
    page: v1::Page,
) -> v1::ListDisagreementsResponse {
    let request = person.ask(v1::ListDisagreementsRequest { page: Some(page) });
    let answer = house.client.clone().list_disagreements(request).await;
    answer.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gave_a_verdict_takes_it_back_at_once_and_another_decides() {
    let house = House::new().await;
    let one = house.colleague(&[Role::Analyst]).await;
    let two = house.colleague(&[Role::Analyst]).await;
    let of = house.reported("https://host.example/1", &[]).await;
    let decided = house
        .judged(&one, of.case, category(Category::A))
        .await
        .unwrap();
    assert_eq!(decided.approvers, [one.subject.to_string()]);
    assert!(decided.undo_until.is_some());
    assert_eq!(
        code(&undo(&house, &two, &of, true).await.unwrap_err()),
        "undo_not_yours"
    );
    for _ in 0..2 {
        // Asked for or not: an analyst's change of mind goes to somebody else.
        let undone = undo(&house, &one, &of, false).await.unwrap();
        assert_eq!(undone.state(), State::Queued);
    }
    assert_eq!(
        code(&house.claim(&one, of.case).await.unwrap_err()),
        "another_analyst_needed"
    );
    house.judged(&two, of.case, not_illegal()).await.unwrap();
    assert_eq!(
        house.names(of.case).await,
        ["CaseActionable", "VerdictWithdrawn", "CaseNotActionable"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_late_questioned_or_of_two_is_a_supervisors_to_take_back() {
    let house = House::with(Config {
        second_analyst: vec![domain::word::Category::A],
        undo_seconds: 60,
        ..Config::default()
    })
    .await;
    let one = house.colleague(&[Role::Analyst]).await;
    let two = house.colleague(&[Role::Analyst]).await;
    let supervisor = house.colleague(&[Role::Supervisor]).await;

    let of_two = house.reported("https://host.example/1", &[]).await;
    house
        .judged(&one, of_two.case, category(Category::A))
        .await
        .unwrap();
    let decided = house
        .judged(&two, of_two.case, category(Category::A))
        .await
        .unwrap();
    assert_eq!((decided.approvers.len(), decided.undo_until), (2, None));
    assert_eq!(
        code(&undo(&house, &two, &of_two, true).await.unwrap_err()),
        "undo_not_yours"
    );

    let questioned = house.reported("https://host.example/2", &[]).await;
    house
        .judged(&one, questioned.case, category(Category::B))
        .await
        .unwrap();
    let asked = v1::ReviewRequested {
        review_id: uuid::Uuid::new_v4().to_string(),
        reason: v1::ReviewReason::Disputed as i32,
        ..Default::default()
    };
    house
        .dispatch_says(questioned.case, domain::event::Body::ReviewRequested(asked))
        .await;
    assert_eq!(
        code(&undo(&house, &one, &questioned, true).await.unwrap_err()),
        "undo_not_yours"
    );

    let late = house.reported("https://host.example/3", &[]).await;
    house
        .judged(&one, late.case, category(Category::B))
        .await
        .unwrap();
    house.clock.advance(time::Duration::seconds(61));
    assert_eq!(
        code(&undo(&house, &one, &late, true).await.unwrap_err()),
        "undo_not_yours"
    );
    let withdrawn = undo(&house, &supervisor, &late, false).await.unwrap();
    assert_eq!(withdrawn.state(), State::Withdrawn);
    let again = undo(&house, &supervisor, &questioned, true).await.unwrap();
    assert_eq!(again.state(), State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_house_says_so_nobody_takes_back_their_own_verdict() {
    let house = House::with(Config {
        withdraw_by_another: true,
        ..Config::default()
    })
    .await;
    let both = house.colleague(&[Role::Analyst, Role::Supervisor]).await;
    let other = house.colleague(&[Role::Supervisor]).await;
    let of = house.reported("https://host.example/1", &[]).await;
    let decided = house
        .judged(&both, of.case, category(Category::C))
        .await
        .unwrap();
    assert_eq!(decided.undo_until, None);
    assert_eq!(
        code(&undo(&house, &both, &of, true).await.unwrap_err()),
        "withdraw_by_another"
    );
    assert!(undo(&house, &other, &of, true).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyst_holds_what_they_have_in_hand_and_a_supervisor_releases_it() {
    let house = House::new().await;
    let one = house.colleague(&[Role::Analyst]).await;
    let supervisor = house.colleague(&[Role::Supervisor]).await;
    let of = house.reported("https://host.example/1", &[]).await;
    let until = Some(domain::wire::timestamp(
        house.clock.read() + time::Duration::hours(6),
    ));
    let hold = v1::HoldCaseRequest {
        case_id: of.case.to_string(),
        reason: "the police ask for time".into(),
        until,
    };
    let mut client = house.client.clone();
    let not_in_hand = client.hold_case(one.ask(hold.clone())).await;
    assert_eq!(code(&not_in_hand.unwrap_err()), "role_required");
    house.claim(&one, of.case).await.unwrap();
    for _ in 0..2 {
        let answer = client.hold_case(one.ask(hold.clone())).await;
        let case = answer.unwrap().into_inner().assessment.unwrap();
        assert_eq!((case.state(), case.held_until), (State::PoliceHold, until));
    }
    let release = v1::ReleaseHoldRequest {
        case_id: of.case.to_string(),
    };
    let not_theirs = client.release_hold(one.ask(release.clone())).await;
    assert_eq!(code(&not_theirs.unwrap_err()), "role_required");
    let released = client.release_hold(supervisor.ask(release)).await;
    let released = released.unwrap().into_inner().assessment.unwrap();
    assert_eq!(
        (released.state(), released.held_until),
        (State::Queued, None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_sees_how_the_work_lies_and_an_analyst_their_own_part() {
    let house = House::new().await;
    let one = house.colleague(&[Role::Analyst]).await;
    let two = house.colleague(&[Role::Analyst]).await;
    let supervisor = house.colleague(&[Role::Supervisor]).await;
    let before = house.reported("https://host.example/0", &[]).await;
    house
        .judged(&one, before.case, not_illegal())
        .await
        .unwrap();
    // A shift later, that counts no more.
    house.clock.advance(time::Duration::hours(8));
    let decided = house.reported("https://host.example/1", &[]).await;
    house
        .judged(&one, decided.case, category(Category::B))
        .await
        .unwrap();
    let passed_on = house.reported("https://host.example/2", &[]).await;
    let pass_on = Verdict::SecondLook(true);
    house.judged(&one, passed_on.case, pass_on).await.unwrap();
    house.claim(&two, passed_on.case).await.unwrap();
    let reveal = v1::RevealUrlRequest {
        case_id: passed_on.case.to_string(),
        reason: "to assess it".into(),
    };
    house
        .client
        .clone()
        .reveal_url(two.ask(reveal))
        .await
        .unwrap();

    let all = workload(&house, &supervisor).await;
    let of = |person: &Person| {
        let subject = person.subject.to_string();
        let one = all.people.iter().find(|one| one.subject == subject);
        let one = one.expect("everybody with an account is listed");
        (one.in_hand, one.verdicts, one.passed_on, one.reveals)
    };
    assert_eq!(of(&one), (0, 1, 1, 0));
    assert_eq!(of(&two), (1, 0, 0, 1));
    assert_eq!(of(&supervisor), (0, 0, 0, 0));
    assert_eq!((all.people.len(), all.reveals_allowed), (3, 200));
    let own = workload(&house, &two).await;
    let own: Vec<_> = own.people.iter().map(|one| one.subject.as_str()).collect();
    assert_eq!(own, [two.subject.to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_looks_that_do_not_agree_are_listed_the_newest_first() {
    let house = House::with(Config {
        second_analyst: vec![domain::word::Category::A],
        ..Config::default()
    })
    .await;
    let one = house.colleague(&[Role::Analyst]).await;
    let two = house.colleague(&[Role::Analyst]).await;
    let supervisor = house.colleague(&[Role::Supervisor]).await;
    let agreed = house.reported("https://host.example/1", &[]).await;
    house
        .judged(&one, agreed.case, category(Category::A))
        .await
        .unwrap();
    house
        .judged(&two, agreed.case, category(Category::A))
        .await
        .unwrap();
    let not_agreed = house.reported("https://host.example/2", &[]).await;
    house
        .judged(&one, not_agreed.case, category(Category::A))
        .await
        .unwrap();
    house
        .judged(&two, not_agreed.case, not_illegal())
        .await
        .unwrap();
    let slip = house.reported("https://host.example/3", &[]).await;
    house
        .judged(&two, slip.case, category(Category::C))
        .await
        .unwrap();
    undo(&house, &two, &slip, true).await.unwrap();
    let wrong = house.reported("https://host.example/4", &[]).await;
    house
        .judged(&one, wrong.case, category(Category::B))
        .await
        .unwrap();
    undo(&house, &supervisor, &wrong, false).await.unwrap();

    let page = |cursor: String, size| v1::Page { size, cursor };
    let first = disagreements(&house, &supervisor, page(String::new(), 2)).await;
    let rest = disagreements(&house, &supervisor, page(first.next_cursor.clone(), 2)).await;
    let said: Vec<_> = first
        .disagreements
        .iter()
        .chain(&rest.disagreements)
        .map(|d| {
            (
                d.look.as_str(),
                d.case_id.as_str(),
                d.first.as_str(),
                d.second.as_str(),
            )
        })
        .collect();
    let id = |of: &Reported| of.case.to_string();
    assert_eq!(
        said,
        [
            ("withdrawal", id(&wrong).as_str(), "B", "withdrawn"),
            ("undo", id(&slip).as_str(), "C", "withdrawn"),
            ("second", id(&not_agreed).as_str(), "A", "not_illegal"),
        ]
    );
    assert_eq!(rest.disagreements[0].first_by, [one.subject.to_string()]);
    assert_eq!(rest.disagreements[0].second_by, two.subject.to_string());
    let counts: Vec<_> = first
        .looks
        .iter()
        .map(|look| (look.look.as_str(), look.agreed, look.disagreed))
        .collect();
    assert_eq!(
        counts,
        [("second", 1, 1), ("undo", 0, 1), ("withdrawal", 0, 1)]
    );
}
