//! The whole vocabulary of answers.

use dispatch::commands::{self, Supply};
use domain::event::Body;
use domain::word::{Answer, LiveState, NoticeState};
use time::Duration;

use crate::support::{Bench, id};

#[tokio::test]
async fn a_repeated_answer_is_success_without_a_second_event() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    for answer in [Answer::Acknowledged, Answer::Preserved, Answer::Removed] {
        let first = bench.answer(&notice, answer).await;
        let second = bench.answer(&notice, answer).await;
        assert_eq!(first, second);
    }
    let answered = bench.said_names(case_id).await;
    let answered = answered.iter().filter(|n| **n == "NoticeAnswered").count();
    assert_eq!(answered, 3);
}

#[tokio::test]
async fn two_answers_for_one_notice_in_one_batch_are_folded_in_order() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    let items = [
        Bench::item(&notice, Answer::Acknowledged),
        Bench::item(&notice, Answer::Removed),
        Bench::item(&notice, Answer::Removed),
    ];
    let mut tx = bench.pool.begin().await.unwrap();
    let replies = commands::answer(&mut tx, &bench.rules, bench.now(), &items)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let states: Vec<NoticeState> = replies.into_iter().map(|r| r.unwrap().state).collect();
    assert_eq!(
        states,
        [
            NoticeState::Acknowledged,
            NoticeState::RemovalClaimed,
            NoticeState::RemovalClaimed
        ]
    );
    assert_eq!(
        bench.said_names(case_id).await,
        ["NoticeSent", "NoticeAnswered", "NoticeAnswered"]
    );
}

#[tokio::test]
async fn somebody_elses_notice_is_not_there() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    let mut item = Bench::item(&notice, Answer::Removed);
    item.provider_id = id("kite");
    let mut tx = bench.pool.begin().await.unwrap();
    let replies = commands::answer(&mut tx, &bench.rules, bench.now(), &[item])
        .await
        .unwrap();
    assert_eq!(replies[0].as_ref().unwrap_err().code, "not_found");
}

#[tokio::test]
async fn a_named_host_is_told_at_once_and_the_clock_goes_on() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let before = bench.case(case_id).await;
    bench.pass(Duration::seconds(2)).await;
    let notice = bench.notices(case_id).await.remove(0);
    let mut item = Bench::item(&notice, Answer::NotOurs);
    item.named = Some("sub.kite.example".into());
    assert_eq!(bench.answer_as(item).await, NoticeState::NotOurs);
    assert_eq!(
        bench.story(case_id).await,
        ["amber/host/not_ours", "kite/host/queued"]
    );
    let said = bench.said(case_id).await;
    assert!(
        matches!(&said[2], Body::HostMoved(m) if m.to_provider_id == "kite" && m.how == "answered")
    );
    let after = bench.case(case_id).await;
    assert_eq!(after.moves, 1);
    assert_eq!(after.ladder_from, before.ladder_from);
}

#[tokio::test]
async fn an_unnamed_host_leads_to_the_origin_then_upstream_then_a_person() {
    let bench = Bench::new().await;
    let behind = bench.act("https://front.example/1").await;
    let front = bench.notices(behind).await.remove(0);
    bench.answer(&front, Answer::NotOurs).await;
    // The origin was told with the first notices; larch is above both.
    assert_eq!(
        bench.story(behind).await,
        [
            "front/host/not_ours",
            "kite/host/queued",
            "larch/upstream/sent"
        ]
    );

    let alone = bench.act("https://lonely.example/1").await;
    let notice = bench.notices(alone).await.remove(0);
    bench.answer(&notice, Answer::NotOurs).await;
    assert_eq!(
        bench.said_names(alone).await.last(),
        Some(&"ReviewRequested")
    );
}

#[tokio::test]
async fn a_question_pauses_the_ladder_and_its_answer_goes_out_as_the_next_message() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://kite.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.delivered(&notice).await;
    let mut item = Bench::item(&notice, Answer::NeedInformation);
    item.text = Some("Which account is it?".into());
    bench.answer_as(item).await;
    bench.pass(Duration::seconds(10)).await;
    assert_eq!(bench.story(case_id).await, ["kite/host/need_information"]);

    let mut tx = bench.pool.begin().await.unwrap();
    let supply = Supply {
        notice_id: notice.id,
        text: "The address in the notice is exact.".into(),
    };
    let replies = commands::supply(
        &mut tx,
        &bench.rules,
        bench.now(),
        std::slice::from_ref(&supply),
    )
    .await
    .unwrap();
    assert_eq!(replies[0].as_ref().unwrap(), &NoticeState::Delivered);
    let again = commands::supply(&mut tx, &bench.rules, bench.now(), &[supply])
        .await
        .unwrap();
    assert_eq!(again[0].as_ref().unwrap_err().code, "no_open_question");
    let contents = dispatch::store::documents(&mut tx, &bench.rules.keyring, &[notice.id])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(contents[0].message.as_str(), "information");
    assert_eq!(
        contents[0].text.as_deref(),
        Some("The address in the notice is exact.")
    );
    assert_eq!(bench.in_line(case_id).await, [(notice.id, 2)]);
    // Ten seconds of pause: the reminder that was due after five comes after fifteen.
    bench.pass(Duration::milliseconds(4900)).await;
    assert_eq!(bench.notices(case_id).await.len(), 1);
    bench.pass(Duration::milliseconds(100)).await;
    assert_eq!(bench.notices(case_id).await.len(), 2);
}

