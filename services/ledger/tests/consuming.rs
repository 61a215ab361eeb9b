//! Every event gets exactly one leaf, from any producer and with any number of consumers. Timelines and
//! counts are derived from the events.

mod support;

use domain::event::{self, Body};
use ledger::{LedgerHandler, PRODUCERS};
use platform::bus::Consumer;
use platform::clock::{self, Clock};
use platform::log::NewEvent;
use proto::v1;
use support::{TestLedger, actionable, received, removed, sent, stage};
use uuid::Uuid;

#[tokio::test]
async fn three_logs_read_by_two_instances_become_one_dense_tree() {
    let ledger = TestLedger::start().await;
    let _second_instance = ledger.serve().await;
    let cases: Vec<Uuid> = (0..150).map(|_| Uuid::now_v7()).collect();
    let events = |body: &dyn Fn(Uuid) -> Body| -> Vec<NewEvent> {
        let event = |case: &Uuid| {
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
        cases.iter().map(event).collect()
    };
    let (reports, verdicts) = (events(&received), events(&|_| actionable()));
    let (notices, removals) = (events(&|_| sent()), events(&|_| removed()));
    for part in 0..10 {
        let part = part * 15..(part + 1) * 15;
        tokio::join!(
            ledger.append("dispatch", &notices[part.clone()]),
            ledger.append("intake", &reports[part.clone()]),
            ledger.append("verification", &verdicts[part.clone()]),
        );
        ledger.append("dispatch", &removals[part]).await;
    }
    let conservation = ledger.wait_for_events(600).await;
    let (accepted, cases) = (conservation.accepted, conservation.cases);
    assert_eq!((accepted, cases, conservation.lost), (150, 150, 0));
    assert_eq!(stage(&conservation, "removed").reports, 150);
    assert_eq!(stage(&conservation, "removed").cases, 150);

    let leaves = ledger.leaves(0).await;
    assert!(leaves.iter().map(|leaf| leaf.index).eq(0..600));
    assert_eq!(ledger.leaves(590).await.len(), 10);
    assert_eq!(ledger.leaves(600).await.len(), 0);
    let positions: std::collections::BTreeSet<_> = leaves
        .iter()
        .map(|leaf| (&leaf.producer, leaf.shard, leaf.position))
        .collect();
    assert_eq!(positions.len(), 600);
    ledger.wait_for_checkpoint(600).await;
    let report = ledger.verify().await;
    assert_eq!(report.faults, []);
    assert_eq!((report.leaves, report.covered), (600, 600));
    assert_eq!(ledger.count("select count(*) from parked_event").await, 0);
}

#[tokio::test]
async fn receiving_an_event_again_changes_nothing() {
    let ledger = TestLedger::start().await;
    let case = Uuid::now_v7();
    let (report, _) = ledger.report(case).await;
    ledger.emit("verification", case, None, actionable()).await;
    let withdrawn = Body::ReportWithdrawn(v1::ReportWithdrawn {
        report_id: report.to_string(),
        ..v1::ReportWithdrawn::default()
    });
    ledger.emit("intake", case, None, withdrawn).await;
    let first = ledger.wait_for_events(3).await;
    assert_eq!(stage(&first, "report_withdrawn").reports, 1);
    assert_eq!(stage(&first, "actionable").reports, 0);
    assert_eq!(stage(&first, "actionable").cases, 1);
    assert_eq!((first.accepted, first.lost), (1, 0));
    let leaves = ledger.leaves(0).await;

    // A second consumer without a cursor receives all events again.
    for producer in PRODUCERS {
        let handler = LedgerHandler::new(Clock::Database);
        let second_consumer = Consumer::new(ledger.pool.clone(), "again", producer, handler);
        while second_consumer.run_once().await.unwrap() > 0 {}
    }
    assert_eq!(ledger.leaves(0).await, leaves);
    assert_eq!(ledger.conservation().await, first);
}

#[tokio::test]
async fn a_timeline_is_ordered_by_cause_and_described_in_plain_english() {
    let ledger = TestLedger::start().await;
    let (case, other) = (Uuid::now_v7(), Uuid::now_v7());
    let (_, report) = ledger.report(case).await;
    ledger.report(other).await;
    let verdict = Uuid::now_v7();
    // The notice is recorded before the verdict that caused it.
    let notice = ledger.emit("dispatch", case, Some(verdict), sent()).await;
    let early = ledger.wait_for_events(3).await;
    assert_eq!(stage(&early, "being_removed").reports, 1);
    let body = actionable();
    let event = NewEvent {
        id: verdict,
        case_id: case,
        kind: event::name(&body),
        caused_by: Some(report),
        traceparent: None,
        occurred_at: clock::wall(),
        payload: event::encode(body),
    };
    ledger.append("verification", &[event]).await;
    let now = ledger.wait_for_events(4).await;
    assert_eq!(stage(&now, "being_removed").cases, 1);
    assert_eq!(stage(&now, "received").cases, 1);

    let request = ledger.as_auditor(v1::GetTimelineRequest {
        case_id: case.to_string(),
    });
    let entries = ledger.client.clone().get_timeline(request).await.unwrap();
    let entries = entries.into_inner().entries;
    let ids: Vec<Uuid> = entries
        .iter()
        .map(|e| e.event_id.parse().unwrap())
        .collect();
    assert_eq!(ids, [report, verdict, notice]);
    assert_eq!(entries[1].r#type, "CaseActionable");
    assert_eq!(entries[1].caused_by, report.to_string());
    assert_eq!(entries[1].leaf_index, 3);
    assert!(entries[1].recorded_at.is_some());
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
            .contains("opened the case: report channel public, media image")
    );
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_parked_and_other_cases_go_on() {
    let ledger = TestLedger::start().await;
    let (bad, good) = (Uuid::now_v7(), Uuid::now_v7());
    let malformed = NewEvent {
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
    ledger.append("intake", &[malformed, unknown]).await;
    ledger.report(good).await;
    let conservation = ledger.wait_for_events(1).await;
    assert_eq!((conservation.accepted, conservation.lost), (1, 0));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while ledger.count("select count(*) from parked_event").await < 2 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the events were not parked"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let reasons: Vec<String> =
        sqlx::query_scalar("select reason from parked_event order by reason")
            .fetch_all(&ledger.pool)
            .await
            .unwrap();
    assert_eq!(
        reasons,
        ["kind of event is unknown", "payload is malformed"]
    );
}

#[tokio::test]
async fn a_case_passes_through_its_stages_and_no_report_is_lost() {
    let ledger = TestLedger::start().await;
    let case = Uuid::now_v7();
    ledger.report(case).await;
    ledger.report(case).await;
    let held = Body::CaseHeld(v1::CaseHeld {
        police_hold_id: Uuid::now_v7().to_string(),
        until: None,
    });
    let released = Body::CaseReleased(v1::CaseReleased {
        police_hold_id: Uuid::now_v7().to_string(),
    });
    let revealed = Body::UrlRevealed(v1::UrlRevealed {
        subject: Uuid::now_v7().to_string(),
        reason: "https://never.example/shown".into(),
        ..v1::UrlRevealed::default()
    });
    let exhausted = Body::NoticeEscalated(v1::NoticeEscalated {
        notice: Some(support::notice_key()),
        rung: v1::Rung::Supervisor.into(),
        ..v1::NoticeEscalated::default()
    });
    let reappeared = Body::Reappeared(v1::Reappeared {
        episode: 2,
        seen_at: None,
    });
    let closed = Body::CaseClosed(v1::CaseClosed {
        reason: v1::CloseReason::Removed.into(),
        closed_at: None,
    });
    let verdict_withdrawn = Body::VerdictWithdrawn(v1::VerdictWithdrawn {
        decision_id: Uuid::now_v7().to_string(),
    });
    let steps = [
        ("verification", revealed, "being_assessed"),
        ("verification", held, "held"),
        ("verification", released, "being_assessed"),
        ("verification", actionable(), "actionable"),
        ("dispatch", sent(), "being_removed"),
        ("dispatch", exhausted, "exhausted"),
        ("dispatch", removed(), "removed"),
        ("dispatch", reappeared, "being_removed"),
        ("dispatch", removed(), "removed"),
        ("dispatch", closed, "closed"),
        ("verification", verdict_withdrawn, "verdict_withdrawn"),
    ];
    for (events, (producer, body, expected)) in (3..).zip(steps) {
        ledger.emit(producer, case, None, body).await;
        let now = ledger.wait_for_events(events).await;
        assert_eq!(stage(&now, expected).reports, 2, "{expected}");
        assert_eq!(now.stages.iter().map(|s| s.cases).sum::<u64>(), 1);
        assert_eq!((now.accepted, now.lost), (2, 0), "{expected}");
    }
    let request = ledger.as_auditor(v1::GetTimelineRequest {
        case_id: case.to_string(),
    });
    let timeline = ledger.client.clone().get_timeline(request).await.unwrap();
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
async fn a_case_whose_verdict_was_withdrawn_is_assessed_again() {
    let ledger = TestLedger::start().await;
    let case = Uuid::now_v7();
    ledger.report(case).await;
    let rejected = Body::CaseNotActionable(v1::CaseNotActionable {
        decision_id: Uuid::now_v7().to_string(),
        reason: v1::NotActionableReason::NotIllegal.into(),
        decided_at: None,
    });
    let verdict_withdrawn = Body::VerdictWithdrawn(v1::VerdictWithdrawn {
        decision_id: Uuid::now_v7().to_string(),
    });
    let removal_cancelled = Body::CaseClosed(v1::CaseClosed {
        reason: v1::CloseReason::VerdictWithdrawn.into(),
        closed_at: None,
    });
    let revealed = Body::UrlRevealed(v1::UrlRevealed {
        subject: Uuid::now_v7().to_string(),
        ..v1::UrlRevealed::default()
    });
    let steps = [
        ("verification", rejected, "not_actionable"),
        ("verification", verdict_withdrawn.clone(), "received"),
        ("verification", actionable(), "actionable"),
        ("dispatch", sent(), "being_removed"),
        ("verification", verdict_withdrawn, "verdict_withdrawn"),
        ("dispatch", removal_cancelled, "verdict_withdrawn"),
        ("verification", revealed, "being_assessed"),
        ("verification", actionable(), "actionable"),
        ("dispatch", sent(), "being_removed"),
    ];
    for (events, (producer, body, expected)) in (2..).zip(steps) {
        ledger.emit(producer, case, None, body).await;
        let now = ledger.wait_for_events(events).await;
        assert_eq!(stage(&now, expected).reports, 1, "{expected}");
        assert_eq!((now.accepted, now.lost), (1, 0), "{expected}");
    }
}

#[tokio::test]
async fn a_timeline_that_is_too_long_contains_the_newest_events_and_is_marked_truncated() {
    let ledger = TestLedger::start().await;
    let case = Uuid::now_v7();
    ledger.report(case).await;
    ledger.wait_for_events(1).await;
    // Copies the one event as often as a response has entries.
    let copied = ledger
        .execute(
            "insert into leaf (index, event_id, producer, shard, position, kind, case_id, occurred_at, payload, salt,
                leaf_hash, recorded_at, format)
            select index + n, gen_random_uuid(), producer, shard, position + n, kind, case_id, occurred_at, payload,
                salt, leaf_hash, recorded_at, format
            from leaf, generate_series(1, 10000) n",
        )
        .await;
    assert_eq!(copied, 10_000);
    let request = ledger.as_auditor(v1::GetTimelineRequest {
        case_id: case.to_string(),
    });
    let timeline = ledger.client.clone().get_timeline(request).await.unwrap();
    let timeline = timeline.into_inner();
    assert_eq!((timeline.entries.len(), timeline.truncated), (10_000, true));
    assert!(timeline.entries.iter().all(|entry| entry.leaf_index > 0));
}

#[tokio::test]
async fn conservation_detects_a_report_without_a_case_and_a_lost_case() {
    let ledger = TestLedger::start().await;
    let case = Uuid::now_v7();
    ledger.report(case).await;
    ledger.report(case).await;
    ledger.report(Uuid::now_v7()).await;
    ledger.emit("verification", case, None, actionable()).await;
    let now = ledger.wait_for_events(4).await;
    assert_eq!((now.accepted, now.lost), (3, 0));
    let drop_report = "update case_fact set reports = 1 where verdict = 'actionable'";
    assert_eq!(ledger.execute(drop_report).await, 1);
    assert_eq!(ledger.conservation().await.lost, 1);
    let drop_case = "delete from case_fact where verdict = 'actionable'";
    assert_eq!(ledger.execute(drop_case).await, 1);
    assert_eq!(ledger.conservation().await.lost, 2);
    assert_eq!(ledger.execute("delete from report").await, 3);
    assert_eq!(ledger.conservation().await.lost, -1);
}
