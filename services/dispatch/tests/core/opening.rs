//! A decision opens notices to the providers that can remove the content, or none.

use crate::policy_times::{CHECKS_TO_AGREE, REGULATOR, REMIND};
use crate::support::{DispatchFixture, online};
use dispatch::cases::{self, ResolvedHost};
use domain::enums::{ContentStatus, DeliveryChannel, NoticeState};
use domain::event::Body;

#[tokio::test]
async fn a_decision_opens_a_notice_to_the_host_and_queues_its_message() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://img.album.example/a/1.jpg").await;
    let case = fixture.case(case_id).await;
    assert_eq!(
        (case.content_status, case.episode),
        (ContentStatus::Online, 1)
    );
    assert_eq!(case.dispatched_at, Some(fixture.now()));
    assert!(case.due_at > Some(fixture.now()) && case.unsettled);
    assert_eq!(fixture.next_check_at(case_id).await, Some(fixture.now()));

    let notices = fixture.notices(case_id).await;
    assert_eq!(fixture.notice_states(case_id).await, ["album/host/queued"]);
    assert_eq!(notices[0].id.uuid().get_version_num(), 4);
    assert_eq!(fixture.queued_messages(case_id).await, [(notices[0].id, 1)]);
}

#[tokio::test]
async fn a_notice_to_a_provider_that_pulls_is_sent_by_the_commit_and_not_queued() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://203.0.113.5/x").await;
    assert_eq!(fixture.notice_states(case_id).await, ["amber/host/sent"]);
    assert_eq!(fixture.event_names(case_id).await, ["NoticeSent"]);
    assert!(fixture.queued_messages(case_id).await.is_empty());
}

#[tokio::test]
async fn a_cdn_and_the_origin_behind_it_are_both_notified() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://front.example/x").await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["front/host/sent", "kite/host/queued"]
    );
    assert_eq!(
        fixture.notices(case_id).await[1].channel,
        DeliveryChannel::Email
    );
}

#[tokio::test]
async fn an_unknown_host_causes_a_review_and_the_last_rungs_fire_at_their_time() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://unknown.test/x").await;
    let events = fixture.events(case_id).await;
    assert!(
        matches!(&events[..], [Body::ReviewRequested(r)] if r.reason == proto::v1::ReviewReason::NoContact as i32)
    );
    fixture.advance_and_fire(REGULATOR).await;
    let case = fixture.case(case_id).await;
    assert_eq!(case.content_status, ContentStatus::Exhausted);
    assert!(case.ladder.row().flagged_at.is_some());
}

#[tokio::test]
async fn once_a_review_confirms_that_no_provider_is_known_the_ladder_ends_at_once() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://unknown.test/x").await;
    let events = fixture.events(case_id).await;
    let [Body::ReviewRequested(review)] = &events[..] else {
        panic!("no review was requested");
    };
    let upheld = Body::VerdictUpheld(proto::v1::VerdictUpheld {
        review_id: review.review_id.clone(),
        ..Default::default()
    });
    fixture.publish(vec![(case_id, upheld)]).await;
    let case = fixture.case(case_id).await;
    assert_eq!(case.content_status, ContentStatus::Exhausted);
    assert_eq!(
        case.ladder.row().last_rung,
        Some(domain::enums::Rung::Regulator)
    );
}

#[tokio::test]
async fn a_hidden_service_causes_a_review_and_is_never_checked() {
    let fixture = DispatchFixture::new().await;
    let onion = format!("http://{}.onion/x", "a".repeat(56));
    let case_id = fixture.open_case(&onion).await;
    let events = fixture.events(case_id).await;
    assert!(
        matches!(&events[..], [Body::ReviewRequested(r)] if r.reason == proto::v1::ReviewReason::Onion as i32)
    );
    assert_eq!(fixture.next_check_at(case_id).await, None);
}

#[tokio::test]
async fn without_a_valid_proof_no_notice_is_opened() {
    let fixture = DispatchFixture::new().await;
    let valid = fixture.sign_decision("https://album.example/a");
    let other = fixture.sign_decision("https://album.example/b");
    let mut forged = fixture.sign_decision("https://album.example/c");
    if let Some(proof) = &mut forged.event.proof {
        let mut bytes = proof.signature.to_vec();
        bytes[5] ^= 1;
        proof.signature = bytes.into();
    }
    let mut borrowed = fixture.sign_decision("https://album.example/d");
    borrowed.event.proof = other.event.proof.clone();
    let mut swapped = fixture.sign_decision("https://album.example/e");
    swapped.event.category = 3;
    let mut missing = fixture.sign_decision("https://album.example/f");
    missing.event.proof = None;
    let mut events = Vec::new();
    for decided in [&forged, &borrowed, &swapped, &missing, &valid] {
        events.push((decided.case_id, Body::CaseActionable(decided.event.clone())));
    }
    fixture.publish(events).await;
    assert_eq!(fixture.parked_reasons().await.len(), 4);
    assert_eq!(fixture.notice_states(valid.case_id).await.len(), 1);
    for invalid in [&forged, &borrowed, &swapped, &missing] {
        assert!(fixture.notices(invalid.case_id).await.is_empty());
    }
}

