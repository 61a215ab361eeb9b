//! Claims of removal are checked, removed content is watched, and a re-appearance opens a new episode.

use crate::policy_times::{
    CHECK_EVERY, CHECKS_OF_A_CLAIM, CHECKS_UNTIL_CLOSED, CLAIM_WINDOW, INSTANT, REMIND, UPSTREAM,
    WATCH,
};
use crate::support::{DispatchFixture, online};
use dispatch::cases::CheckOutcome;
use domain::enums::{Answer, ContentStatus, NoticeState, Rung};
use domain::event::Body;
use time::Duration;

#[tokio::test]
async fn a_removal_is_confirmed_when_enough_checks_agree_and_the_case_closes_after_the_watch() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.record_check(case_id, online(100)).await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.answer(&notice, Answer::Removed).await;
    assert_eq!(fixture.next_check_at(case_id).await, Some(fixture.now()));
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Online
    );
    assert_eq!(
        fixture.next_check_at(case_id).await,
        Some(fixture.now() + CHECK_EVERY)
    );
    fixture.clock.advance(CHECK_EVERY);
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    let events = fixture.events(case_id).await;
    assert!(
        matches!(events.last(), Some(Body::RemovalConfirmed(r)) if (r.agreed, r.checks, r.episode) == (2, 2, 1))
    );
    assert_eq!(fixture.notice_states(case_id).await, ["amber/host/watched"]);
    let confirmed = fixture.now();
    for after in WATCH {
        let at = confirmed + after;
        assert_eq!(fixture.next_check_at(case_id).await, Some(at));
        fixture.clock.set(at);
        fixture.record_check(case_id, CheckOutcome::Offline).await;
    }
    let case = fixture.case(case_id).await;
    assert_eq!(
        (case.content_status, case.unsettled),
        (ContentStatus::Closed, false)
    );
    assert_eq!(
        fixture.event_names(case_id).await.last(),
        Some(&"CaseClosed")
    );
    assert_eq!(fixture.next_check_at(case_id).await, None);
    assert_eq!(fixture.notice_states(case_id).await, ["amber/host/closed"]);
}

#[tokio::test]
async fn a_false_claim_is_counted_and_causes_one_reminder_at_once() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.record_check(case_id, online(100)).await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.answer(&notice, Answer::Removed).await;
    fixture.record_check(case_id, online(100)).await;
    fixture.record_check(case_id, CheckOutcome::Unknown).await;
    fixture.record_check(case_id, online(100)).await;
    assert_eq!(fixture.notices(case_id).await.len(), 1);
    fixture.record_check(case_id, online(100)).await;
    let notices = fixture.notices(case_id).await;
    assert_eq!(notices[0].false_claims, 1);
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["amber/host/escalated", "amber/remind/sent"]
    );
    // That reminder takes the place of the ladder's own.
    fixture.advance_and_fire(REMIND + Duration::SECOND).await;
    assert_eq!(fixture.notices(case_id).await.len(), 2);
    fixture.answer(&notices[1], Answer::Removed).await;
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Watched
    );
}

#[tokio::test]
async fn a_claim_under_check_defers_the_ladder_for_the_claim_window_only() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.advance_and_fire(REMIND - CHECK_EVERY).await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.answer(&notice, Answer::Removed).await;
    fixture.advance_and_fire(CLAIM_WINDOW - INSTANT).await;
    assert_eq!(fixture.notices(case_id).await.len(), 1);
    // A check without a result decides nothing: after the window the reminder is sent.
    fixture.record_check(case_id, CheckOutcome::Unknown).await;
    fixture.advance_and_fire(INSTANT).await;
    assert_eq!(fixture.notices(case_id).await.len(), 2);
}

#[tokio::test]
async fn without_a_claim_only_consecutive_offline_checks_are_a_removal() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    fixture.record_check(case_id, online(100)).await;
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Online
    );
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Watched
    );
}

#[tokio::test]
async fn a_re_appearance_of_the_same_page_opens_an_episode_at_once() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.record_check(case_id, online(100)).await;
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    fixture.clock.advance(WATCH[0]);
    fixture.record_check(case_id, online(100)).await;
    let case = fixture.case(case_id).await;
    assert_eq!(
        (case.content_status, case.episode, case.confirmed_at),
        (ContentStatus::Online, 2, None)
    );
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["amber/host/closed", "amber/host/sent"]
    );
    let notices = fixture.notices(case_id).await;
    assert_eq!((notices[1].episode, notices[1].step), (2, 1));
    assert_ne!(notices[0].id, notices[1].id);
    // The new episode has a ladder of its own.
    fixture.advance_and_fire(REMIND - INSTANT).await;
    assert_eq!(fixture.notices(case_id).await.len(), 2);
    fixture.advance_and_fire(INSTANT).await;
    assert_eq!(fixture.notices(case_id).await.len(), 3);
}

