//! How fast it hears: enough for two thousand cases a second with all that is said of each.

mod support;

use domain::event;
use ledger::Everything;
use platform::bus::Consumer;
use platform::clock::{self, Clock};
use platform::log::NewEvent;
use support::{World, actionable, received, removed, sent};
use uuid::Uuid;

/// One tree, one sequencer: its pace is the ledger's.
#[tokio::test]
async fn a_backlog_is_heard_in_batches() {
    let world = World::start().await;
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
        world.append(producer, &events).await;
    }
    let now = world.until_heard(8_000).await;
    assert_eq!((now.accepted, now.lost), (2_000, 0));
    world.until_signed(8_000).await;

    // Heard once more from the start, one batch after the other: nothing is new, and that is found out quickly.
    let heed = Everything::new(Clock::Database);
    let again = Consumer::new(world.pool.clone(), "again", "dispatch", heed);
    let mut batches = 0;
    while again.run_once().await.unwrap() > 0 {
        batches += 1;
    }
    assert!(batches <= 24, "{batches} batches");
    let took: f64 = sqlx::query_scalar(
        "select extract(epoch from max(heard_at) - min(heard_at))::float8 from leaf",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    println!("8000 events in {took:.2} s: {:.0} a second", 8_000.0 / took);
}
