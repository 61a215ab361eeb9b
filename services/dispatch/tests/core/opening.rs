//! A decision becomes notices to whoever can remove it, or nothing.

use dispatch::commands::{self, Attributed};
use domain::event::Body;
use domain::word::{DeliveryChannel, LiveState, NoticeState};

use crate::support::{Bench, up};

#[tokio::test]
async fn a_decision_opens_a_notice_to_the_host_and_puts_it_in_line() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://img.album.example/a/1.jpg").await;
    let case = bench.case(case_id).await;
    assert_eq!((case.live, case.episode), (LiveState::Up, 1));
    assert_eq!(case.dispatched_at, Some(bench.now()));
    assert!(case.due_at > Some(bench.now()) && case.unsettled);
    assert_eq!(bench.look_at(case_id).await, Some(bench.now()));

    let notices = bench.notices(case_id).await;
    assert_eq!(bench.story(case_id).await, ["album/host/queued"]);
    assert_eq!(notices[0].id.uuid().get_version_num(), 4);
    assert_eq!(bench.in_line(case_id).await, [(notices[0].id, 1)]);
}

#[tokio::test]
async fn who_pulls_has_it_sent_by_the_commit_and_nothing_goes_out() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://203.0.113.5/x").await;
    assert_eq!(bench.story(case_id).await, ["amber/host/sent"]);
    assert_eq!(bench.said_names(case_id).await, ["NoticeSent"]);
    assert!(bench.in_line(case_id).await.is_empty());
}

#[tokio::test]
async fn a_cdn_and_the_origin_behind_it_are_both_told() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://front.example/x").await;
    assert_eq!(
        bench.story(case_id).await,
        ["front/host/sent", "kite/host/queued"]
    );
    assert_eq!(
        bench.notices(case_id).await[1].channel,
        DeliveryChannel::Email
    );
}

#[tokio::test]
async fn a_host_that_nobody_knows_asks_verification_and_the_last_rungs_are_armed() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://unknown.test/x").await;
    let said = bench.said(case_id).await;
    assert!(
        matches!(&said[..], [Body::ReviewRequested(r)] if r.reason == proto::v1::ReviewReason::NoContact as i32)
    );
    bench.pass(time::Duration::seconds(31)).await;
    let case = bench.case(case_id).await;
    assert_eq!(case.live, LiveState::Exhausted);
    assert!(case.flagged_at.is_some());
}

#[tokio::test]
async fn where_nobody_can_be_told_the_ladder_ends_at_its_last_rung_at_once() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://unknown.test/x").await;
    let said = bench.said(case_id).await;
    let [Body::ReviewRequested(asked)] = &said[..] else {
        panic!("nobody was asked");
    };
    let upheld = Body::VerdictUpheld(proto::v1::VerdictUpheld {
        review_id: asked.review_id.clone(),
        ..Default::default()
    });
    bench.say(vec![(case_id, upheld)]).await;
    let case = bench.case(case_id).await;
    assert_eq!(case.live, LiveState::Exhausted);
    assert_eq!(case.last_rung, Some(domain::word::Rung::Regulator));
}

#[tokio::test]
async fn a_hidden_service_asks_verification_and_is_never_looked_at() {
    let bench = Bench::new().await;
    let onion = format!("http://{}.onion/x", "a".repeat(56));
    let case_id = bench.act(&onion).await;
    let said = bench.said(case_id).await;
    assert!(
        matches!(&said[..], [Body::ReviewRequested(r)] if r.reason == proto::v1::ReviewReason::Onion as i32)
    );
    assert_eq!(bench.look_at(case_id).await, None);
}

