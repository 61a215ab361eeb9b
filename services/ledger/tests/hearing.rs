//! Every event gets one leaf, whoever says it and however many listen; timelines and counts follow from it.

mod support;

use domain::event::{self, Body};
use ledger::{Everything, PRODUCERS};
use platform::bus::Consumer;
use platform::clock::{self, Clock};
use platform::log::NewEvent;
use proto::v1;
use support::{World, actionable, received, removed, sent, stage};
use uuid::Uuid;

#[tokio::test]
async fn three_logs_heard_by_two_processes_become_one_dense_tree() {
    let world = World::start().await;
    let _second = world.serve().await;
    let cases: Vec<Uuid> = (0..150).map(|_| Uuid::now_v7()).collect();
    let events = |body: &dyn Fn(Uuid) -> Body| -> Vec<NewEvent> {
        let new = |case: &Uuid| {
            let body = body(*case);
            NewEvent {
                id: Uuid::now_v7(),
                case_id: *case,
                kind: event::name(&body),
                caused_by: None,
                traceparent: None,
                occurred_at: clock::wall(),
                payload: event::encode(body),
            }
        };
        cases.iter().map(new).collect()
    };
    let (reports, verdicts) = (events(&received), events(&|_| actionable()));
    let (notices, removals) = (events(&|_| sent()), events(&|_| removed()));
    for part in 0..10 {
        let part = part * 15..(part + 1) * 15;
        tokio::join!(
            world.append("dispatch", &notices[part.clone()]),
            world.append("intake", &reports[part.clone()]),
            world.append("verification", &verdicts[part.clone()]),
        );
        world.append("dispatch", &removals[part]).await;
    }
    let heard = world.until_heard(600).await;
    assert_eq!((heard.accepted, heard.cases, heard.lost), (150, 150, 0));
    assert_eq!(stage(&heard, "removed").reports, 150);
    assert_eq!(stage(&heard, "removed").cases, 150);

    let leaves = world.leaves(0).await;
    assert!(leaves.iter().map(|leaf| leaf.index).eq(0..600));
    assert_eq!(world.leaves(590).await.len(), 10);
    assert_eq!(world.leaves(600).await.len(), 0);
    let places: std::collections::BTreeSet<_> = leaves
        .iter()
        .map(|leaf| (&leaf.producer, leaf.shard, leaf.position))
        .collect();
    assert_eq!(places.len(), 600);
    world.until_signed(600).await;
    let report = world.verify().await;
    assert_eq!(report.faults, []);
    assert_eq!((report.leaves, report.covered), (600, 600));
    assert_eq!(world.count("select count(*) from parked_event").await, 0);
}

#[tokio::test]
async fn hearing_an_event_again_adds_nothing() {
    let world = World::start().await;
    let case = Uuid::now_v7();
    let (report, _) = world.report(case).await;
    world.say("verification", case, None, actionable()).await;
    let taken_back = Body::ReportWithdrawn(v1::ReportWithdrawn {
        report_id: report.to_string(),
        ..v1::ReportWithdrawn::default()
    });
    world.say("intake", case, None, taken_back).await;
    let first = world.until_heard(3).await;
    assert_eq!(stage(&first, "report_withdrawn").reports, 1);
    assert_eq!(stage(&first, "actionable").reports, 0);
    assert_eq!(stage(&first, "actionable").cases, 1);
    assert_eq!((first.accepted, first.lost), (1, 0));
    let leaves = world.leaves(0).await;

    // A second consumer that has heard nothing yet hears all of it once more.
    for producer in PRODUCERS {
        let heed = Everything::new(Clock::Database);
        let again = Consumer::new(world.pool.clone(), "again", producer, heed);
        while again.run_once().await.unwrap() > 0 {}
    }
    assert_eq!(world.leaves(0).await, leaves);
    assert_eq!(world.conservation().await, first);
}

