//! Throughput: a backlog is recorded in batches.

mod support;

use domain::event;
use ledger::LedgerHandler;
use platform::bus::Consumer;
use platform::clock::{self, Clock};
use platform::log::NewEvent;
use support::{TestLedger, actionable, received, removed, sent};
use uuid::Uuid;

#[tokio::test]
async fn a_backlog_is_recorded_in_batches() {
    let ledger = TestLedger::start().await;
    let cases: Vec<Uuid> = (0..2_000).map(|_| Uuid::now_v7()).collect();
    for (producer, body) in [
        ("intake", None),
        ("verification", Some(actionable())),
        ("dispatch", Some(sent())),
        ("dispatch", Some(removed())),
    ] {
        let events: Vec<NewEvent> = cases
            .iter()
            .map(|case| {
                let body = body.clone().unwrap_or_else(|| received(Uuid::now_v7()));
                NewEvent {
                    id: Uuid::now_v7(),
                    case_id: *case,
                    kind: event::name(&body),
                    caused_by: None,
                    traceparent: None,
                    occurred_at: clock::wall(),
                    payload: event::encode(body),
                }
            })
            .collect();
        ledger.append(producer, &events).await;
    }
    let conservation = ledger.wait_for_events(8_000).await;
    assert_eq!((conservation.accepted, conservation.lost), (2_000, 0));
    ledger.wait_for_checkpoint(8_000).await;

    // A second consumer reads all events again and skips them in large batches.
    let handler = LedgerHandler::new(Clock::Database);
    let second_consumer = Consumer::new(ledger.pool.clone(), "again", "dispatch", handler);
    let mut batches = 0;
    while second_consumer.run_once().await.unwrap() > 0 {
        batches += 1;
    }
    assert!(batches <= 24, "{batches} batches");
    let took: f64 = sqlx::query_scalar(
        "select extract(epoch from max(recorded_at) - min(recorded_at))::float8 from leaf",
    )
    .fetch_one(&ledger.pool)
    .await
    .unwrap();
    println!(
        "8000 events in {took:.2} s: {:.0} per second",
        8_000.0 / took
    );
}
