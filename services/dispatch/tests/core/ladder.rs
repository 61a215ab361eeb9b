//! Rungs fire once and never early, and each contacts the next party.

use domain::enums::{Answer, ContentStatus, DeliveryChannel, NoticeState, Rung};
use domain::event::Body;
use proto::v1;
use time::Duration;

use crate::policy_times::{
    INSTANT, NEXT_CONTACT, REGISTRAR, REGULATOR, REMIND, SUPERVISOR, UPSTREAM,
};
use crate::support::DispatchFixture;

#[tokio::test]
async fn without_an_answer_every_rung_fires_at_its_time_up_to_the_regulators_list() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://album.example/1").await;
    let steps = [
        (REMIND, "album", Rung::Remind),
        (NEXT_CONTACT, "album", Rung::NextContact),
        (UPSTREAM, "larch", Rung::Upstream),
        (REGISTRAR, "names", Rung::Registrar),
    ];
    let mut elapsed = Duration::ZERO;
    for (n, (due, provider, rung)) in steps.into_iter().enumerate() {
        fixture.advance_and_fire(due - elapsed - INSTANT).await;
        assert_eq!(
            fixture.notices(case_id).await.len(),
            n + 1,
            "{rung} is early"
        );
        fixture.advance_and_fire(INSTANT).await;
        elapsed = due;
        let notices = fixture.notices(case_id).await;
        assert_eq!(notices.len(), n + 2, "{rung}");
        let newest = notices.last().unwrap();
        assert_eq!((newest.provider_id.as_str(), newest.rung), (provider, rung));
        assert_eq!(newest.step as usize, n + 2);
    }
    let next = &fixture.notices(case_id).await[2];
    assert_eq!(next.channel, DeliveryChannel::Email);
    fixture.advance_and_fire(SUPERVISOR - elapsed).await;
    assert!(
        fixture
            .case(case_id)
            .await
            .ladder
            .row()
            .flagged_at
            .is_some()
    );
    fixture.advance_and_fire(REGULATOR - SUPERVISOR).await;
    let listed: i64 = sqlx::query_scalar("select count(*) from regulator_list")
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(listed, 1);
    let case = fixture.case(case_id).await;
    assert_eq!(
        (
            case.content_status,
            case.ladder.row().last_rung,
            case.due_at
        ),
        (ContentStatus::Exhausted, Some(Rung::Regulator), None)
    );
    assert!(!case.unsettled);

    let rungs: Vec<i32> = fixture
        .events(case_id)
        .await
        .iter()
        .filter_map(|body| match body {
            Body::NoticeEscalated(e) => {
                assert!(e.fired_at.map(|t| t.seconds) >= e.due_at.map(|t| t.seconds));
                Some(e.rung)
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        rungs,
        [
            v1::Rung::Remind as i32,
            v1::Rung::NextContact as i32,
            v1::Rung::Upstream as i32,
            v1::Rung::Registrar as i32,
            v1::Rung::Supervisor as i32,
            v1::Rung::Regulator as i32,
        ]
    );
}

#[tokio::test]
async fn rungs_missed_during_downtime_fire_once_and_in_order() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://album.example/1").await;
    fixture.advance_and_fire(Duration::hours(1)).await;
    let notices = fixture.notices(case_id).await;
    assert_eq!(notices.len(), 5);
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Exhausted
    );
    let before = fixture.event_names(case_id).await;
    fixture.advance_and_fire(Duration::hours(1)).await;
    assert_eq!(fixture.event_names(case_id).await, before);
}

#[tokio::test]
async fn a_removal_after_the_last_rung_still_counts() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://lonely.example/1").await;
    fixture.advance_and_fire(REGULATOR).await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Exhausted
    );
    fixture
        .record_check(case_id, dispatch::cases::CheckOutcome::Offline)
        .await;
    fixture
        .record_check(case_id, dispatch::cases::CheckOutcome::Offline)
        .await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Watched
    );
}

#[tokio::test]
async fn a_failed_endpoint_is_replaced_by_the_next_channel_and_then_the_next_provider() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://album.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.record_unreachable(&notice).await;
    let rerouted = fixture.notices(case_id).await.remove(0);
    assert_eq!(
        (rerouted.id, rerouted.channel, rerouted.step),
        (notice.id, DeliveryChannel::Email, 1)
    );
    assert_eq!(fixture.queued_messages(case_id).await, [(notice.id, 1)]);
    // A second failure of the replaced delivery channel has no effect.
    fixture.record_unreachable(&notice).await;
    fixture.record_unreachable(&rerouted).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["album/host/bounced", "larch/upstream/sent"]
    );
    assert_eq!(
        fixture.event_names(case_id).await,
        ["NoticeBounced", "NoticeSent", "NoticeEscalated"]
    );
    // The ladder's upstream rung finds no further provider; the registrar is notified at its time.
    fixture.advance_and_fire(UPSTREAM).await;
    let states = fixture.notice_states(case_id).await;
    assert!(!states.iter().any(|s| s.starts_with("names/")));
    fixture.advance_and_fire(REGISTRAR - UPSTREAM).await;
    assert!(
        fixture
            .notice_states(case_id)
            .await
            .contains(&"names/registrar/queued".to_owned())
    );
}

