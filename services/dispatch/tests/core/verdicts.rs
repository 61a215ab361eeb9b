//! Disputes, holds, and verdicts that are taken back.

use domain::event::Body;
use domain::id::CaseId;
use domain::word::{Answer, DeliveryChannel, LiveState, NoticeState};
use proto::v1;
use time::Duration;

use crate::support::{Bench, up};

async fn review_of(bench: &Bench, case_id: CaseId) -> v1::ReviewRequested {
    let said = bench.said(case_id).await;
    said.into_iter()
        .find_map(|body| match body {
            Body::ReviewRequested(review) => Some(review),
            _ => None,
        })
        .expect("a review was asked for")
}

#[tokio::test]
async fn a_dispute_stops_the_clock_until_the_verdict_is_upheld() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://kite.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.delivered(&notice).await;
    let mut item = Bench::item(&notice, Answer::Disputed);
    item.text = Some("This is a medical page.".into());
    bench.answer_as(item).await;
    let review = review_of(&bench, case_id).await;
    assert_eq!(review.notice_id, notice.id.to_string());
    assert!(!review.sealed_note.is_empty());
    bench.pass(Duration::seconds(8)).await;
    assert_eq!(bench.story(case_id).await, ["kite/host/disputed"]);

    let other = v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: uuid::Uuid::new_v4().to_string(),
        gone: false,
    };
    let upheld = v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: review.review_id,
        gone: false,
    };
    bench.say(vec![(case_id, Body::VerdictUpheld(other))]).await;
    assert_eq!(bench.story(case_id).await, ["kite/host/disputed"]);
    bench
        .say(vec![(case_id, Body::VerdictUpheld(upheld))])
        .await;
    let notice = bench.notices(case_id).await.remove(0);
    assert_eq!(
        (notice.state, notice.sequence, notice.message.as_str()),
        (NoticeState::Delivered, 2, "upheld")
    );
    assert_eq!(bench.in_line(case_id).await, [(notice.id, 2)]);
}

#[tokio::test]
async fn a_withdrawn_verdict_is_retracted_where_it_was_told_and_nowhere_else() {
    let bench = Bench::new().await;
    let decided = bench.decide("https://front.example/1");
    let case_id = decided.case_id;
    bench
        .say(vec![(case_id, Body::CaseActionable(decided.event.clone()))])
        .await;
    // front pulls and has it in its listing; kite's mail has not left.
    let withdrawn = Body::VerdictWithdrawn(v1::VerdictWithdrawn {
        decision_id: decided.event.decision_id.clone(),
    });
    bench
        .say(vec![(case_id, withdrawn.clone()), (case_id, withdrawn)])
        .await;
    let case = bench.case(case_id).await;
    assert_eq!(
        (case.live, case.due_at, case.unsettled),
        (LiveState::Withdrawn, None, false)
    );
    let notices = bench.notices(case_id).await;
    assert_eq!(
        (notices[0].sequence, notices[0].message.as_str()),
        (2, "retraction")
    );
    assert_eq!(notices[1].sequence, 1);
    assert!(bench.in_line(case_id).await.is_empty());
    assert_eq!(
        bench.said_names(case_id).await,
        [
            "NoticeSent",
            "NoticeWithdrawn",
            "NoticeWithdrawn",
            "CaseClosed"
        ]
    );
    // The withdrawn decision does not come back by itself; another one does.
    bench
        .say(vec![(case_id, Body::CaseActionable(decided.event))])
        .await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Withdrawn);
}

#[tokio::test]
async fn a_mail_that_may_be_on_its_way_is_retracted_too() {
    let bench = Bench::new().await;
    let decided = bench.decide("https://kite.example/1");
    let case_id = decided.case_id;
    bench
        .say(vec![(case_id, Body::CaseActionable(decided.event))])
        .await;
    sqlx::query("update delivery set lease_token = gen_random_uuid(), lease_until = $1")
        .bind(bench.now() + Duration::seconds(30))
        .execute(&bench.pool)
        .await
        .unwrap();
    let withdrawn = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    bench.say(vec![(case_id, withdrawn)]).await;
    let notice = bench.notices(case_id).await.remove(0);
    assert_eq!(bench.in_line(case_id).await, [(notice.id, 2)]);
}