#[tokio::test]
async fn a_changed_page_after_removal_needs_a_review_before_a_new_episode() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.record_check(case_id, online(100)).await;
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    fixture.record_check(case_id, online(777)).await;
    let events = fixture.events(case_id).await;
    let Some(Body::ReviewRequested(review)) = events.last() else {
        panic!("a review is requested");
    };
    assert_eq!(
        review.reason,
        proto::v1::ReviewReason::ReappearedChanged as i32
    );
    let upheld = Body::VerdictUpheld(proto::v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: review.review_id.clone(),
        offline: false,
    });
    fixture.publish(vec![(case_id, upheld)]).await;
    assert_eq!(fixture.case(case_id).await.episode, 2);
    assert!(fixture.event_names(case_id).await.contains(&"Reappeared"));
}

#[tokio::test]
async fn a_changed_page_after_a_claim_needs_a_review_before_it_counts_as_false() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.record_check(case_id, online(100)).await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.answer(&notice, Answer::Removed).await;
    for _ in 0..CHECKS_OF_A_CLAIM {
        fixture.record_check(case_id, online(5)).await;
    }
    let events = fixture.events(case_id).await;
    let Some(Body::ReviewRequested(review)) = events.last() else {
        panic!("a review is requested");
    };
    assert_eq!(review.reason, proto::v1::ReviewReason::Soft404 as i32);
    assert_eq!(fixture.notices(case_id).await[0].false_claims, 0);
    let upheld = Body::VerdictUpheld(proto::v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: review.review_id.clone(),
        offline: false,
    });
    fixture.publish(vec![(case_id, upheld)]).await;
    assert_eq!(fixture.notices(case_id).await[0].false_claims, 1);
}

#[tokio::test]
async fn a_new_report_of_a_closed_case_is_checked_before_it_reopens() {
    let fixture = DispatchFixture::new().await;
    let decided = fixture.sign_decision("https://amber.example/1");
    let case_id = decided.case_id;
    let event = Body::CaseActionable(decided.event);
    fixture.publish(vec![(case_id, event.clone())]).await;
    fixture.record_check(case_id, online(100)).await;
    for _ in 0..CHECKS_UNTIL_CLOSED {
        fixture.clock.advance(WATCH[3]);
        fixture.record_check(case_id, CheckOutcome::Offline).await;
    }
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Closed
    );
    fixture.publish(vec![(case_id, event)]).await;
    assert_eq!(fixture.next_check_at(case_id).await, Some(fixture.now()));
    fixture.record_check(case_id, online(100)).await;
    let names = fixture.event_names(case_id).await;
    assert_eq!(
        names[names.len() - 3..],
        ["CaseReopened", "Reappeared", "NoticeSent"]
    );
    assert_eq!(
        fixture.notices(case_id).await.last().unwrap().state,
        NoticeState::Sent
    );
}

#[tokio::test]
async fn a_reminder_after_a_false_claim_does_not_replace_another_providers() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://front.example/1").await;
    let front = fixture.notices(case_id).await.remove(0);
    fixture.answer(&front, Answer::Removed).await;
    for _ in 0..CHECKS_OF_A_CLAIM {
        fixture.record_check(case_id, online(100)).await;
    }
    fixture.advance_and_fire(REMIND).await;
    let notices = fixture.notices(case_id).await;
    let reminded: Vec<&str> = notices
        .iter()
        .filter(|n| n.rung == Rung::Remind)
        .map(|n| n.provider_id.as_str())
        .collect();
    assert_eq!(reminded, ["front", "kite"]);
}

#[tokio::test]
async fn a_check_does_not_refute_a_claim_made_after_it_started() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://front.example/1").await;
    let notices = fixture.notices(case_id).await;
    fixture.answer(&notices[0], Answer::Removed).await;
    fixture.record_check(case_id, online(100)).await;
    fixture.record_check(case_id, online(100)).await;
    let started_at = fixture.now();
    fixture.clock.advance(Duration::milliseconds(100));
    fixture.answer(&notices[1], Answer::Removed).await;
    fixture
        .record_check_started_at(case_id, started_at, online(100))
        .await;
    let counted: Vec<i32> = fixture.notices(case_id).await[..2]
        .iter()
        .map(|n| n.false_claims)
        .collect();
    assert_eq!(counted, [1, 0]);
    // The later claim gets checks of its own.
    assert_eq!(fixture.next_check_at(case_id).await, Some(fixture.now()));
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Watched
    );
}