#[tokio::test]
async fn time_is_granted_within_bounds_and_ends_by_itself() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    let mut item = Bench::item(&notice, Answer::NeedTime);
    item.until = Some(bench.now() + Duration::days(30));
    bench.answer_as(item).await;
    let said = bench.said(case_id).await;
    let granted = bench.now() + Duration::seconds(20);
    assert!(
        matches!(said.last(), Some(Body::NoticeAnswered(a)) if a.until == Some(domain::wire::timestamp(granted)))
    );
    bench.pass(Duration::milliseconds(19_900)).await;
    assert_eq!(bench.story(case_id).await, ["amber/host/need_time"]);
    bench.pass(Duration::milliseconds(100)).await;
    assert_eq!(bench.story(case_id).await, ["amber/host/acknowledged"]);
    bench.pass(Duration::seconds(5)).await;
    assert_eq!(
        bench.story(case_id).await,
        ["amber/host/escalated", "amber/remind/sent"]
    );
}

#[tokio::test]
async fn pauses_do_not_hold_back_the_regulator() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    for _ in 0..5 {
        let notice = bench.notices(case_id).await.pop().unwrap();
        let mut item = Bench::item(&notice, Answer::NeedTime);
        item.until = Some(bench.now() + Duration::days(1));
        bench.answer_as(item).await;
        bench.pass(Duration::seconds(7)).await;
    }
    let said = bench.said(case_id).await;
    let regulator = proto::v1::Rung::Regulator as i32;
    assert!(
        said.iter()
            .any(|b| matches!(b, Body::NoticeEscalated(e) if e.rung == regulator))
    );
}

#[tokio::test]
async fn no_action_sends_it_further_up_at_once() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    assert_eq!(
        bench.answer(&notice, Answer::NoAction).await,
        NoticeState::NoAction
    );
    assert_eq!(
        bench.story(case_id).await,
        ["amber/host/no_action", "larch/upstream/sent"]
    );
}

#[tokio::test]
async fn an_answer_to_a_superseded_step_counts_once() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    bench.pass(Duration::seconds(5)).await;
    let notices = bench.notices(case_id).await;
    assert_eq!(notices.len(), 2);
    bench.answer(&notices[0], Answer::Removed).await;
    bench.answer(&notices[1], Answer::Removed).await;
    assert_eq!(
        bench.story(case_id).await,
        ["amber/host/removal_claimed", "amber/remind/removal_claimed"]
    );
    bench.looked(case_id, commands::Outcome::Gone).await;
    bench.looked(case_id, commands::Outcome::Gone).await;
    let said = bench.said_names(case_id).await;
    let confirmed = said.iter().filter(|n| **n == "RemovalConfirmed").count();
    assert_eq!(confirmed, 1);
}

#[tokio::test]
async fn an_answer_after_the_end_hears_the_state() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.looked(case_id, commands::Outcome::Gone).await;
    bench.looked(case_id, commands::Outcome::Gone).await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Watched);
    let before = bench.said_names(case_id).await;
    assert_eq!(
        bench.answer(&notice, Answer::Removed).await,
        NoticeState::Watched
    );
    assert_eq!(bench.said_names(case_id).await, before);
}

#[tokio::test]
async fn time_that_is_not_granted_stops_nothing() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    let mut item = Bench::item(&notice, Answer::NeedTime);
    item.until = Some(bench.now() + Duration::days(30));
    for _ in 0..2 {
        assert_eq!(bench.answer_as(item.clone()).await, NoticeState::NeedTime);
        bench.pass(Duration::seconds(20)).await;
    }
    assert_eq!(
        bench.answer_as(item.clone()).await,
        NoticeState::Acknowledged,
        "what the policy allows is used up"
    );
    let said = bench.said(case_id).await;
    assert!(matches!(said.last(), Some(Body::NoticeAnswered(a)) if a.until.is_none()));
    bench.pass(Duration::seconds(5)).await;
    let story = bench.story(case_id).await;
    assert!(story.contains(&"amber/remind/sent".into()), "{story:?}");
}

#[tokio::test]
async fn a_notice_points_elsewhere_once() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://amber.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    let answers = [Answer::NotOurs, Answer::Moved];
    for (n, named) in ["kite", "album", "lonely", "front"].into_iter().enumerate() {
        let mut item = Bench::item(&notice, answers[n % 2]);
        item.named = Some(named.into());
        bench.answer_as(item).await;
    }
    assert_eq!(
        bench.story(case_id).await,
        ["amber/host/moved", "kite/host/queued"]
    );
    assert_eq!(bench.case(case_id).await.moves, 1);
}

#[tokio::test]
async fn an_answer_that_came_during_a_hold_is_followed_after_it() {
    let bench = Bench::new().await;
    let moved = bench.act("https://amber.example/1").await;
    let refused = bench.act("https://amber.example/2").await;
    for case_id in [moved, refused] {
        bench.hold(case_id).await;
    }
    let notice = bench.notices(moved).await.remove(0);
    let mut item = Bench::item(&notice, Answer::NotOurs);
    item.named = Some("kite".into());
    bench.answer_as(item).await;
    let notice = bench.notices(refused).await.remove(0);
    bench.answer(&notice, Answer::NoAction).await;
    assert_eq!(bench.notices(moved).await.len(), 1, "nothing leaves");
    for case_id in [moved, refused] {
        bench.release(case_id).await;
        bench.hold(case_id).await;
        bench.release(case_id).await;
    }
    assert_eq!(
        bench.story(moved).await,
        ["amber/host/not_ours", "kite/host/queued"]
    );
    assert_eq!(
        bench.story(refused).await,
        ["amber/host/no_action", "larch/upstream/sent"]
    );
}
