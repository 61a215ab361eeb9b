//! The hot paths are batches: thousands of cases a second by rule, hundreds of verdicts a call.

use std::time::Instant;

use platform::principal::Role;
use proto::v1;

use crate::house::{House, category, item};

const CASES: usize = 3000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_reports_is_queued_and_decided_in_batches() {
    let house = House::new().await;
    let analyst = house.person(&[Role::Analyst]);
    let mut events = Vec::with_capacity(CASES);
    for n in 0..CASES {
        let of = house.case(&format!("https://host{n}.example/image.jpg"));
        events.push(house.report_event(&of, &[], |_| {}));
    }
    let begun = Instant::now();
    house.intake_says(&events).await;
    let heard = begun.elapsed();

    let begun = Instant::now();
    let mut decided = 0;
    loop {
        let claimed = house.claim_urgent(&analyst, 100).await;
        if claimed.is_empty() {
            break;
        }
        let items: Vec<v1::DecisionItem> = claimed
            .iter()
            .map(|claimed| item(claimed, category(v1::Category::B)))
            .collect();
        let answers = house.decide_all(&analyst, items).await.unwrap();
        decided += answers
            .iter()
            .filter(|answer| {
                matches!(
                    answer.result,
                    Some(v1::decision_result::Result::Assessment(_))
                )
            })
            .count();
    }
    assert_eq!(decided, CASES);
    let said: i64 = sqlx::query_scalar("select count(*) from event where kind = 'CaseActionable'")
        .fetch_one(&house.pool)
        .await
        .unwrap();
    assert_eq!(said as usize, CASES);
    println!(
        "heard {:.0}/s, claimed and decided {:.0}/s",
        CASES as f64 / heard.as_secs_f64(),
        CASES as f64 / begun.elapsed().as_secs_f64()
    );
}