#[tokio::test]
async fn an_expired_proof_opens_no_notice_and_does_not_close_an_open_case() {
    let fixture = DispatchFixture::new().await;
    let late = fixture.sign_decision("https://album.example/late");
    let open = fixture.sign_decision("https://album.example/open");
    fixture
        .publish(vec![(
            open.case_id,
            Body::CaseActionable(open.event.clone()),
        )])
        .await;
    fixture.clock.advance(time::Duration::days(2));
    fixture
        .publish(vec![
            (late.case_id, Body::CaseActionable(late.event)),
            (open.case_id, Body::CaseActionable(open.event)),
        ])
        .await;
    // The event is not parked: later events of the case would wait behind it.
    assert!(fixture.parked_reasons().await.is_empty());
    assert!(fixture.notice_states(late.case_id).await.is_empty());
    assert_eq!(
        fixture.notice_states(open.case_id).await,
        ["album/host/queued"]
    );
}

#[tokio::test]
async fn a_repeated_decision_changes_nothing() {
    let fixture = DispatchFixture::new().await;
    let decided = fixture.sign_decision("https://amber.example/a");
    let event = Body::CaseActionable(decided.event);
    fixture
        .publish(vec![
            (decided.case_id, event.clone()),
            (decided.case_id, event.clone()),
        ])
        .await;
    fixture.publish(vec![(decided.case_id, event)]).await;
    assert_eq!(
        fixture.notice_states(decided.case_id).await,
        ["amber/host/sent"]
    );
    assert_eq!(fixture.event_names(decided.case_id).await, ["NoticeSent"]);
}

#[tokio::test]
async fn a_delivery_emits_one_event_and_may_be_recorded_after_an_answer() {
    let fixture = DispatchFixture::new().await;
    let first = fixture.open_case("https://kite.example/1").await;
    let notice = fixture.notices(first).await.remove(0);
    fixture.record_delivered(&notice).await;
    fixture.record_delivered(&notice).await;
    assert_eq!(
        fixture.event_names(first).await,
        ["NoticeSent", "NoticeDelivered"]
    );

    let second = fixture.open_case("https://kite.example/2").await;
    let notice = fixture.notices(second).await.remove(0);
    fixture
        .answer(&notice, domain::enums::Answer::Acknowledged)
        .await;
    assert!(fixture.queued_messages(second).await.is_empty());
    fixture.record_delivered(&notice).await;
    let notice = fixture.notices(second).await.remove(0);
    assert_eq!(notice.state, NoticeState::Acknowledged);
    assert_eq!(notice.delivered_at, Some(fixture.now()));
    assert_eq!(fixture.event_names(second).await, ["NoticeAnswered"]);
}

