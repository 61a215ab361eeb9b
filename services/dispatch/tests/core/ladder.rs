//! Rungs fire once, never early, and find the next who can help.

use domain::event::Body;
use domain::word::{Answer, DeliveryChannel, LiveState, NoticeState, Rung};
use proto::v1;
use time::Duration;

use crate::support::Bench;

#[tokio::test]
async fn silence_climbs_the_whole_ladder_and_ends_on_the_regulators_list() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://album.example/1").await;
    let steps = [
        (5, "album", Rung::Remind),
        (9, "album", Rung::NextContact),
        (12, "larch", Rung::Upstream),
        (18, "names", Rung::Registrar),
    ];
    let mut at = 0;
    for (n, (due, provider, rung)) in steps.into_iter().enumerate() {
        bench
            .pass(Duration::seconds(due - at) - Duration::milliseconds(1))
            .await;
        assert_eq!(bench.notices(case_id).await.len(), n + 1, "{rung} is early");
        bench.pass(Duration::milliseconds(1)).await;
        at = due;
        let notices = bench.notices(case_id).await;
        assert_eq!(notices.len(), n + 2, "{rung}");
        let newest = notices.last().unwrap();
        assert_eq!((newest.provider_id.as_str(), newest.rung), (provider, rung));
        assert_eq!(newest.step as usize, n + 2);
    }
    let next = &bench.notices(case_id).await[2];
    assert_eq!(next.channel, DeliveryChannel::Email);
    bench.pass(Duration::seconds(26 - at)).await;
    assert!(bench.case(case_id).await.flagged_at.is_some());
    bench.pass(Duration::seconds(4)).await;
    let listed: i64 = sqlx::query_scalar("select count(*) from regulator_list")
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    assert_eq!(listed, 1);
    let case = bench.case(case_id).await;
    assert_eq!(
        (case.live, case.last_rung, case.due_at),
        (LiveState::Exhausted, Some(Rung::Regulator), None)
    );
    assert!(!case.unsettled);

    let rungs: Vec<i32> = bench
        .said(case_id)
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
async fn what_was_missed_while_we_were_down_fires_once_and_in_order() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://album.example/1").await;
    bench.pass(Duration::hours(1)).await;
    let notices = bench.notices(case_id).await;
    assert_eq!(notices.len(), 5);
    assert_eq!(bench.case(case_id).await.live, LiveState::Exhausted);
    let before = bench.said_names(case_id).await;
    bench.pass(Duration::hours(1)).await;
    assert_eq!(bench.said_names(case_id).await, before);
}

#[tokio::test]
async fn a_removal_after_the_last_rung_still_counts() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://lonely.example/1").await;
    bench.pass(Duration::seconds(40)).await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Exhausted);
    bench
        .looked(case_id, dispatch::commands::Outcome::Gone)
        .await;
    bench
        .looked(case_id, dispatch::commands::Outcome::Gone)
        .await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Watched);
}

#[tokio::test]
async fn a_dead_endpoint_gives_way_to_the_next_channel_then_to_the_next_provider() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://album.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.unreachable(&notice).await;
    let rerouted = bench.notices(case_id).await.remove(0);
    assert_eq!(
        (rerouted.id, rerouted.channel, rerouted.step),
        (notice.id, DeliveryChannel::Email, 1)
    );
    assert_eq!(bench.in_line(case_id).await, [(notice.id, 1)]);
    // The old channel's failure comes a second time: it concerns nobody.
    bench.unreachable(&notice).await;
    bench.unreachable(&rerouted).await;
    assert_eq!(
        bench.story(case_id).await,
        ["album/host/bounced", "larch/upstream/sent"]
    );
    assert_eq!(
        bench.said_names(case_id).await,
        ["NoticeBounced", "NoticeSent", "NoticeEscalated"]
    );
    // The ladder's own upstream rung finds nobody left; the registrar comes at its time.
    bench.pass(Duration::seconds(12)).await;
    let upstream = bench.story(case_id).await;
    assert!(!upstream.iter().any(|s| s.starts_with("names/")));
    bench.pass(Duration::seconds(6)).await;
    assert!(
        bench
            .story(case_id)
            .await
            .contains(&"names/registrar/queued".to_owned())
    );
}

