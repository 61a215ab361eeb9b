//! Disputes, police holds and withdrawn verdicts.

use domain::enums::{Answer, ContentStatus, DeliveryChannel, NoticeState};
use domain::event::Body;
use domain::id::CaseId;
use proto::v1;
use time::Duration;

use crate::policy_times::{CHECKS_OF_A_CLAIM, REMIND};
use crate::support::{DispatchFixture, online};

async fn review_of(fixture: &DispatchFixture, case_id: CaseId) -> v1::ReviewRequested {
    let events = fixture.events(case_id).await;
    events
        .into_iter()
        .find_map(|body| match body {
            Body::ReviewRequested(review) => Some(review),
            _ => None,
        })
        .expect("a review was requested")
}

#[tokio::test]
async fn a_dispute_pauses_the_deadlines_until_the_verdict_is_upheld() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://kite.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.record_delivered(&notice).await;
    let mut answer = DispatchFixture::unsent_answer(&notice, Answer::Disputed);
    answer.text = Some("This is a medical page.".into());
    fixture.send_answer(answer).await;
    let review = review_of(&fixture, case_id).await;
    assert_eq!(review.notice_id, notice.id.to_string());
    assert!(!review.sealed_note.is_empty());
    fixture
        .advance_and_fire(REMIND + Duration::seconds(3))
        .await;
    assert_eq!(fixture.notice_states(case_id).await, ["kite/host/disputed"]);

    let other_review = v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: uuid::Uuid::new_v4().to_string(),
        offline: false,
    };
    let upheld = v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: review.review_id,
        offline: false,
    };
    fixture
        .publish(vec![(case_id, Body::VerdictUpheld(other_review))])
        .await;
    assert_eq!(fixture.notice_states(case_id).await, ["kite/host/disputed"]);
    fixture
        .publish(vec![(case_id, Body::VerdictUpheld(upheld))])
        .await;
    let notice = fixture.notices(case_id).await.remove(0);
    assert_eq!(
        (notice.state, notice.sequence, notice.message.as_str()),
        (NoticeState::Delivered, 2, "upheld")
    );
    assert_eq!(fixture.queued_messages(case_id).await, [(notice.id, 2)]);
}

#[tokio::test]
async fn a_withdrawn_verdict_is_retracted_only_to_notified_providers() {
    let fixture = DispatchFixture::new().await;
    let decided = fixture.sign_decision("https://front.example/1");
    let case_id = decided.case_id;
    fixture
        .publish(vec![(case_id, Body::CaseActionable(decided.event.clone()))])
        .await;
    // front pulls and has the notice in its listing; kite's mail was not sent.
    let withdrawn = Body::VerdictWithdrawn(v1::VerdictWithdrawn {
        decision_id: decided.event.decision_id.clone(),
    });
    fixture
        .publish(vec![(case_id, withdrawn.clone()), (case_id, withdrawn)])
        .await;
    let case = fixture.case(case_id).await;
    assert_eq!(
        (case.content_status, case.due_at, case.unsettled),
        (ContentStatus::Withdrawn, None, false)
    );
    let notices = fixture.notices(case_id).await;
    assert_eq!(
        (notices[0].sequence, notices[0].message.as_str()),
        (2, "retraction")
    );
    assert_eq!(notices[1].sequence, 1);
    assert!(fixture.queued_messages(case_id).await.is_empty());
    assert_eq!(
        fixture.event_names(case_id).await,
        [
            "NoticeSent",
            "NoticeWithdrawn",
            "NoticeWithdrawn",
            "CaseClosed"
        ]
    );
    // A repeat of the withdrawn decision does not reopen the case.
    fixture
        .publish(vec![(case_id, Body::CaseActionable(decided.event))])
        .await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Withdrawn
    );
}

#[tokio::test]
async fn a_mail_that_may_be_in_transit_is_retracted_too() {
    let fixture = DispatchFixture::new().await;
    let decided = fixture.sign_decision("https://kite.example/1");
    let case_id = decided.case_id;
    fixture
        .publish(vec![(case_id, Body::CaseActionable(decided.event))])
        .await;
    sqlx::query("update delivery set lease_token = gen_random_uuid(), lease_until = $1")
        .bind(fixture.now() + Duration::seconds(30))
        .execute(&fixture.pool)
        .await
        .unwrap();
    let withdrawn = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    fixture.publish(vec![(case_id, withdrawn)]).await;
    let notice = fixture.notices(case_id).await.remove(0);
    assert_eq!(fixture.queued_messages(case_id).await, [(notice.id, 2)]);
}

