//! Claims are checked, what is gone is watched, and what comes back is told anew.

use dispatch::commands::Outcome;
use domain::event::Body;
use domain::word::{Answer, LiveState, NoticeState, Rung};
use time::Duration;

use crate::support::{Bench, up};

#[tokio::test]
async fn a_claim_is_believed_when_enough_checks_agree_and_closed_after_the_watch() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    bench.looked(case_id, up(100)).await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.answer(&notice, Answer::Removed).await;
    assert_eq!(bench.look_at(case_id).await, Some(bench.now()));
    bench.looked(case_id, Outcome::Gone).await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Up);
    assert_eq!(
        bench.look_at(case_id).await,
        Some(bench.now() + Duration::milliseconds(500))
    );
    bench.clock.advance(Duration::milliseconds(500));
    bench.looked(case_id, Outcome::Gone).await;
    let said = bench.said(case_id).await;
    assert!(
        matches!(said.last(), Some(Body::RemovalConfirmed(r)) if (r.agreed, r.checks, r.episode) == (2, 2, 1))
    );
    assert_eq!(bench.story(case_id).await, ["amber/host/watched"]);
    let confirmed = bench.now();
    for after in [2, 4, 7, 10] {
        let at = confirmed + Duration::seconds(after);
        assert_eq!(bench.look_at(case_id).await, Some(at));
        bench.clock.set(at);
        bench.looked(case_id, Outcome::Gone).await;
    }
    let case = bench.case(case_id).await;
    assert_eq!((case.live, case.unsettled), (LiveState::Closed, false));
    assert_eq!(bench.said_names(case_id).await.last(), Some(&"CaseClosed"));
    assert_eq!(bench.look_at(case_id).await, None);
    assert_eq!(bench.story(case_id).await, ["amber/host/closed"]);
}

#[tokio::test]
async fn a_false_claim_is_counted_and_reminded_of_at_once_and_only_once() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    bench.looked(case_id, up(100)).await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.answer(&notice, Answer::Removed).await;
    bench.looked(case_id, up(100)).await;
    bench.looked(case_id, Outcome::Unknown).await;
    bench.looked(case_id, up(100)).await;
    assert_eq!(bench.notices(case_id).await.len(), 1);
    bench.looked(case_id, up(100)).await;
    let notices = bench.notices(case_id).await;
    assert_eq!(notices[0].false_claims, 1);
    assert_eq!(
        bench.story(case_id).await,
        ["amber/host/escalated", "amber/remind/sent"]
    );
    // The ladder's reminder was this one.
    bench.pass(Duration::seconds(6)).await;
    assert_eq!(bench.notices(case_id).await.len(), 2);
    bench.answer(&notices[1], Answer::Removed).await;
    bench.looked(case_id, Outcome::Gone).await;
    bench.looked(case_id, Outcome::Gone).await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Watched);
}

#[tokio::test]
async fn a_claim_under_check_defers_the_ladder_but_not_for_ever() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    bench.pass(Duration::milliseconds(4500)).await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.answer(&notice, Answer::Removed).await;
    bench.pass(Duration::seconds(4)).await;
    assert_eq!(bench.notices(case_id).await.len(), 1);
    // Checks that know nothing decide nothing: after the window the reminder goes out.
    bench.looked(case_id, Outcome::Unknown).await;
    bench.pass(Duration::seconds(1)).await;
    assert_eq!(bench.notices(case_id).await.len(), 2);
}

#[tokio::test]
async fn one_miss_without_a_claim_is_a_hiccup_and_two_are_a_removal() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    bench.looked(case_id, Outcome::Gone).await;
    bench.looked(case_id, up(100)).await;
    bench.looked(case_id, Outcome::Gone).await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Up);
    bench.looked(case_id, Outcome::Gone).await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Watched);
}

#[tokio::test]
async fn the_same_thing_back_opens_an_episode_at_once() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    bench.looked(case_id, up(100)).await;
    bench.looked(case_id, Outcome::Gone).await;
    bench.looked(case_id, Outcome::Gone).await;
    bench.clock.advance(Duration::seconds(2));
    bench.looked(case_id, up(100)).await;
    let case = bench.case(case_id).await;
    assert_eq!(
        (case.live, case.episode, case.confirmed_at),
        (LiveState::Up, 2, None)
    );
    assert_eq!(
        bench.story(case_id).await,
        ["amber/host/closed", "amber/host/sent"]
    );
    let notices = bench.notices(case_id).await;
    assert_eq!((notices[1].episode, notices[1].step), (2, 1));
    assert_ne!(notices[0].id, notices[1].id);
    // Its ladder counts anew.
    bench.pass(Duration::milliseconds(4999)).await;
    assert_eq!(bench.notices(case_id).await.len(), 2);
    bench.pass(Duration::milliseconds(1)).await;
    assert_eq!(bench.notices(case_id).await.len(), 3);
}