#[tokio::test]
async fn the_most_severe_fire_first() {
    let bench = Bench::new().await;
    let first = bench.act("https://amber.example/c").await;
    let second = bench.act("https://amber.example/a").await;
    sqlx::query("update case_file set category = 'C' where case_id = $1")
        .bind(first.uuid())
        .execute(&bench.pool)
        .await
        .unwrap();
    let mut tx = bench.pool.begin().await.unwrap();
    let due = dispatch::store::claim_due(&mut tx, bench.now() + Duration::HOUR, 1)
        .await
        .unwrap();
    assert_eq!(due, [second]);
}

#[tokio::test]
async fn a_case_that_cannot_be_read_keeps_no_other_from_firing() {
    let bench = Bench::new().await;
    let rotten = bench.act("https://amber.example/1").await;
    let sound = bench.act("https://amber.example/2").await;
    sqlx::query("update notice set provider_id = 'NO SUCH ID' where case_id = $1")
        .bind(rotten.uuid())
        .execute(&bench.pool)
        .await
        .unwrap();
    bench.pass(Duration::seconds(5)).await;
    assert_eq!(
        bench.story(sound).await,
        ["amber/host/escalated", "amber/remind/sent"]
    );
    assert!(bench.case(rotten).await.due_at > Some(bench.now()));
    sqlx::query("update notice set provider_id = 'amber' where case_id = $1")
        .bind(rotten.uuid())
        .execute(&bench.pool)
        .await
        .unwrap();
    bench.pass(Duration::minutes(5)).await;
    assert!(bench.notices(rotten).await.len() > 1, "mended, it fires");
}

#[tokio::test]
async fn a_policy_that_was_changed_skips_no_rung_and_fires_none_twice() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://album.example/1").await;
    bench.pass(Duration::seconds(5)).await;
    assert_eq!(bench.notices(case_id).await.len(), 2);
    let demo = include_str!("../../../../deploy/policies/demo.yaml");
    let first = "- { after: 5s, rung: remind";
    let longer = demo.replacen(
        first,
        &format!("- {{ after: 3s, rung: next_contact, when: unremoved }}\n      {first}"),
        1,
    );
    let mut rules = bench.rules.clone();
    rules.policy = std::sync::Arc::new(dispatch::policy::parse(&longer).unwrap());
    sqlx::query("update case_file set due_at = $1")
        .bind(bench.now())
        .execute(&bench.pool)
        .await
        .unwrap();
    let mut tx = bench.pool.begin().await.unwrap();
    dispatch::commands::fire_due(&mut tx, &rules, bench.now(), &[case_id])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let rungs: Vec<Rung> = bench
        .notices(case_id)
        .await
        .iter()
        .map(|n| n.rung)
        .collect();
    assert_eq!(rungs, [Rung::Host, Rung::Remind, Rung::NextContact]);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_not_used_again_until_it_is_named_anew() {
    let bench = Bench::new().await;
    let first = bench.act("https://album.example/1").await;
    let notice = bench.notices(first).await.remove(0);
    bench.unreachable(&notice).await;
    let next = bench.act("https://album.example/2").await;
    assert_eq!(bench.notices(next).await[0].channel, DeliveryChannel::Email);
    bench.clock.advance(Duration::seconds(1));
    bench.put_host("album", DeliveryChannel::Webhook).await;
    let anew = bench.act("https://album.example/3").await;
    let notice = bench.notices(anew).await.remove(0);
    assert_eq!(notice.channel, DeliveryChannel::Webhook);
    // An attempt at the old one ends only now: it says nothing of the new one.
    let mut tx = bench.pool.begin().await.unwrap();
    let failed = dispatch::commands::Unreachable {
        notice_id: notice.id,
        channel: DeliveryChannel::Webhook,
        reason: "gone",
        attempts: 1,
        claimed_at: bench.now() - Duration::seconds(1),
    };
    dispatch::commands::record_unreachable(&mut tx, &bench.rules, bench.now(), &[failed])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let after = bench.act("https://album.example/4").await;
    assert_eq!(
        bench.notices(after).await[0].channel,
        DeliveryChannel::Webhook
    );
}

