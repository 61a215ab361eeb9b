//! Rungs fire once, never early, and find the next who can help.

use domain::event::Body;
use domain::word::{DeliveryChannel, LiveState, Rung};
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