#[tokio::test]
async fn something_else_back_asks_a_person_first() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    bench.looked(case_id, up(100)).await;
    bench.looked(case_id, Outcome::Gone).await;
    bench.looked(case_id, Outcome::Gone).await;
    bench.looked(case_id, up(777)).await;
    let said = bench.said(case_id).await;
    let Some(Body::ReviewRequested(review)) = said.last() else {
        panic!("a review is asked for");
    };
    assert_eq!(
        review.reason,
        proto::v1::ReviewReason::ReappearedChanged as i32
    );
    let upheld = Body::VerdictUpheld(proto::v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: review.review_id.clone(),
        gone: false,
    });
    bench.say(vec![(case_id, upheld)]).await;
    assert_eq!(bench.case(case_id).await.episode, 2);
    assert!(bench.said_names(case_id).await.contains(&"Reappeared"));
}

#[tokio::test]
async fn a_page_that_changed_is_for_a_person_to_judge() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    bench.looked(case_id, up(100)).await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.answer(&notice, Answer::Removed).await;
    for _ in 0..3 {
        bench.looked(case_id, up(5)).await;
    }
    let said = bench.said(case_id).await;
    let Some(Body::ReviewRequested(review)) = said.last() else {
        panic!("a review is asked for");
    };
    assert_eq!(review.reason, proto::v1::ReviewReason::Soft404 as i32);
    assert_eq!(bench.notices(case_id).await[0].false_claims, 0);
    let upheld = Body::VerdictUpheld(proto::v1::VerdictUpheld {
        decision_id: String::new(),
        review_id: review.review_id.clone(),
        gone: false,
    });
    bench.say(vec![(case_id, upheld)]).await;
    assert_eq!(bench.notices(case_id).await[0].false_claims, 1);
}

#[tokio::test]
async fn a_new_report_of_a_closed_case_is_looked_at_first() {
    let bench = Bench::new().await;
    let decided = bench.decide("https://amber.example/1");
    let case_id = decided.case_id;
    let event = Body::CaseActionable(decided.event);
    bench.say(vec![(case_id, event.clone())]).await;
    bench.looked(case_id, up(100)).await;
    for _ in 0..6 {
        bench.clock.advance(Duration::seconds(10));
        bench.looked(case_id, Outcome::Gone).await;
    }
    assert_eq!(bench.case(case_id).await.live, LiveState::Closed);
    bench.say(vec![(case_id, event)]).await;
    assert_eq!(bench.look_at(case_id).await, Some(bench.now()));
    bench.looked(case_id, up(100)).await;
    let said = bench.said_names(case_id).await;
    assert_eq!(
        said[said.len() - 3..],
        ["CaseReopened", "Reappeared", "NoticeSent"]
    );
    assert_eq!(
        bench.notices(case_id).await.last().unwrap().state,
        NoticeState::Sent
    );
}

#[tokio::test]
async fn a_false_claim_spares_nobody_else_a_reminder() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://front.example/1").await;
    let front = bench.notices(case_id).await.remove(0);
    bench.answer(&front, Answer::Removed).await;
    for _ in 0..3 {
        bench.looked(case_id, up(100)).await;
    }
    bench.pass(Duration::seconds(5)).await;
    let notices = bench.notices(case_id).await;
    let reminded: Vec<&str> = notices
        .iter()
        .filter(|n| n.rung == Rung::Remind)
        .map(|n| n.provider_id.as_str())
        .collect();
    assert_eq!(reminded, ["front", "kite"]);
}