#[tokio::test]
async fn timers_of_the_most_severe_cases_fire_first() {
    let fixture = DispatchFixture::new().await;
    let less_severe = fixture.open_case("https://amber.example/c").await;
    let severe = fixture.open_case("https://amber.example/a").await;
    sqlx::query("update dispatch_case set category = 'C' where case_id = $1")
        .bind(less_severe.uuid())
        .execute(&fixture.pool)
        .await
        .unwrap();
    let mut tx = fixture.pool.begin().await.unwrap();
    let due = dispatch::cases::claim_due(&mut tx, fixture.now() + Duration::HOUR, 1)
        .await
        .unwrap();
    assert_eq!(due, [severe]);
}

#[tokio::test]
async fn a_case_that_cannot_be_read_does_not_block_the_others() {
    let fixture = DispatchFixture::new().await;
    let corrupt = fixture.open_case("https://amber.example/1").await;
    let intact = fixture.open_case("https://amber.example/2").await;
    sqlx::query("update notice set provider_id = 'NO SUCH ID' where case_id = $1")
        .bind(corrupt.uuid())
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture.advance_and_fire(REMIND).await;
    assert_eq!(
        fixture.notice_states(intact).await,
        ["amber/host/escalated", "amber/remind/sent"]
    );
    assert!(fixture.case(corrupt).await.due_at > Some(fixture.now()));
    sqlx::query("update notice set provider_id = 'amber' where case_id = $1")
        .bind(corrupt.uuid())
        .execute(&fixture.pool)
        .await
        .unwrap();
    let retry_after = Duration::minutes(5);
    fixture.advance_and_fire(retry_after).await;
    assert!(
        fixture.notices(corrupt).await.len() > 1,
        "its timers fire after the repair"
    );
}

#[tokio::test]
async fn a_changed_policy_skips_no_rung_and_fires_none_twice() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://album.example/1").await;
    fixture.advance_and_fire(REMIND).await;
    assert_eq!(fixture.notices(case_id).await.len(), 2);
    let demo = include_str!("../../../../deploy/policies/demo.yaml");
    let first = "- { after: 5s, rung: remind";
    let with_earlier_rung = demo.replacen(
        first,
        &format!("- {{ after: 3s, rung: next_contact, when: unremoved }}\n      {first}"),
        1,
    );
    let mut deps = fixture.deps.clone();
    deps.policy = std::sync::Arc::new(dispatch::policy::parse(&with_earlier_rung).unwrap());
    sqlx::query("update dispatch_case set due_at = $1")
        .bind(fixture.now())
        .execute(&fixture.pool)
        .await
        .unwrap();
    let mut tx = fixture.pool.begin().await.unwrap();
    dispatch::cases::fire_due_rungs(&mut tx, &deps, fixture.now(), &[case_id])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let rungs: Vec<Rung> = fixture
        .notices(case_id)
        .await
        .iter()
        .map(|n| n.rung)
        .collect();
    assert_eq!(rungs, [Rung::Host, Rung::Remind, Rung::NextContact]);
}

#[tokio::test]
async fn a_retired_endpoint_is_not_used_until_it_is_set_again() {
    let fixture = DispatchFixture::new().await;
    let first = fixture.open_case("https://album.example/1").await;
    let notice = fixture.notices(first).await.remove(0);
    fixture.record_unreachable(&notice).await;
    let next = fixture.open_case("https://album.example/2").await;
    assert_eq!(
        fixture.notices(next).await[0].channel,
        DeliveryChannel::Email
    );
    fixture.clock.advance(Duration::seconds(1));
    fixture.upsert_host("album", DeliveryChannel::Webhook).await;
    let set_again = fixture.open_case("https://album.example/3").await;
    let notice = fixture.notices(set_again).await.remove(0);
    assert_eq!(notice.channel, DeliveryChannel::Webhook);
    // An attempt that began before the endpoint was set again does not retire it.
    let mut tx = fixture.pool.begin().await.unwrap();
    let failed = dispatch::cases::FailedChannel {
        notice_id: notice.id,
        channel: DeliveryChannel::Webhook,
        reason: "gone",
        attempts: 1,
        claimed_at: fixture.now() - Duration::seconds(1),
    };
    dispatch::cases::record_unreachable(&mut tx, &fixture.deps, fixture.now(), &[failed])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let after = fixture.open_case("https://album.example/4").await;
    assert_eq!(
        fixture.notices(after).await[0].channel,
        DeliveryChannel::Webhook
    );
}

