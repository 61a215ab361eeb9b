//! Reviews of changed pages: if a person decides that a page is not the material, the removal is confirmed
//! and the page is recognised from then on.

use crate::policy_times::{CHECKS_OF_A_CLAIM, CHECKS_TO_AGREE, WATCH};
use crate::support::{DispatchFixture, online};
use dispatch::cases::{CheckOutcome, ResponseMetadata};
use domain::enums::{Answer, ContentStatus};
use domain::event::Body;
use domain::id::CaseId;
use proto::v1;
use time::Duration;

/// A case at a page of length 100, claimed to be removed, with a page of length 5 in its place: a review is
/// open.
async fn case_with_page_review(fixture: &DispatchFixture) -> CaseId {
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.record_check(case_id, online(100)).await;
    claim_with_changed_page(fixture, case_id).await;
    case_id
}

async fn claim_with_changed_page(fixture: &DispatchFixture, case_id: CaseId) {
    let newest = fixture.notices(case_id).await.pop().unwrap();
    fixture.answer(&newest, Answer::Removed).await;
    for _ in 0..CHECKS_OF_A_CLAIM {
        fixture.record_check(case_id, online(5)).await;
    }
}

/// A case at a page of length 100 that was removed and is watched.
async fn watched_case(fixture: &DispatchFixture) -> CaseId {
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.record_check(case_id, online(100)).await;
    for _ in 0..CHECKS_TO_AGREE {
        fixture.record_check(case_id, CheckOutcome::Offline).await;
    }
    case_id
}

/// A check that finds a page without length and ETag.
fn online_without_validators() -> CheckOutcome {
    CheckOutcome::Online(ResponseMetadata {
        status: 200,
        length: None,
        etag: None,
        content_type: Some("text/html".into()),
    })
}

/// Number of events of this name about a case.
async fn count_events(fixture: &DispatchFixture, case_id: CaseId, name: &str) -> usize {
    let names = fixture.event_names(case_id).await;
    names.iter().filter(|other| **other == name).count()
}

#[tokio::test]
async fn a_review_that_finds_the_material_offline_confirms_the_removal_like_checks() {
    let fixture = DispatchFixture::new().await;
    let case_id = case_with_page_review(&fixture).await;
    fixture.clock.advance(Duration::milliseconds(300));
    fixture.review_as_offline(case_id).await;
    let events = fixture.events(case_id).await;
    assert!(
        matches!(events.last(), Some(Body::RemovalConfirmed(r)) if (r.agreed, r.checks, r.episode) == (0, 0, 1)),
        "no check confirmed it"
    );
    let case = fixture.case(case_id).await;
    assert_eq!(
        (
            case.content_status,
            case.confirmed_at,
            case.removal.row().claim_since,
            case.due_at
        ),
        (ContentStatus::Watched, Some(fixture.now()), None, None)
    );
    assert_eq!(fixture.notice_states(case_id).await, ["amber/host/watched"]);
    let notice = fixture.notices(case_id).await.remove(0);
    assert_eq!(
        (notice.confirmed_at, notice.false_claims),
        (Some(fixture.now()), 0)
    );
    assert!(fixture.queued_messages(case_id).await.is_empty());

    // The same page at each check of the watch causes no further review and no re-appearance.
    let confirmed = fixture.now();
    for after in WATCH {
        let at = confirmed + after;
        assert_eq!(fixture.next_check_at(case_id).await, Some(at));
        fixture.clock.set(at);
        fixture.record_check(case_id, online(5)).await;
    }
    let case = fixture.case(case_id).await;
    assert_eq!(
        (case.content_status, case.episode),
        (ContentStatus::Closed, 1)
    );
    assert_eq!(count_events(&fixture, case_id, "ReviewRequested").await, 1);
}

#[tokio::test]
async fn a_changed_page_during_the_watch_that_is_reviewed_as_offline_leaves_the_watch_unchanged() {
    let fixture = DispatchFixture::new().await;
    let case_id = watched_case(&fixture).await;
    fixture.clock.advance(WATCH[0]);
    fixture.record_check(case_id, online(777)).await;
    let next = fixture.next_check_at(case_id).await;
    fixture.review_as_offline(case_id).await;
    let case = fixture.case(case_id).await;
    assert_eq!(
        (case.content_status, case.episode, case.review),
        (ContentStatus::Watched, 1, None)
    );
    assert_eq!(fixture.next_check_at(case_id).await, next);
    for _ in &WATCH[1..] {
        fixture.clock.advance(Duration::seconds(3));
        fixture.record_check(case_id, online(777)).await;
    }
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Closed
    );
    assert_eq!(count_events(&fixture, case_id, "Reappeared").await, 0);
    assert_eq!(count_events(&fixture, case_id, "ReviewRequested").await, 1);
    assert_eq!(count_events(&fixture, case_id, "RemovalConfirmed").await, 1);
}

#[tokio::test]
async fn another_changed_page_needs_a_review_and_the_material_is_recognised() {
    let fixture = DispatchFixture::new().await;
    let case_id = case_with_page_review(&fixture).await;
    // A page that appears while the review is open is not the reviewed one.
    fixture.record_check(case_id, online(6)).await;
    fixture.review_as_offline(case_id).await;
    for (length, reviews) in [(5, 1), (6, 2), (6, 2)] {
        fixture.record_check(case_id, online(length)).await;
        assert_eq!(
            count_events(&fixture, case_id, "ReviewRequested").await,
            reviews
        );
    }
    fixture.review_as_offline(case_id).await;
    // Two servers that answer in turn: both pages are recognised.
    for length in [5, 6, 5] {
        fixture.record_check(case_id, online(length)).await;
    }
    assert_eq!(count_events(&fixture, case_id, "ReviewRequested").await, 2);

    fixture.record_check(case_id, online(100)).await;
    assert_eq!(fixture.case(case_id).await.episode, 2);
    // The reviewed page in its place again is a removal without a further review.
    fixture.record_check(case_id, online(100)).await;
    claim_with_changed_page(&fixture, case_id).await;
    let case = fixture.case(case_id).await;
    assert_eq!(
        (case.content_status, case.episode),
        (ContentStatus::Watched, 2)
    );
    assert_eq!(count_events(&fixture, case_id, "ReviewRequested").await, 2);
}