#[tokio::test]
async fn a_look_says_nothing_of_a_claim_that_came_after_it_began() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://front.example/1").await;
    let notices = bench.notices(case_id).await;
    bench.answer(&notices[0], Answer::Removed).await;
    bench.looked(case_id, up(100)).await;
    bench.looked(case_id, up(100)).await;
    let began = bench.now();
    bench.clock.advance(Duration::milliseconds(100));
    bench.answer(&notices[1], Answer::Removed).await;
    bench.looked_since(case_id, began, up(100)).await;
    let counted: Vec<i32> = bench.notices(case_id).await[..2]
        .iter()
        .map(|n| n.false_claims)
        .collect();
    assert_eq!(counted, [1, 0]);
    // The later claim is looked at for itself.
    assert_eq!(bench.look_at(case_id).await, Some(bench.now()));
    bench.looked(case_id, Outcome::Gone).await;
    bench.looked(case_id, Outcome::Gone).await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Watched);
}

#[tokio::test]
async fn claims_without_end_defer_no_rung_without_end() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    // Each claim comes at once, before any timer has had its turn.
    for _ in 0..5 {
        let notices = bench.notices(case_id).await;
        let newest = notices
            .iter()
            .rfind(|n| n.provider_id.as_str() == "amber")
            .unwrap();
        bench.answer(newest, Answer::Removed).await;
        bench.clock.advance(Duration::seconds(3));
        for _ in 0..3 {
            bench.looked(case_id, up(100)).await;
        }
    }
    let story = bench.story(case_id).await;
    assert!(story.contains(&"larch/upstream/sent".into()), "{story:?}");
}

#[tokio::test]
async fn a_false_claim_counts_also_when_the_ladder_had_gone_past_it() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.answer(&notice, Answer::Removed).await;
    bench.pass(Duration::seconds(5)).await;
    assert_eq!(
        bench.notices(case_id).await[0].state,
        NoticeState::Escalated
    );
    for _ in 0..3 {
        bench.looked(case_id, up(100)).await;
    }
    assert_eq!(bench.notices(case_id).await[0].false_claims, 1);
    let newest = bench.notices(case_id).await.pop().unwrap();
    bench.answer(&newest, Answer::Removed).await;
    for _ in 0..3 {
        bench.looked(case_id, up(100)).await;
    }
    let counted: Vec<i32> = bench
        .notices(case_id)
        .await
        .iter()
        .map(|n| n.false_claims)
        .collect();
    assert_eq!(counted[..2], [1, 1], "each claim once");
}

#[tokio::test]
async fn a_new_report_outweighs_one_look_that_finds_nothing_or_cannot_tell() {
    let bench = Bench::new().await;
    let decided = bench.decide("https://amber.example/1");
    let case_id = decided.case_id;
    let event = Body::CaseActionable(decided.event);
    bench.say(vec![(case_id, event.clone())]).await;
    bench.looked(case_id, up(100)).await;
    for _ in 0..6 {
        bench.clock.advance(Duration::seconds(10));
        bench.looked(case_id, Outcome::Gone).await;
    }
    assert_eq!(bench.case(case_id).await.live, LiveState::Closed);

    bench.say(vec![(case_id, event.clone())]).await;
    for outcome in [Outcome::Unknown, Outcome::Gone] {
        bench.looked(case_id, outcome).await;
        let soon = bench.now() + Duration::milliseconds(500);
        assert_eq!(bench.look_at(case_id).await, Some(soon));
    }
    bench.looked(case_id, Outcome::Gone).await;
    assert_eq!(bench.look_at(case_id).await, None);
    assert!(!bench.case(case_id).await.unsettled);

    // Where nobody can tell from here, a person is asked, and looking ends.
    bench.say(vec![(case_id, event)]).await;
    for _ in 0..12 {
        bench.looked(case_id, Outcome::Unknown).await;
    }
    assert_eq!(bench.look_at(case_id).await, None);
    let said = bench.said(case_id).await;
    let reason = proto::v1::ReviewReason::ReappearedChanged as i32;
    assert!(matches!(said.last(), Some(Body::ReviewRequested(r)) if r.reason == reason));
    bench.uphold(case_id).await;
    assert_eq!(bench.case(case_id).await.episode, 2);
}

#[tokio::test]
async fn what_was_never_seen_before_is_for_a_person_to_know_again() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    for _ in 0..2 {
        bench.looked(case_id, Outcome::Gone).await;
    }
    bench.looked(case_id, up(100)).await;
    assert_eq!(bench.case(case_id).await.episode, 1);
    let said = bench.said_names(case_id).await;
    assert_eq!(said.last(), Some(&"ReviewRequested"));
    bench.uphold(case_id).await;
    assert_eq!(bench.case(case_id).await.episode, 2);
}