#[tokio::test]
async fn repeated_claims_do_not_defer_a_rung_forever() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    // Each claim follows the refutation at once, before a timer runs.
    let claims = 5;
    for _ in 0..claims {
        let notices = fixture.notices(case_id).await;
        let newest = notices
            .iter()
            .rfind(|n| n.provider_id.as_str() == "amber")
            .unwrap();
        fixture.answer(newest, Answer::Removed).await;
        fixture
            .clock
            .advance((UPSTREAM + Duration::seconds(3)) / claims);
        for _ in 0..3 {
            fixture.record_check(case_id, online(100)).await;
        }
    }
    let states = fixture.notice_states(case_id).await;
    assert!(states.contains(&"larch/upstream/sent".into()), "{states:?}");
}

#[tokio::test]
async fn a_false_claim_counts_even_if_the_ladder_has_escalated_past_it() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.answer(&notice, Answer::Removed).await;
    fixture.advance_and_fire(REMIND).await;
    assert_eq!(
        fixture.notices(case_id).await[0].state,
        NoticeState::Escalated
    );
    for _ in 0..CHECKS_OF_A_CLAIM {
        fixture.record_check(case_id, online(100)).await;
    }
    assert_eq!(fixture.notices(case_id).await[0].false_claims, 1);
    let newest = fixture.notices(case_id).await.pop().unwrap();
    fixture.answer(&newest, Answer::Removed).await;
    for _ in 0..CHECKS_OF_A_CLAIM {
        fixture.record_check(case_id, online(100)).await;
    }
    let counted: Vec<i32> = fixture
        .notices(case_id)
        .await
        .iter()
        .map(|n| n.false_claims)
        .collect();
    assert_eq!(counted[..2], [1, 1], "each claim counts once");
}

#[tokio::test]
async fn a_new_report_outweighs_one_check_that_is_offline_or_unknown() {
    let fixture = DispatchFixture::new().await;
    let decided = fixture.sign_decision("https://amber.example/1");
    let case_id = decided.case_id;
    let event = Body::CaseActionable(decided.event);
    fixture.publish(vec![(case_id, event.clone())]).await;
    fixture.record_check(case_id, online(100)).await;
    for _ in 0..CHECKS_UNTIL_CLOSED {
        fixture.clock.advance(WATCH[3]);
        fixture.record_check(case_id, CheckOutcome::Offline).await;
    }
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Closed
    );

    fixture.publish(vec![(case_id, event.clone())]).await;
    for outcome in [CheckOutcome::Unknown, CheckOutcome::Offline] {
        fixture.record_check(case_id, outcome).await;
        let soon = fixture.now() + CHECK_EVERY;
        assert_eq!(fixture.next_check_at(case_id).await, Some(soon));
    }
    fixture.record_check(case_id, CheckOutcome::Offline).await;
    assert_eq!(fixture.next_check_at(case_id).await, None);
    assert!(!fixture.case(case_id).await.unsettled);

    // If the checks stay without a result, a review is requested and the checks end.
    fixture.publish(vec![(case_id, event)]).await;
    let report_check_factor = 4;
    for _ in 0..CHECKS_OF_A_CLAIM * report_check_factor {
        fixture.record_check(case_id, CheckOutcome::Unknown).await;
    }
    assert_eq!(fixture.next_check_at(case_id).await, None);
    let events = fixture.events(case_id).await;
    let reason = proto::v1::ReviewReason::ReappearedChanged as i32;
    assert!(matches!(events.last(), Some(Body::ReviewRequested(r)) if r.reason == reason));
    fixture.uphold_review(case_id).await;
    assert_eq!(fixture.case(case_id).await.episode, 2);
}

#[tokio::test]
async fn without_an_earlier_fingerprint_a_re_appearance_needs_a_review() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    for _ in 0..2 {
        fixture.record_check(case_id, CheckOutcome::Offline).await;
    }
    fixture.record_check(case_id, online(100)).await;
    assert_eq!(fixture.case(case_id).await.episode, 1);
    let names = fixture.event_names(case_id).await;
    assert_eq!(names.last(), Some(&"ReviewRequested"));
    fixture.uphold_review(case_id).await;
    assert_eq!(fixture.case(case_id).await.episode, 2);
}