#[tokio::test]
async fn a_timeline_is_told_by_cause_in_words_and_ids() {
    let world = World::start().await;
    let (case, other) = (Uuid::now_v7(), Uuid::now_v7());
    let (_, report) = world.report(case).await;
    world.report(other).await;
    let verdict = Uuid::now_v7();
    // Dispatch is heard before the verdict that led to it.
    let notice = world.say("dispatch", case, Some(verdict), sent()).await;
    let early = world.until_heard(3).await;
    assert_eq!(stage(&early, "being_removed").reports, 1);
    let said = actionable();
    let event = NewEvent {
        id: verdict,
        case_id: case,
        kind: event::name(&said),
        caused_by: Some(report),
        traceparent: None,
        occurred_at: clock::wall(),
        payload: event::encode(said),
    };
    world.append("verification", &[event]).await;
    let now = world.until_heard(4).await;
    assert_eq!(stage(&now, "being_removed").cases, 1);
    assert_eq!(stage(&now, "received").cases, 1);

    let request = world.as_auditor(v1::GetTimelineRequest {
        case_id: case.to_string(),
    });
    let entries = world.client.clone().get_timeline(request).await.unwrap();
    let entries = entries.into_inner().entries;
    let ids: Vec<Uuid> = entries
        .iter()
        .map(|e| e.event_id.parse().unwrap())
        .collect();
    assert_eq!(ids, [report, verdict, notice]);
    assert_eq!(entries[1].r#type, "CaseActionable");
    assert_eq!(entries[1].caused_by, report.to_string());
    assert_eq!(entries[1].leaf_index, 3);
    assert!(entries[1].heard_at.is_some());
    assert_eq!(
        entries[2].summary,
        format!(
            "Notice {} to provider amber-host was sent by webhook, attempt 1.",
            Uuid::from_u128(9)
        )
    );
    assert!(
        entries[0]
            .summary
            .contains("opened the case: channel public, media image")
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_parked_and_the_rest_flows() {
    let world = World::start().await;
    let (bad, good) = (Uuid::now_v7(), Uuid::now_v7());
    let rubbish = NewEvent {
        id: Uuid::now_v7(),
        case_id: bad,
        kind: "ReportReceived",
        caused_by: None,
        traceparent: None,
        occurred_at: clock::wall(),
        payload: b"\xff\xff".to_vec(),
    };
    let unknown = NewEvent {
        id: Uuid::now_v7(),
        case_id: Uuid::now_v7(),
        kind: "SomethingNew",
        caused_by: None,
        traceparent: None,
        occurred_at: clock::wall(),
        payload: Vec::new(),
    };
    world.append("intake", &[rubbish, unknown]).await;
    world.report(good).await;
    let heard = world.until_heard(1).await;
    assert_eq!((heard.accepted, heard.lost), (1, 0));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while world.count("select count(*) from parked_event").await < 2 {
        assert!(tokio::time::Instant::now() < deadline, "nothing was parked");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let reasons: Vec<String> =
        sqlx::query_scalar("select reason from parked_event order by reason")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(
        reasons,
        ["kind of event is unknown", "payload is malformed"]
    );
}

#[tokio::test]
async fn a_case_goes_through_its_stages_and_nothing_is_lost_on_the_way() {
    let world = World::start().await;
    let case = Uuid::now_v7();
    world.report(case).await;
    world.report(case).await;
    let held = Body::CaseHeld(v1::CaseHeld {
        hold_id: Uuid::now_v7().to_string(),
        until: None,
    });
    let released = Body::CaseReleased(v1::CaseReleased {
        hold_id: Uuid::now_v7().to_string(),
    });
    let revealed = Body::UrlRevealed(v1::UrlRevealed {
        subject: Uuid::now_v7().to_string(),
        reason: "https://never.example/shown".into(),
        ..v1::UrlRevealed::default()
    });
    let handed_over = Body::NoticeEscalated(v1::NoticeEscalated {
        notice: Some(support::key()),
        rung: v1::Rung::Supervisor.into(),
        ..v1::NoticeEscalated::default()
    });
    let again = Body::Reappeared(v1::Reappeared {
        episode: 2,
        seen_at: None,
    });
    let closed = Body::CaseClosed(v1::CaseClosed {
        reason: v1::CloseReason::Removed.into(),
        closed_at: None,
    });
    let taken_back = Body::VerdictWithdrawn(v1::VerdictWithdrawn {
        decision_id: Uuid::now_v7().to_string(),
    });
    let way = [
        ("verification", revealed, "being_looked_at"),
        ("verification", held, "held"),
        ("verification", released, "being_looked_at"),
        ("verification", actionable(), "actionable"),
        ("dispatch", sent(), "being_removed"),
        ("dispatch", handed_over, "exhausted"),
        ("dispatch", removed(), "removed"),
        ("dispatch", again, "being_removed"),
        ("dispatch", removed(), "removed"),
        ("dispatch", closed, "closed"),
        ("verification", taken_back, "verdict_withdrawn"),
    ];
    for (events, (producer, body, wanted)) in (3..).zip(way) {
        world.say(producer, case, None, body).await;
        let now = world.until_heard(events).await;
        assert_eq!(stage(&now, wanted).reports, 2, "{wanted}");
        assert_eq!(now.stages.iter().map(|s| s.cases).sum::<u64>(), 1);
        assert_eq!((now.accepted, now.lost), (2, 0), "{wanted}");
    }
    let request = world.as_auditor(v1::GetTimelineRequest {
        case_id: case.to_string(),
    });
    let timeline = world.client.clone().get_timeline(request).await.unwrap();
    let entries = timeline.into_inner().entries;
    assert_eq!(entries.len(), 13);
    assert!(entries.iter().all(|entry| !entry.summary.is_empty()));
    assert!(
        entries
            .iter()
            .all(|entry| !entry.summary.contains("never.example"))
    );
}

#[tokio::test]
async fn what_nothing_was_done_about_waits_again_and_a_withdrawn_case_is_decided_anew() {
    let world = World::start().await;
    let case = Uuid::now_v7();
    world.report(case).await;
    let rejected = Body::CaseNotActionable(v1::CaseNotActionable {
        decision_id: Uuid::now_v7().to_string(),
        reason: v1::NotActionableReason::NotIllegal.into(),
        decided_at: None,
    });
    let taken_back = Body::VerdictWithdrawn(v1::VerdictWithdrawn {
        decision_id: Uuid::now_v7().to_string(),
    });
    let given_up = Body::CaseClosed(v1::CaseClosed {
        reason: v1::CloseReason::VerdictWithdrawn.into(),
        closed_at: None,
    });
    let looked_at = Body::UrlRevealed(v1::UrlRevealed {
        subject: Uuid::now_v7().to_string(),
        ..v1::UrlRevealed::default()
    });
    let way = [
        ("verification", rejected, "not_actionable"),
        ("verification", taken_back.clone(), "received"),
        ("verification", actionable(), "actionable"),
        ("dispatch", sent(), "being_removed"),
        ("verification", taken_back, "verdict_withdrawn"),
        ("dispatch", given_up, "verdict_withdrawn"),
        ("verification", looked_at, "being_looked_at"),
        ("verification", actionable(), "actionable"),
        ("dispatch", sent(), "being_removed"),
    ];
    for (events, (producer, body, wanted)) in (2..).zip(way) {
        world.say(producer, case, None, body).await;
        let now = world.until_heard(events).await;
        assert_eq!(stage(&now, wanted).reports, 1, "{wanted}");
        assert_eq!((now.accepted, now.lost), (1, 0), "{wanted}");
    }
}

#[tokio::test]
async fn a_timeline_that_is_too_long_keeps_its_end_and_says_so() {
    let world = World::start().await;
    let case = Uuid::now_v7();
    world.report(case).await;
    world.until_heard(1).await;
    // Copies of the one event, as many as an answer holds.
    let copied = world
        .execute(
            "insert into leaf (index, event_id, producer, shard, position, kind, case_id, occurred_at, payload, salt,
                leaf_hash, heard_at)
            select index + n, gen_random_uuid(), producer, shard, position + n, kind, case_id, occurred_at, payload,
                salt, leaf_hash, heard_at
            from leaf, generate_series(1, 10000) n",
        )
        .await;
    assert_eq!(copied, 10_000);
    let request = world.as_auditor(v1::GetTimelineRequest {
        case_id: case.to_string(),
    });
    let timeline = world.client.clone().get_timeline(request).await.unwrap();
    let timeline = timeline.into_inner();
    assert_eq!((timeline.entries.len(), timeline.truncated), (10_000, true));
    assert!(timeline.entries.iter().all(|entry| entry.leaf_index > 0));
}

#[tokio::test]
async fn conservation_sees_a_report_that_joined_no_case_and_a_case_that_vanished() {
    let world = World::start().await;
    let case = Uuid::now_v7();
    world.report(case).await;
    world.report(case).await;
    world.report(Uuid::now_v7()).await;
    world.say("verification", case, None, actionable()).await;
    let now = world.until_heard(4).await;
    assert_eq!((now.accepted, now.lost), (3, 0));
    let kept = "update case_fact set reports = 1 where verdict = 'actionable'";
    assert_eq!(world.execute(kept).await, 1);
    assert_eq!(world.conservation().await.lost, 1);
    let gone = "delete from case_fact where verdict = 'actionable'";
    assert_eq!(world.execute(gone).await, 1);
    assert_eq!(world.conservation().await.lost, 2);
    assert_eq!(world.execute("delete from report").await, 3);
    assert_eq!(world.conservation().await.lost, -1);
}
