//! The effects of each answer.

use crate::policy_times::{INSTANT, LONGEST_PAUSE, LONGEST_PAUSES, REGULATOR, REMIND};
use crate::support::{DispatchFixture, id};
use dispatch::cases::{self, SuppliedInformation};
use domain::enums::{Answer, ContentStatus, NoticeState};
use domain::event::Body;
use proto::v1;
use time::Duration;

#[tokio::test]
async fn a_repeated_answer_is_success_without_a_second_event() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    for answer in [Answer::Acknowledged, Answer::Preserved, Answer::Removed] {
        let first = fixture.answer(&notice, answer).await;
        let second = fixture.answer(&notice, answer).await;
        assert_eq!(first, second);
    }
    let answered = fixture.event_names(case_id).await;
    let answered = answered.iter().filter(|n| **n == "NoticeAnswered").count();
    assert_eq!(answered, 3);
}

#[tokio::test]
async fn several_answers_to_one_notice_in_one_batch_apply_in_order() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    let answers = [
        DispatchFixture::unsent_answer(&notice, Answer::Acknowledged),
        DispatchFixture::unsent_answer(&notice, Answer::Removed),
        DispatchFixture::unsent_answer(&notice, Answer::Removed),
    ];
    let mut tx = fixture.pool.begin().await.unwrap();
    let replies = cases::apply_answers(&mut tx, &fixture.deps, fixture.now(), &answers)
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
        fixture.event_names(case_id).await,
        ["NoticeSent", "NoticeAnswered", "NoticeAnswered"]
    );
}

#[tokio::test]
async fn an_answer_to_another_providers_notice_is_not_found() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    let mut answer = DispatchFixture::unsent_answer(&notice, Answer::Removed);
    answer.provider_id = id("kite");
    let mut tx = fixture.pool.begin().await.unwrap();
    let replies = cases::apply_answers(&mut tx, &fixture.deps, fixture.now(), &[answer])
        .await
        .unwrap();
    assert_eq!(replies[0].as_ref().unwrap_err().code, "not_found");
}

#[tokio::test]
async fn a_named_host_is_notified_at_once_and_the_deadlines_stay() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let before = fixture.case(case_id).await;
    fixture.advance_and_fire(Duration::seconds(2)).await;
    let notice = fixture.notices(case_id).await.remove(0);
    let mut answer = DispatchFixture::unsent_answer(&notice, Answer::NotOurs);
    answer.named = Some("sub.kite.example".into());
    assert_eq!(fixture.send_answer(answer).await, NoticeState::NotOurs);
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["amber/host/not_ours", "kite/host/queued"]
    );
    let events = fixture.events(case_id).await;
    assert!(
        matches!(&events[2], Body::HostMoved(m) if m.to_provider_id == "kite" && m.source() == v1::HostMoveSource::Answered)
    );
    let after = fixture.case(case_id).await;
    assert_eq!(after.moves, 1);
    assert_eq!(
        after.ladder.row().ladder_from,
        before.ladder.row().ladder_from
    );
}

#[tokio::test]
async fn without_a_named_host_the_origin_then_upstream_then_a_person_is_next() {
    let fixture = DispatchFixture::new().await;
    let behind = fixture.open_case("https://front.example/1").await;
    let front = fixture.notices(behind).await.remove(0);
    fixture.answer(&front, Answer::NotOurs).await;
    // The origin, kite, was notified with the first notices; larch is upstream of both.
    assert_eq!(
        fixture.notice_states(behind).await,
        [
            "front/host/not_ours",
            "kite/host/queued",
            "larch/upstream/sent"
        ]
    );

    let isolated = fixture.open_case("https://lonely.example/1").await;
    let notice = fixture.notices(isolated).await.remove(0);
    fixture.answer(&notice, Answer::NotOurs).await;
    assert_eq!(
        fixture.event_names(isolated).await.last(),
        Some(&"ReviewRequested")
    );
}