#[tokio::test]
async fn a_host_unknown_by_name_is_found_by_its_address() {
    let fixture = DispatchFixture::resolving_names(true).await;
    let found = fixture.open_case("https://somewhere.test/x").await;
    let unknown = fixture.open_case("https://nowhere.test/x").await;
    assert!(fixture.case(found).await.resolve_at.is_some());
    assert!(fixture.notices(found).await.is_empty());
    let resolved = [
        ResolvedHost {
            case_id: found,
            addresses: vec!["203.0.113.4".parse().unwrap()],
        },
        ResolvedHost {
            case_id: unknown,
            addresses: Vec::new(),
        },
    ];
    for _ in 0..2 {
        let mut tx = fixture.pool.begin().await.unwrap();
        cases::apply_resolved_hosts(&mut tx, &fixture.deps, fixture.now(), &resolved)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(fixture.notice_states(found).await, ["amber/host/sent"]);
    assert_eq!(fixture.event_names(unknown).await, ["ReviewRequested"]);
}

#[tokio::test]
async fn a_dns_lookup_without_a_result_causes_a_review() {
    let fixture = DispatchFixture::resolving_names(true).await;
    // `.invalid` never resolves (RFC 6761).
    let case_id = fixture.open_case("https://host.invalid/x").await;
    let clock = platform::clock::Clock::Manual(fixture.clock.clone());
    let resolved = dispatch::cases::resolve_due_hosts(&fixture.pool, &clock, &fixture.deps)
        .await
        .unwrap();
    assert_eq!(resolved, 1);
    assert_eq!(fixture.event_names(case_id).await, ["ReviewRequested"]);
}

#[tokio::test]
async fn a_re_appearance_at_a_host_unknown_by_name_waits_for_dns_again() {
    let fixture = DispatchFixture::resolving_names(true).await;
    let case_id = fixture.open_case("https://somewhere.test/x").await;
    fixture.resolve_host(case_id, Some("203.0.113.4")).await;
    fixture.record_check(case_id, online(100)).await;
    fixture.advance_and_fire(time::Duration::seconds(3)).await;
    for _ in 0..CHECKS_TO_AGREE {
        fixture
            .record_check(case_id, cases::CheckOutcome::Offline)
            .await;
    }
    fixture.advance_and_fire(time::Duration::seconds(60)).await;
    fixture.record_check(case_id, online(100)).await;
    let case = fixture.case(case_id).await;
    assert_eq!(
        (case.content_status, case.episode),
        (ContentStatus::Online, 2)
    );
    // No rung of the earlier episode fires during the lookup.
    fixture.advance_and_fire(time::Duration::seconds(1)).await;
    assert_eq!(fixture.notices(case_id).await.len(), 1);
    fixture.resolve_host(case_id, Some("203.0.113.4")).await;
    let notices = fixture.notices(case_id).await;
    assert_eq!(
        (notices.len(), notices[1].episode, notices[1].step),
        (2, 2, 1)
    );
    assert!(notices[1].overdue_from > Some(fixture.now()));
    fixture.advance_and_fire(REMIND).await;
    assert_eq!(fixture.notices(case_id).await.len(), 3);
}

#[tokio::test]
async fn a_failing_resolver_does_not_delay_the_regulators_rung() {
    let fixture = DispatchFixture::resolving_names(true).await;
    let case_id = fixture.open_case("https://somewhere.test/x").await;
    fixture.advance_and_fire(REGULATOR).await;
    assert!(
        fixture
            .case(case_id)
            .await
            .ladder
            .row()
            .flagged_at
            .is_some()
    );
    assert_eq!(
        fixture.event_names(case_id).await,
        ["NoticeEscalated", "NoticeEscalated"]
    );
    fixture.resolve_host(case_id, Some("203.0.113.4")).await;
    assert_eq!(fixture.notice_states(case_id).await, ["amber/host/sent"]);
}

#[tokio::test]
async fn after_a_review_the_host_is_resolved_again_before_the_last_rungs_fire() {
    let fixture = DispatchFixture::resolving_names(true).await;
    let found = fixture.open_case("https://somewhere.test/x").await;
    let unknown = fixture.open_case("https://nowhere.test/x").await;
    for case_id in [found, unknown] {
        fixture.resolve_host(case_id, None).await;
        fixture.uphold_review(case_id).await;
        assert_eq!(fixture.case(case_id).await.resolve_at, Some(fixture.now()));
    }
    fixture.resolve_host(found, Some("203.0.113.4")).await;
    fixture.resolve_host(unknown, None).await;
    assert_eq!(fixture.notice_states(found).await, ["amber/host/sent"]);
    let exhausted = fixture.case(unknown).await;
    assert_eq!(
        (exhausted.content_status, exhausted.resolve_at),
        (ContentStatus::Exhausted, None)
    );
}

#[tokio::test]
async fn a_case_that_cannot_be_decrypted_does_not_block_the_lookups_of_others() {
    let fixture = DispatchFixture::resolving_names(true).await;
    let corrupt = fixture.open_case("https://one.invalid/x").await;
    let intact = fixture.open_case("https://other.invalid/x").await;
    sqlx::query("update case_seal set sealed_content = decode('00', 'hex') where case_id = $1")
        .bind(corrupt.uuid())
        .execute(&fixture.pool)
        .await
        .unwrap();
    let clock = platform::clock::Clock::Manual(fixture.clock.clone());
    dispatch::cases::resolve_due_hosts(&fixture.pool, &clock, &fixture.deps)
        .await
        .unwrap();
    assert_eq!(fixture.event_names(intact).await, ["ReviewRequested"]);
    assert!(fixture.case(corrupt).await.resolve_at > Some(fixture.now()));
}