#[tokio::test]
async fn without_a_true_proof_nothing_is_opened() {
    let bench = Bench::new().await;
    let good = bench.decide("https://album.example/a");
    let other = bench.decide("https://album.example/b");
    let mut forged = bench.decide("https://album.example/c");
    if let Some(proof) = &mut forged.event.proof {
        let mut bytes = proof.signature.to_vec();
        bytes[5] ^= 1;
        proof.signature = bytes.into();
    }
    let mut borrowed = bench.decide("https://album.example/d");
    borrowed.event.proof = other.event.proof.clone();
    let mut swapped = bench.decide("https://album.example/e");
    swapped.event.category = 3;
    let mut bare = bench.decide("https://album.example/f");
    bare.event.proof = None;
    let mut events = Vec::new();
    for decided in [&forged, &borrowed, &swapped, &bare, &good] {
        events.push((decided.case_id, Body::CaseActionable(decided.event.clone())));
    }
    bench.say(events).await;
    assert_eq!(bench.parked().await.len(), 4);
    assert_eq!(bench.story(good.case_id).await.len(), 1);
    for bad in [&forged, &borrowed, &swapped, &bare] {
        assert!(bench.notices(bad.case_id).await.is_empty());
    }
}

#[tokio::test]
async fn an_expired_proof_opens_nothing_but_does_not_end_what_is_open() {
    let bench = Bench::new().await;
    let late = bench.decide("https://album.example/late");
    let open = bench.decide("https://album.example/open");
    bench
        .say(vec![(
            open.case_id,
            Body::CaseActionable(open.event.clone()),
        )])
        .await;
    bench.clock.advance(time::Duration::days(2));
    bench
        .say(vec![
            (late.case_id, Body::CaseActionable(late.event)),
            (open.case_id, Body::CaseActionable(open.event)),
        ])
        .await;
    // It is not parked: what verification says next of the case would wait behind it.
    assert!(bench.parked().await.is_empty());
    assert!(bench.story(late.case_id).await.is_empty());
    assert_eq!(bench.story(open.case_id).await, ["album/host/queued"]);
}

#[tokio::test]
async fn a_repeated_decision_changes_nothing() {
    let bench = Bench::new().await;
    let decided = bench.decide("https://amber.example/a");
    let event = Body::CaseActionable(decided.event);
    bench
        .say(vec![
            (decided.case_id, event.clone()),
            (decided.case_id, event.clone()),
        ])
        .await;
    bench.say(vec![(decided.case_id, event)]).await;
    assert_eq!(bench.story(decided.case_id).await, ["amber/host/sent"]);
    assert_eq!(bench.said_names(decided.case_id).await, ["NoticeSent"]);
}

#[tokio::test]
async fn a_delivery_is_said_once_and_an_answer_may_overtake_it() {
    let bench = Bench::new().await;
    let first = bench.act("https://kite.example/1").await;
    let notice = bench.notices(first).await.remove(0);
    bench.delivered(&notice).await;
    bench.delivered(&notice).await;
    assert_eq!(
        bench.said_names(first).await,
        ["NoticeSent", "NoticeDelivered"]
    );

    let second = bench.act("https://kite.example/2").await;
    let notice = bench.notices(second).await.remove(0);
    bench
        .answer(&notice, domain::word::Answer::Acknowledged)
        .await;
    assert!(bench.in_line(second).await.is_empty());
    bench.delivered(&notice).await;
    let notice = bench.notices(second).await.remove(0);
    assert_eq!(notice.state, NoticeState::Acknowledged);
    assert_eq!(notice.delivered_at, Some(bench.now()));
    assert_eq!(bench.said_names(second).await, ["NoticeAnswered"]);
}