#[tokio::test]
async fn a_question_pauses_the_ladder_and_the_hotlines_answer_is_the_next_message() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://kite.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.record_delivered(&notice).await;
    let mut answer = DispatchFixture::unsent_answer(&notice, Answer::NeedInformation);
    answer.text = Some("Which account is it?".into());
    fixture.send_answer(answer).await;
    let pause = Duration::seconds(10);
    assert!(REMIND < pause && pause < LONGEST_PAUSE);
    fixture.advance_and_fire(pause).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["kite/host/need_information"]
    );

    let mut tx = fixture.pool.begin().await.unwrap();
    let supply = SuppliedInformation {
        notice_id: notice.id,
        text: "The address in the notice is exact.".into(),
    };
    let replies = cases::supply_information(
        &mut tx,
        &fixture.deps,
        fixture.now(),
        std::slice::from_ref(&supply),
    )
    .await
    .unwrap();
    assert_eq!(replies[0].as_ref().unwrap(), &NoticeState::Delivered);
    let again = cases::supply_information(&mut tx, &fixture.deps, fixture.now(), &[supply])
        .await
        .unwrap();
    assert_eq!(again[0].as_ref().unwrap_err().code, "no_open_question");
    let contents = dispatch::cases::notice_contents(&mut tx, &fixture.deps.keyring, &[notice.id])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(contents[0].message.as_str(), "information");
    assert_eq!(
        contents[0].text.as_deref(),
        Some("The address in the notice is exact.")
    );
    assert_eq!(fixture.queued_messages(case_id).await, [(notice.id, 2)]);
    // The reminder is due as long after the pause as it was before it.
    fixture.advance_and_fire(REMIND - INSTANT).await;
    assert_eq!(fixture.notices(case_id).await.len(), 1);
    fixture.advance_and_fire(INSTANT).await;
    assert_eq!(fixture.notices(case_id).await.len(), 2);
}

#[tokio::test]
async fn requested_time_is_granted_up_to_the_policys_limit_and_then_ends() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    let mut answer = DispatchFixture::unsent_answer(&notice, Answer::NeedTime);
    answer.until = Some(fixture.now() + Duration::days(30));
    fixture.send_answer(answer).await;
    let events = fixture.events(case_id).await;
    let granted = fixture.now() + LONGEST_PAUSE;
    assert!(
        matches!(events.last(), Some(Body::NoticeAnswered(a)) if a.until == Some(domain::wire::timestamp(granted)))
    );
    fixture.advance_and_fire(LONGEST_PAUSE - INSTANT).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["amber/host/need_time"]
    );
    fixture.advance_and_fire(INSTANT).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["amber/host/acknowledged"]
    );
    fixture.advance_and_fire(REMIND).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["amber/host/escalated", "amber/remind/sent"]
    );
}

#[tokio::test]
async fn pauses_do_not_delay_the_regulators_rung() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let rounds = 5;
    for _ in 0..rounds {
        let notice = fixture.notices(case_id).await.pop().unwrap();
        let mut answer = DispatchFixture::unsent_answer(&notice, Answer::NeedTime);
        answer.until = Some(fixture.now() + Duration::days(1));
        fixture.send_answer(answer).await;
        fixture.advance_and_fire(REGULATOR / rounds).await;
    }
    let events = fixture.events(case_id).await;
    let regulator = proto::v1::Rung::Regulator as i32;
    assert!(
        events
            .iter()
            .any(|b| matches!(b, Body::NoticeEscalated(e) if e.rung == regulator))
    );
}

#[tokio::test]
async fn no_action_escalates_upstream_at_once() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    assert_eq!(
        fixture.answer(&notice, Answer::NoAction).await,
        NoticeState::NoAction
    );
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["amber/host/no_action", "larch/upstream/sent"]
    );
}