#[tokio::test]
async fn a_police_hold_stops_everything_and_defers_the_ladder_by_its_length() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://kite.example/1").await;
    let before_police_hold = Duration::seconds(3);
    fixture.advance_and_fire(before_police_hold).await;
    let held = Body::CaseHeld(v1::CaseHeld::default());
    fixture.publish(vec![(case_id, held)]).await;
    assert!(fixture.queued_messages(case_id).await.is_empty());
    assert_eq!(fixture.next_check_at(case_id).await, None);
    fixture.advance_and_fire(Duration::hours(1)).await;
    assert_eq!(fixture.notice_states(case_id).await, ["kite/host/queued"]);

    let released = Body::CaseReleased(v1::CaseReleased::default());
    fixture.publish(vec![(case_id, released)]).await;
    let case = fixture.case(case_id).await;
    assert_eq!(case.content_status, ContentStatus::Online);
    assert_eq!(fixture.queued_messages(case_id).await.len(), 1);
    assert_eq!(
        case.due_at,
        Some(fixture.now() + REMIND - before_police_hold)
    );
}

#[tokio::test]
async fn nothing_is_sent_if_a_police_hold_follows_the_decision_at_once() {
    let fixture = DispatchFixture::new().await;
    let decided = fixture.sign_decision("https://kite.example/1");
    let case_id = decided.case_id;
    fixture
        .publish(vec![
            (case_id, Body::CaseActionable(decided.event)),
            (case_id, Body::CaseHeld(v1::CaseHeld::default())),
        ])
        .await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Held
    );
    assert!(fixture.queued_messages(case_id).await.is_empty());
}

#[tokio::test]
async fn a_later_message_uses_another_channel_if_the_endpoint_is_retired() {
    // A retraction, and an upheld verdict: the first message arrived by a webhook endpoint that is retired
    // since.
    let fixture = DispatchFixture::new().await;
    let withdrawn = fixture.open_case("https://album.example/1").await;
    let upheld = fixture.open_case("https://album.example/2").await;
    for case_id in [withdrawn, upheld] {
        let notice = fixture.notices(case_id).await.remove(0);
        fixture.record_delivered(&notice).await;
    }
    let withdrawal = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    fixture.publish(vec![(withdrawn, withdrawal)]).await;
    let notice = fixture.notices(upheld).await.remove(0);
    fixture.answer(&notice, Answer::Disputed).await;
    let review = review_of(&fixture, upheld).await;
    let upholding = v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: review.review_id,
        offline: false,
    };
    fixture
        .publish(vec![(upheld, Body::VerdictUpheld(upholding))])
        .await;

    for (case_id, state) in [
        (withdrawn, NoticeState::Withdrawn),
        (upheld, NoticeState::Delivered),
    ] {
        let notice = fixture.notices(case_id).await.remove(0);
        assert_eq!(notice.sequence, 2);
        fixture.record_unreachable(&notice).await;
        let rerouted = fixture.notices(case_id).await.remove(0);
        assert_eq!(
            (rerouted.channel, rerouted.state),
            (DeliveryChannel::Email, state)
        );
        assert_eq!(fixture.queued_messages(case_id).await, [(notice.id, 2)]);
        // No delivery channel is left: the notice bounces and keeps its state.
        fixture.record_unreachable(&rerouted).await;
        assert_eq!(fixture.notices(case_id).await[0].state, state);
        assert_eq!(
            fixture.event_names(case_id).await.last(),
            Some(&"NoticeBounced")
        );
    }
}

#[tokio::test]
async fn a_dispute_during_another_review_is_requested_after_it() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.record_check(case_id, online(100)).await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.answer(&notice, Answer::Removed).await;
    for _ in 0..CHECKS_OF_A_CLAIM {
        fixture.record_check(case_id, online(5)).await;
    }
    let mut answer = DispatchFixture::unsent_answer(&notice, Answer::Disputed);
    answer.text = Some("This is a medical page.".into());
    fixture.send_answer(answer).await;
    fixture.uphold_review(case_id).await;
    let events = fixture.events(case_id).await;
    let Some(Body::ReviewRequested(review)) = events.last() else {
        panic!(
            "a review of the dispute is requested: {:?}",
            fixture.event_names(case_id).await
        );
    };
    assert_eq!(review.reason, v1::ReviewReason::Disputed as i32);
    assert_eq!(review.notice_id, notice.id.to_string());
    assert!(!review.sealed_note.is_empty());
    fixture.uphold_review(case_id).await;
    assert_eq!(fixture.notices(case_id).await[0].message.as_str(), "upheld");
}