#[tokio::test]
async fn a_review_as_offline_applies_only_once_and_only_to_a_review_of_a_page() {
    let fixture = DispatchFixture::new().await;
    let case_id = case_with_page_review(&fixture).await;
    let other_review = v1::VerdictUpheld {
        review_id: uuid::Uuid::new_v4().to_string(),
        offline: true,
        ..Default::default()
    };
    fixture
        .publish(vec![(case_id, Body::VerdictUpheld(other_review))])
        .await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Online
    );
    for _ in 0..2 {
        fixture.review_as_offline(case_id).await;
    }
    assert_eq!(count_events(&fixture, case_id, "RemovalConfirmed").await, 1);

    // For a dispute it only upholds the verdict.
    let disputed = fixture.open_case("https://amber.example/2").await;
    let notice = fixture.notices(disputed).await.remove(0);
    let mut answer = DispatchFixture::unsent_answer(&notice, Answer::Disputed);
    answer.text = Some("This is a medical page.".into());
    fixture.send_answer(answer).await;
    fixture.review_as_offline(disputed).await;
    assert_eq!(
        fixture.case(disputed).await.content_status,
        ContentStatus::Online
    );
    assert_eq!(
        fixture.notices(disputed).await[0].message.as_str(),
        "upheld"
    );
    assert!(fixture.parked_reasons().await.is_empty());
}

#[tokio::test]
async fn a_removal_is_not_confirmed_during_a_police_hold() {
    let fixture = DispatchFixture::new().await;
    let case_id = case_with_page_review(&fixture).await;
    fixture.hold_case(case_id).await;
    fixture.review_as_offline(case_id).await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Held
    );
    assert_eq!(count_events(&fixture, case_id, "RemovalConfirmed").await, 0);
    fixture.release_case(case_id).await;
    for _ in 0..2 {
        fixture.record_check(case_id, online(5)).await;
    }
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Watched
    );
    assert_eq!(count_events(&fixture, case_id, "ReviewRequested").await, 1);
}

#[tokio::test]
async fn a_new_report_outweighs_the_review_of_a_page_without_validators() {
    let fixture = DispatchFixture::new().await;
    let decided = fixture.sign_decision("https://amber.example/1");
    let case_id = decided.case_id;
    let event = Body::CaseActionable(decided.event);
    fixture.publish(vec![(case_id, event.clone())]).await;
    fixture.record_check(case_id, online(100)).await;
    for _ in 0..2 {
        fixture.record_check(case_id, CheckOutcome::Offline).await;
    }
    for page in [online_without_validators(), online(777)] {
        fixture.record_check(case_id, page).await;
        fixture.review_as_offline(case_id).await;
    }
    for page in [online_without_validators(), online(777)] {
        fixture.record_check(case_id, page).await;
    }
    assert_eq!(count_events(&fixture, case_id, "ReviewRequested").await, 2);

    fixture.publish(vec![(case_id, event.clone())]).await;
    for _ in 0..2 {
        fixture.record_check(case_id, online(777)).await;
    }
    assert_eq!(count_events(&fixture, case_id, "ReviewRequested").await, 2);
    fixture.publish(vec![(case_id, event)]).await;
    fixture
        .record_check(case_id, online_without_validators())
        .await;
    assert_eq!(count_events(&fixture, case_id, "ReviewRequested").await, 3);
    // It is the material after all, so the earlier review of this page no longer counts.
    fixture.uphold_review(case_id).await;
    for _ in 0..2 {
        fixture
            .record_check(case_id, online_without_validators())
            .await;
    }
    let case = fixture.case(case_id).await;
    assert_eq!(
        (case.content_status, case.episode),
        (ContentStatus::Online, 2)
    );
}

#[tokio::test]
async fn withdrawing_the_verdict_forgets_the_reviewed_pages() {
    let fixture = DispatchFixture::new().await;
    let case_id = case_with_page_review(&fixture).await;
    fixture.review_as_offline(case_id).await;
    assert_eq!(
        fixture
            .case(case_id)
            .await
            .removal
            .row()
            .offline_fingerprints
            .len(),
        1
    );
    let withdrawn = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    fixture.publish(vec![(case_id, withdrawn)]).await;
    assert!(
        fixture
            .case(case_id)
            .await
            .removal
            .row()
            .offline_fingerprints
            .is_empty()
    );
}

#[tokio::test]
async fn an_invalid_stored_fingerprint_is_an_error_that_names_its_column() {
    let fixture = DispatchFixture::new().await;
    let case_id = case_with_page_review(&fixture).await;
    sqlx::query("update case_removal set offline_fingerprints = array['x'] where case_id = $1")
        .bind(case_id.uuid())
        .execute(&fixture.pool)
        .await
        .unwrap();
    let mut conn = fixture.pool.acquire().await.unwrap();
    let read = dispatch::cases::cases(&mut conn, &[case_id.uuid()]).await;
    let Err(dispatch::Error::Row { column, .. }) = read else {
        panic!("the row is invalid");
    };
    assert_eq!(column, "offline_fingerprints");
}