#[tokio::test]
async fn a_hold_stops_everything_and_moves_the_ladder_by_its_length() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://kite.example/1").await;
    bench.pass(Duration::seconds(3)).await;
    let held = Body::CaseHeld(v1::CaseHeld::default());
    bench.say(vec![(case_id, held)]).await;
    assert!(bench.in_line(case_id).await.is_empty());
    assert_eq!(bench.look_at(case_id).await, None);
    bench.pass(Duration::hours(1)).await;
    assert_eq!(bench.story(case_id).await, ["kite/host/queued"]);

    let released = Body::CaseReleased(v1::CaseReleased::default());
    bench.say(vec![(case_id, released)]).await;
    let case = bench.case(case_id).await;
    assert_eq!(case.live, LiveState::Up);
    assert_eq!(bench.in_line(case_id).await.len(), 1);
    assert_eq!(case.due_at, Some(bench.now() + Duration::seconds(2)));
}

#[tokio::test]
async fn a_hold_that_comes_with_the_decision_lets_nothing_leave() {
    let bench = Bench::new().await;
    let decided = bench.decide("https://kite.example/1");
    let case_id = decided.case_id;
    bench
        .say(vec![
            (case_id, Body::CaseActionable(decided.event)),
            (case_id, Body::CaseHeld(v1::CaseHeld::default())),
        ])
        .await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Held);
    assert!(bench.in_line(case_id).await.is_empty());
}

#[tokio::test]
async fn a_later_message_finds_another_way_when_the_endpoint_is_gone() {
    // A retraction, and an answer to a question: the first message had arrived by webhook, which is gone since.
    let bench = Bench::new().await;
    let withdrawn = bench.act("https://album.example/1").await;
    let upheld = bench.act("https://album.example/2").await;
    for case_id in [withdrawn, upheld] {
        let notice = bench.notices(case_id).await.remove(0);
        bench.delivered(&notice).await;
    }
    let taken_back = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    bench.say(vec![(withdrawn, taken_back)]).await;
    let notice = bench.notices(upheld).await.remove(0);
    bench.answer(&notice, Answer::Disputed).await;
    let review = review_of(&bench, upheld).await;
    let stands = v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: review.review_id,
        gone: false,
    };
    bench.say(vec![(upheld, Body::VerdictUpheld(stands))]).await;

    for (case_id, state) in [
        (withdrawn, NoticeState::Withdrawn),
        (upheld, NoticeState::Delivered),
    ] {
        let notice = bench.notices(case_id).await.remove(0);
        assert_eq!(notice.sequence, 2);
        bench.unreachable(&notice).await;
        let rerouted = bench.notices(case_id).await.remove(0);
        assert_eq!(
            (rerouted.channel, rerouted.state),
            (DeliveryChannel::Email, state)
        );
        assert_eq!(bench.in_line(case_id).await, [(notice.id, 2)]);
        // No way is left: that is said, and the notice stands as it was.
        bench.unreachable(&rerouted).await;
        assert_eq!(bench.notices(case_id).await[0].state, state);
        assert_eq!(
            bench.said_names(case_id).await.last(),
            Some(&"NoticeBounced")
        );
    }
}

#[tokio::test]
async fn a_dispute_that_came_during_another_question_is_asked_after_it() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    bench.looked(case_id, up(100)).await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.answer(&notice, Answer::Removed).await;
    for _ in 0..3 {
        bench.looked(case_id, up(5)).await;
    }
    let mut item = Bench::item(&notice, Answer::Disputed);
    item.text = Some("This is a medical page.".into());
    bench.answer_as(item).await;
    bench.uphold(case_id).await;
    let said = bench.said(case_id).await;
    let Some(Body::ReviewRequested(review)) = said.last() else {
        panic!(
            "the dispute is asked: {:?}",
            bench.said_names(case_id).await
        );
    };
    assert_eq!(review.reason, v1::ReviewReason::Disputed as i32);
    assert_eq!(review.notice_id, notice.id.to_string());
    assert!(!review.sealed_note.is_empty());
    bench.uphold(case_id).await;
    assert_eq!(bench.notices(case_id).await[0].message.as_str(), "upheld");
}