#[tokio::test]
async fn after_no_action_the_next_rung_fires_if_upstream_was_notified_already() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://front.example/1").await;
    let notices = fixture.notices(case_id).await;
    // larch is notified because kite cannot be reached, so front has no upstream provider left to notify.
    fixture.record_unreachable(&notices[1]).await;
    fixture.answer(&notices[0], Answer::NoAction).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        [
            "front/host/no_action",
            "kite/host/bounced",
            "larch/upstream/sent",
            "names/registrar/queued"
        ]
    );
}

#[tokio::test]
async fn a_host_found_after_the_last_rung_starts_a_new_ladder() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://latecomer.example/1").await;
    fixture.advance_and_fire(REGULATOR).await;
    let before = fixture.case(case_id).await;
    assert_eq!(before.content_status, ContentStatus::Exhausted);
    fixture.upsert_host("latecomer", DeliveryChannel::Api).await;
    fixture.uphold_review(case_id).await;
    let after = fixture.case(case_id).await;
    assert_eq!(
        (
            after.content_status,
            after.ladder.row().episode_at,
            after.ladder.row().ladder_from
        ),
        (
            ContentStatus::Online,
            before.ladder.row().episode_at,
            Some(fixture.now())
        )
    );
    fixture.advance_and_fire(REMIND).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["latecomer/host/escalated", "latecomer/remind/sent"]
    );
    fixture.advance_and_fire(REGULATOR).await;
    assert_eq!(
        fixture.case(case_id).await.content_status,
        ContentStatus::Exhausted
    );
    let events = fixture.events(case_id).await;
    let listed = events
        .iter()
        .filter(|b| matches!(b, Body::NoticeEscalated(e) if e.rung == v1::Rung::Regulator as i32));
    assert_eq!(listed.count(), 1, "the regulator's rung fires once");
}

#[tokio::test]
async fn a_host_found_later_does_not_reset_the_rungs_of_supervisor_and_regulator() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://latecomer.example/1").await;
    let after_supervisor = SUPERVISOR + Duration::SECOND;
    fixture.advance_and_fire(after_supervisor).await;
    let flagged = fixture.case(case_id).await.ladder.row().flagged_at;
    assert!(flagged.is_some());
    fixture.upsert_host("latecomer", DeliveryChannel::Api).await;
    fixture.uphold_review(case_id).await;
    fixture.advance_and_fire(REGULATOR - after_supervisor).await;
    let events = fixture.events(case_id).await;
    let fired = |rung: v1::Rung| {
        let is_rung = |b: &&Body| matches!(b, Body::NoticeEscalated(e) if e.rung == rung as i32);
        events.iter().filter(is_rung).count()
    };
    assert_eq!(
        (fired(v1::Rung::Supervisor), fired(v1::Rung::Regulator)),
        (1, 1)
    );
}

#[tokio::test]
async fn two_concurrent_timers_fire_each_rung_once() {
    let fixture = DispatchFixture::new().await;
    let mut cases = Vec::new();
    let count = 30;
    for n in 0..count {
        cases.push(
            fixture
                .open_case(&format!("https://album.example/{n}"))
                .await,
        );
    }
    fixture.clock.advance(REMIND);
    let (one, other) = (fixture.timers(), fixture.timers());
    let both = tokio::join!(one.run_once(), other.run_once());
    assert!(both.0.unwrap() + both.1.unwrap() >= count);
    for case_id in cases {
        let notices = fixture.notices(case_id).await;
        assert_eq!(notices.len(), 2);
        assert_eq!(
            (notices[0].state, notices[0].escalated_to),
            (NoticeState::Escalated, Some(Rung::Remind))
        );
        assert_eq!(notices[1].escalated_to, None);
    }
}

#[tokio::test]
async fn one_of_many_concurrent_transactions_opens_a_step() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://album.example/1").await;
    fixture.clock.advance(REMIND);
    let pool = fixture.database.pool_with_size("dispatch", 64).await;
    let contenders = (0..64).map(|_| async {
        let mut tx = pool.begin().await.unwrap();
        let fired =
            dispatch::cases::fire_due_rungs(&mut tx, &fixture.deps, fixture.now(), &[case_id])
                .await;
        fired.unwrap();
        tx.commit().await.unwrap();
    });
    futures::future::join_all(contenders).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["album/host/escalated", "album/remind/queued"]
    );
}