#[tokio::test]
async fn an_answer_to_a_superseded_step_counts_once() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    fixture.advance_and_fire(REMIND).await;
    let notices = fixture.notices(case_id).await;
    assert_eq!(notices.len(), 2);
    fixture.answer(&notices[0], Answer::Removed).await;
    fixture.answer(&notices[1], Answer::Removed).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["amber/host/removal_claimed", "amber/remind/removal_claimed"]
    );
    fixture
        .record_check(case_id, cases::CheckOutcome::Offline)
        .await;
    fixture
        .record_check(case_id, cases::CheckOutcome::Offline)
        .await;
    let names = fixture.event_names(case_id).await;
    let confirmed = names.iter().filter(|n| **n == "RemovalConfirmed").count();
    assert_eq!(confirmed, 1);
}

#[tokio::test]
async fn an_answer_after_the_removal_gets_the_notices_state() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture
        .record_check(case_id, cases::CheckOutcome::Offline)
        .await;
    fixture
        .record_check(case_id, cases::CheckOutcome::Offline)
        .await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Watched
    );
    let before = fixture.event_names(case_id).await;
    assert_eq!(
        fixture.answer(&notice, Answer::Removed).await,
        NoticeState::Watched
    );
    assert_eq!(fixture.event_names(case_id).await, before);
}

#[tokio::test]
async fn time_beyond_the_policys_total_does_not_pause_the_ladder() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    let mut answer = DispatchFixture::unsent_answer(&notice, Answer::NeedTime);
    answer.until = Some(fixture.now() + Duration::days(30));
    for _ in 0..LONGEST_PAUSES.whole_seconds() / LONGEST_PAUSE.whole_seconds() {
        assert_eq!(
            fixture.send_answer(answer.clone()).await,
            NoticeState::NeedTime
        );
        fixture.advance_and_fire(LONGEST_PAUSE).await;
    }
    assert_eq!(
        fixture.send_answer(answer.clone()).await,
        NoticeState::Acknowledged,
        "the policy's total is used up"
    );
    let events = fixture.events(case_id).await;
    assert!(matches!(events.last(), Some(Body::NoticeAnswered(a)) if a.until.is_none()));
    fixture.advance_and_fire(REMIND).await;
    let states = fixture.notice_states(case_id).await;
    assert!(states.contains(&"amber/remind/sent".into()), "{states:?}");
}

#[tokio::test]
async fn only_the_first_host_that_a_notice_names_is_notified() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://amber.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    let answers = [Answer::NotOurs, Answer::Moved];
    for (n, named) in ["kite", "album", "lonely", "front"].into_iter().enumerate() {
        let mut answer = DispatchFixture::unsent_answer(&notice, answers[n % 2]);
        answer.named = Some(named.into());
        fixture.send_answer(answer).await;
    }
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["amber/host/moved", "kite/host/queued"]
    );
    assert_eq!(fixture.case(case_id).await.moves, 1);
}

#[tokio::test]
async fn an_answer_during_a_police_hold_takes_effect_after_it() {
    let fixture = DispatchFixture::new().await;
    let moved = fixture.open_case("https://amber.example/1").await;
    let refused = fixture.open_case("https://amber.example/2").await;
    for case_id in [moved, refused] {
        fixture.hold_case(case_id).await;
    }
    let notice = fixture.notices(moved).await.remove(0);
    let mut answer = DispatchFixture::unsent_answer(&notice, Answer::NotOurs);
    answer.named = Some("kite".into());
    fixture.send_answer(answer).await;
    let notice = fixture.notices(refused).await.remove(0);
    fixture.answer(&notice, Answer::NoAction).await;
    assert_eq!(
        fixture.notices(moved).await.len(),
        1,
        "nothing is sent during the hold"
    );
    for case_id in [moved, refused] {
        fixture.release_case(case_id).await;
        fixture.hold_case(case_id).await;
        fixture.release_case(case_id).await;
    }
    assert_eq!(
        fixture.notice_states(moved).await,
        ["amber/host/not_ours", "kite/host/queued"]
    );
    assert_eq!(
        fixture.notice_states(refused).await,
        ["amber/host/no_action", "larch/upstream/sent"]
    );
}