#[tokio::test]
async fn a_rung_that_reaches_nobody_is_no_answer_to_a_refusal() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://front.example/1").await;
    let notices = bench.notices(case_id).await;
    // larch is told for kite, which cannot be reached; nobody new is upstream of front.
    bench.unreachable(&notices[1]).await;
    bench.answer(&notices[0], Answer::NoAction).await;
    assert_eq!(
        bench.story(case_id).await,
        [
            "front/host/no_action",
            "kite/host/bounced",
            "larch/upstream/sent",
            "names/registrar/queued"
        ]
    );
}

#[tokio::test]
async fn a_host_found_by_a_person_after_the_last_rung_has_a_ladder_of_its_own() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://latecomer.example/1").await;
    bench.pass(Duration::seconds(40)).await;
    let before = bench.case(case_id).await;
    assert_eq!(before.live, LiveState::Exhausted);
    bench.put_host("latecomer", DeliveryChannel::Api).await;
    bench.uphold(case_id).await;
    let after = bench.case(case_id).await;
    assert_eq!(
        (after.live, after.episode_at, after.ladder_from),
        (LiveState::Up, before.episode_at, Some(bench.now()))
    );
    bench.pass(Duration::seconds(5)).await;
    assert_eq!(
        bench.story(case_id).await,
        ["latecomer/host/escalated", "latecomer/remind/sent"]
    );
    bench.pass(Duration::seconds(60)).await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Exhausted);
    let said = bench.said(case_id).await;
    let told = said
        .iter()
        .filter(|b| matches!(b, Body::NoticeEscalated(e) if e.rung == v1::Rung::Regulator as i32));
    assert_eq!(told.count(), 1, "the regulator is told once");
}

#[tokio::test]
async fn a_host_found_while_it_is_up_does_not_turn_back_the_clock_that_never_pauses() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://latecomer.example/1").await;
    bench.pass(Duration::seconds(27)).await;
    let flagged = bench.case(case_id).await.flagged_at;
    assert!(flagged.is_some());
    bench.put_host("latecomer", DeliveryChannel::Api).await;
    bench.uphold(case_id).await;
    bench.pass(Duration::seconds(3)).await;
    let said = bench.said(case_id).await;
    let fired = |rung: v1::Rung| {
        let of = |b: &&Body| matches!(b, Body::NoticeEscalated(e) if e.rung == rung as i32);
        said.iter().filter(of).count()
    };
    assert_eq!(
        (fired(v1::Rung::Supervisor), fired(v1::Rung::Regulator)),
        (1, 1)
    );
}

#[tokio::test]
async fn two_timers_at_once_fire_each_rung_once() {
    let bench = Bench::new().await;
    let mut cases = Vec::new();
    for n in 0..30 {
        cases.push(bench.act(&format!("https://album.example/{n}")).await);
    }
    bench.clock.advance(Duration::seconds(5));
    let (one, other) = (bench.timers(), bench.timers());
    let both = tokio::join!(one.run_once(), other.run_once());
    assert!(both.0.unwrap() + both.1.unwrap() >= 30);
    for case_id in cases {
        let notices = bench.notices(case_id).await;
        assert_eq!(notices.len(), 2);
        assert_eq!(
            (notices[0].state, notices[0].escalated_to),
            (NoticeState::Escalated, Some(Rung::Remind))
        );
        assert_eq!(notices[1].escalated_to, None);
    }
}

#[tokio::test]
async fn of_many_contenders_for_one_step_one_opens_it() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://album.example/1").await;
    bench.clock.advance(Duration::seconds(5));
    let pool = bench.database.pool_of("dispatch", 64).await;
    let contenders = (0..64).map(|_| async {
        let mut tx = pool.begin().await.unwrap();
        let fired =
            dispatch::commands::fire_due(&mut tx, &bench.rules, bench.now(), &[case_id]).await;
        fired.unwrap();
        tx.commit().await.unwrap();
    });
    futures::future::join_all(contenders).await;
    assert_eq!(
        bench.story(case_id).await,
        ["album/host/escalated", "album/remind/queued"]
    );
}
