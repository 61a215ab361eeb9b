//! Withdrawals by the analyst who gave the verdict, holds by the claimant, and what supervisors see of the
//! work of a shift.

use platform::principal::Role;
use proto::v1;
use proto::v1::AssessmentState as State;
use proto::v1::Category;
use proto::v1::verdict::Verdict;
use tonic::Status;
use verification::Config;

use crate::fixture::{TestCase, TestStaff, TestVerification, category, code, not_illegal};

async fn undo(
    fixture: &TestVerification,
    person: &TestStaff,
    case: &TestCase,
    assess_again: bool,
) -> Result<v1::Assessment, Status> {
    let request = v1::WithdrawVerdictRequest {
        case_id: case.id.to_string(),
        reason: "the wrong key".into(),
        assess_again,
    };
    let mut client = fixture.client.clone();
    let response = client.withdraw_verdict(person.request(request));
    Ok(response.await?.into_inner().assessment.unwrap())
}

async fn workload(fixture: &TestVerification, person: &TestStaff) -> v1::GetWorkloadResponse {
    let request = person.request(v1::GetWorkloadRequest {});
    let response = fixture.client.clone().get_workload(request).await;
    response.unwrap().into_inner()
}

async fn disagreements(
    fixture: &TestVerification,
    person: &TestStaff,
    request: v1::ListDisagreementsRequest,
) -> v1::ListDisagreementsResponse {
    let request = person.request(request);
    let response = fixture.client.clone().list_disagreements(request).await;
    response.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyst_withdraws_their_own_verdict_and_another_one_decides() {
    let fixture = TestVerification::new().await;
    let one = fixture.staff_with_account(&[Role::Analyst]).await;
    let two = fixture.staff_with_account(&[Role::Analyst]).await;
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let decided = fixture
        .claim_and_decide(&one, case.id, category(Category::A))
        .await
        .unwrap();
    assert_eq!(decided.approvers, [one.subject.to_string()]);
    assert!(decided.undo_until.is_some());
    assert_eq!(
        code(&undo(&fixture, &two, &case, true).await.unwrap_err()),
        "undo_not_yours"
    );
    for _ in 0..2 {
        // Even without `assess_again`, another analyst assesses the case.
        let undone = undo(&fixture, &one, &case, false).await.unwrap();
        assert_eq!(undone.state(), State::Queued);
    }
    assert_eq!(
        code(&fixture.claim(&one, case.id).await.unwrap_err()),
        "another_analyst_needed"
    );
    fixture
        .claim_and_decide(&two, case.id, not_illegal())
        .await
        .unwrap();
    assert_eq!(
        fixture.emitted_kinds(case.id).await,
        ["CaseActionable", "VerdictWithdrawn", "CaseNotActionable"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_supervisor_withdraws_a_late_reviewed_or_shared_verdict() {
    let fixture = TestVerification::with_config(Config {
        second_analyst: vec![domain::enums::Category::A],
        undo_seconds: 60,
        ..Config::default()
    })
    .await;
    let one = fixture.staff_with_account(&[Role::Analyst]).await;
    let two = fixture.staff_with_account(&[Role::Analyst]).await;
    let supervisor = fixture.staff_with_account(&[Role::Supervisor]).await;

    let of_two = fixture.report_new_case("https://host.example/1", &[]).await;
    fixture
        .claim_and_decide(&one, of_two.id, category(Category::A))
        .await
        .unwrap();
    let decided = fixture
        .claim_and_decide(&two, of_two.id, category(Category::A))
        .await
        .unwrap();
    assert_eq!((decided.approvers.len(), decided.undo_until), (2, None));
    assert_eq!(
        code(&undo(&fixture, &two, &of_two, true).await.unwrap_err()),
        "undo_not_yours"
    );

    let under_review = fixture.report_new_case("https://host.example/2", &[]).await;
    fixture
        .claim_and_decide(&one, under_review.id, category(Category::B))
        .await
        .unwrap();
    let request = v1::ReviewRequested {
        review_id: uuid::Uuid::new_v4().to_string(),
        reason: v1::ReviewReason::Disputed as i32,
        ..Default::default()
    };
    fixture
        .append_dispatch_event(
            under_review.id,
            domain::event::Body::ReviewRequested(request),
        )
        .await;
    assert_eq!(
        code(&undo(&fixture, &one, &under_review, true).await.unwrap_err()),
        "undo_not_yours"
    );

    let late = fixture.report_new_case("https://host.example/3", &[]).await;
    fixture
        .claim_and_decide(&one, late.id, category(Category::B))
        .await
        .unwrap();
    fixture.clock.advance(time::Duration::seconds(61));
    assert_eq!(
        code(&undo(&fixture, &one, &late, true).await.unwrap_err()),
        "undo_not_yours"
    );
    let withdrawn = undo(&fixture, &supervisor, &late, false).await.unwrap();
    assert_eq!(withdrawn.state(), State::Withdrawn);
    let again = undo(&fixture, &supervisor, &under_review, true)
        .await
        .unwrap();
    assert_eq!(again.state(), State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_withdraw_by_another_staff_cannot_withdraw_their_own_verdict() {
    let fixture = TestVerification::with_config(Config {
        withdraw_by_another: true,
        ..Config::default()
    })
    .await;
    let both = fixture
        .staff_with_account(&[Role::Analyst, Role::Supervisor])
        .await;
    let other = fixture.staff_with_account(&[Role::Supervisor]).await;
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let decided = fixture
        .claim_and_decide(&both, case.id, category(Category::C))
        .await
        .unwrap();
    assert_eq!(decided.undo_until, None);
    assert_eq!(
        code(&undo(&fixture, &both, &case, true).await.unwrap_err()),
        "withdraw_by_another"
    );
    assert!(undo(&fixture, &other, &case, true).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyst_places_a_police_hold_on_a_claimed_case_and_a_supervisor_releases_it() {
    let fixture = TestVerification::new().await;
    let one = fixture.staff_with_account(&[Role::Analyst]).await;
    let supervisor = fixture.staff_with_account(&[Role::Supervisor]).await;
    let case = fixture.report_new_case("https://host.example/1", &[]).await;
    let until = Some(domain::wire::timestamp(
        fixture.clock.read() + time::Duration::hours(6),
    ));
    let police_hold = v1::HoldCaseRequest {
        case_id: case.id.to_string(),
        reason: "the police ask for time".into(),
        until,
    };
    let mut client = fixture.client.clone();
    let not_claimed = client.hold_case(one.request(police_hold.clone())).await;
    assert_eq!(code(&not_claimed.unwrap_err()), "role_required");
    fixture.claim(&one, case.id).await.unwrap();
    for _ in 0..2 {
        let response = client.hold_case(one.request(police_hold.clone())).await;
        let case = response.unwrap().into_inner().assessment.unwrap();
        assert_eq!((case.state(), case.held_until), (State::PoliceHold, until));
    }
    let release = v1::ReleaseHoldRequest {
        case_id: case.id.to_string(),
    };
    let not_theirs = client.release_hold(one.request(release.clone())).await;
    assert_eq!(code(&not_theirs.unwrap_err()), "role_required");
    let released = client.release_hold(supervisor.request(release)).await;
    let released = released.unwrap().into_inner().assessment.unwrap();
    assert_eq!(
        (released.state(), released.held_until),
        (State::Queued, None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_sees_all_workloads_and_an_analyst_their_own() {
    let fixture = TestVerification::new().await;
    let one = fixture.staff_with_account(&[Role::Analyst]).await;
    let two = fixture.staff_with_account(&[Role::Analyst]).await;
    let supervisor = fixture.staff_with_account(&[Role::Supervisor]).await;
    let before = fixture.report_new_case("https://host.example/0", &[]).await;
    fixture
        .claim_and_decide(&one, before.id, not_illegal())
        .await
        .unwrap();
    // A shift later, this verdict no longer counts.
    fixture.clock.advance(time::Duration::hours(8));
    let decided = fixture.report_new_case("https://host.example/1", &[]).await;
    fixture
        .claim_and_decide(&one, decided.id, category(Category::B))
        .await
        .unwrap();
    let passed_on = fixture.report_new_case("https://host.example/2", &[]).await;
    let pass_on = Verdict::SecondOpinion(true);
    fixture
        .claim_and_decide(&one, passed_on.id, pass_on)
        .await
        .unwrap();
    fixture.claim(&two, passed_on.id).await.unwrap();
    let reveal = v1::RevealUrlRequest {
        case_id: passed_on.id.to_string(),
        reason: "to assess it".into(),
    };
    fixture
        .client
        .clone()
        .reveal_url(two.request(reveal))
        .await
        .unwrap();

    let all = workload(&fixture, &supervisor).await;
    let figures = |person: &TestStaff| {
        let subject = person.subject.to_string();
        let one = all.people.iter().find(|one| one.subject == subject);
        let one = one.expect("every account is listed");
        (one.claimed, one.verdicts, one.passed_on, one.reveals)
    };
    assert_eq!(figures(&one), (0, 1, 1, 0));
    assert_eq!(figures(&two), (1, 0, 0, 1));
    assert_eq!(figures(&supervisor), (0, 0, 0, 0));
    assert_eq!((all.people.len(), all.reveals_allowed), (3, 200));
    let own = workload(&fixture, &two).await;
    let own: Vec<_> = own.people.iter().map(|one| one.subject.as_str()).collect();
    assert_eq!(own, [two.subject.to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disagreements_are_listed_newest_first() {
    let fixture = TestVerification::with_config(Config {
        second_analyst: vec![domain::enums::Category::A],
        ..Config::default()
    })
    .await;
    let one = fixture.staff_with_account(&[Role::Analyst]).await;
    let two = fixture.staff_with_account(&[Role::Analyst]).await;
    let supervisor = fixture.staff_with_account(&[Role::Supervisor]).await;
    let agreed = fixture.report_new_case("https://host.example/1", &[]).await;
    fixture
        .claim_and_decide(&one, agreed.id, category(Category::A))
        .await
        .unwrap();
    fixture
        .claim_and_decide(&two, agreed.id, category(Category::A))
        .await
        .unwrap();
    let not_agreed = fixture.report_new_case("https://host.example/2", &[]).await;
    fixture
        .claim_and_decide(&one, not_agreed.id, category(Category::A))
        .await
        .unwrap();
    fixture
        .claim_and_decide(&two, not_agreed.id, not_illegal())
        .await
        .unwrap();
    let slip = fixture.report_new_case("https://host.example/3", &[]).await;
    fixture
        .claim_and_decide(&two, slip.id, category(Category::C))
        .await
        .unwrap();
    undo(&fixture, &two, &slip, true).await.unwrap();
    let wrong = fixture.report_new_case("https://host.example/4", &[]).await;
    fixture
        .claim_and_decide(&one, wrong.id, category(Category::B))
        .await
        .unwrap();
    undo(&fixture, &supervisor, &wrong, false).await.unwrap();

    let page = |page_token: String, page_size| v1::ListDisagreementsRequest {
        page_size,
        page_token,
    };
    let first = disagreements(&fixture, &supervisor, page(String::new(), 2)).await;
    let rest = disagreements(
        &fixture,
        &supervisor,
        page(first.next_page_token.clone(), 2),
    )
    .await;
    let listed: Vec<_> = first
        .disagreements
        .iter()
        .chain(&rest.disagreements)
        .map(|d| {
            (
                d.kind.as_str(),
                d.case_id.as_str(),
                d.first.as_str(),
                d.second.as_str(),
            )
        })
        .collect();
    let id = |case: &TestCase| case.id.to_string();
    assert_eq!(
        listed,
        [
            ("withdrawal", id(&wrong).as_str(), "B", "withdrawn"),
            ("undo", id(&slip).as_str(), "C", "withdrawn"),
            ("second", id(&not_agreed).as_str(), "A", "not_illegal"),
        ]
    );
    assert_eq!(rest.disagreements[0].first_by, [one.subject.to_string()]);
    assert_eq!(rest.disagreements[0].second_by, two.subject.to_string());
    let counts: Vec<_> = first
        .agreement
        .iter()
        .map(|count| (count.kind.as_str(), count.agreed, count.disagreed))
        .collect();
    assert_eq!(
        counts,
        [("second", 1, 1), ("undo", 0, 1), ("withdrawal", 0, 1)]
    );
}