#[tokio::test]
async fn a_host_that_only_dns_knows_is_found_by_its_address() {
    let bench = Bench::looking_up(true).await;
    let found = bench.act("https://somewhere.test/x").await;
    let lost = bench.act("https://nowhere.test/x").await;
    assert!(bench.case(found).await.resolve_at.is_some());
    assert!(bench.notices(found).await.is_empty());
    let answers = [
        Attributed {
            case_id: found,
            addresses: vec!["203.0.113.4".parse().unwrap()],
        },
        Attributed {
            case_id: lost,
            addresses: Vec::new(),
        },
    ];
    for _ in 0..2 {
        let mut tx = bench.pool.begin().await.unwrap();
        commands::attributed(&mut tx, &bench.rules, bench.now(), &answers)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(bench.story(found).await, ["amber/host/sent"]);
    assert_eq!(bench.said_names(lost).await, ["ReviewRequested"]);
}

#[tokio::test]
async fn a_look_up_that_finds_nothing_ends_with_a_person() {
    let bench = Bench::looking_up(true).await;
    // `.invalid` never resolves (RFC 6761).
    let case_id = bench.act("https://nobody.invalid/x").await;
    let clock = platform::clock::Clock::Manual(bench.clock.clone());
    let made = dispatch::attribution::run_once(&bench.pool, &clock, &bench.rules)
        .await
        .unwrap();
    assert_eq!(made, 1);
    assert_eq!(bench.said_names(case_id).await, ["ReviewRequested"]);
}

#[tokio::test]
async fn what_comes_back_to_a_host_that_only_dns_knows_begins_anew() {
    let bench = Bench::looking_up(true).await;
    let case_id = bench.act("https://somewhere.test/x").await;
    bench.resolved(case_id, Some("203.0.113.4")).await;
    bench.looked(case_id, up(100)).await;
    bench.pass(time::Duration::seconds(3)).await;
    for _ in 0..2 {
        bench.looked(case_id, commands::Outcome::Gone).await;
    }
    bench.pass(time::Duration::seconds(60)).await;
    bench.looked(case_id, up(100)).await;
    let case = bench.case(case_id).await;
    assert_eq!((case.live, case.episode), (LiveState::Up, 2));
    // The look-up takes its time: no rung of the earlier appearance fires meanwhile.
    bench.pass(time::Duration::seconds(1)).await;
    assert_eq!(bench.notices(case_id).await.len(), 1);
    bench.resolved(case_id, Some("203.0.113.4")).await;
    let notices = bench.notices(case_id).await;
    assert_eq!(
        (notices.len(), notices[1].episode, notices[1].step),
        (2, 2, 1)
    );
    assert!(notices[1].overdue_from > Some(bench.now()));
    bench.pass(time::Duration::seconds(5)).await;
    assert_eq!(bench.notices(case_id).await.len(), 3);
}

#[tokio::test]
async fn a_resolver_that_is_down_delays_no_regulator() {
    let bench = Bench::looking_up(true).await;
    let case_id = bench.act("https://somewhere.test/x").await;
    bench.pass(time::Duration::seconds(31)).await;
    assert!(bench.case(case_id).await.flagged_at.is_some());
    assert_eq!(
        bench.said_names(case_id).await,
        ["NoticeEscalated", "NoticeEscalated"]
    );
    bench.resolved(case_id, Some("203.0.113.4")).await;
    assert_eq!(bench.story(case_id).await, ["amber/host/sent"]);
}

#[tokio::test]
async fn a_host_that_a_person_vouches_for_is_looked_up_again_before_it_is_given_up() {
    let bench = Bench::looking_up(true).await;
    let found = bench.act("https://somewhere.test/x").await;
    let lost = bench.act("https://nowhere.test/x").await;
    for case_id in [found, lost] {
        bench.resolved(case_id, None).await;
        bench.uphold(case_id).await;
        assert_eq!(bench.case(case_id).await.resolve_at, Some(bench.now()));
    }
    bench.resolved(found, Some("203.0.113.4")).await;
    bench.resolved(lost, None).await;
    assert_eq!(bench.story(found).await, ["amber/host/sent"]);
    let given_up = bench.case(lost).await;
    assert_eq!(
        (given_up.live, given_up.resolve_at),
        (LiveState::Exhausted, None)
    );
}

#[tokio::test]
async fn a_case_that_cannot_be_opened_keeps_no_other_from_its_look_up() {
    let bench = Bench::looking_up(true).await;
    let rotten = bench.act("https://one.invalid/x").await;
    let sound = bench.act("https://other.invalid/x").await;
    sqlx::query("update case_seal set sealed_item = decode('00', 'hex') where case_id = $1")
        .bind(rotten.uuid())
        .execute(&bench.pool)
        .await
        .unwrap();
    let clock = platform::clock::Clock::Manual(bench.clock.clone());
    dispatch::attribution::run_once(&bench.pool, &clock, &bench.rules)
        .await
        .unwrap();
    assert_eq!(bench.said_names(sound).await, ["ReviewRequested"]);
    assert!(bench.case(rotten).await.resolve_at > Some(bench.now()));
}
