//! Reports and decisions are processed in batches. Prints the rates.

use std::time::Instant;

use platform::principal::Role;
use proto::v1;

use crate::fixture::{TestVerification, category, decision_item};

const CASES: usize = 3000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_reports_are_queued_and_decided_in_batches() {
    let fixture = TestVerification::new().await;
    let analyst = fixture.staff(&[Role::Analyst]);
    let mut events = Vec::with_capacity(CASES);
    for n in 0..CASES {
        let case = fixture.new_case(&format!("https://host{n}.example/image.jpg"));
        events.push(fixture.report_event(&case, &[], |_| {}));
    }
    let begun = Instant::now();
    fixture.append_intake_events(&events).await;
    let consumed = begun.elapsed();

    let begun = Instant::now();
    let mut decided = 0;
    loop {
        let claimed = fixture.claim_urgent(&analyst, 100).await;
        if claimed.is_empty() {
            break;
        }
        let decisions: Vec<v1::DecisionItem> = claimed
            .iter()
            .map(|claimed| decision_item(claimed, category(v1::Category::B)))
            .collect();
        let results = fixture.decide_all(&analyst, decisions).await.unwrap();
        decided += results
            .iter()
            .filter(|response| {
                matches!(
                    response.result,
                    Some(v1::decision_result::Result::Assessment(_))
                )
            })
            .count();
    }
    assert_eq!(decided, CASES);
    let emitted: i64 =
        sqlx::query_scalar("select count(*) from event where kind = 'CaseActionable'")
            .fetch_one(&fixture.pool)
            .await
            .unwrap();
    assert_eq!(emitted as usize, CASES);
    println!(
        "consumed {:.0}/s, claimed and decided {:.0}/s",
        CASES as f64 / consumed.as_secs_f64(),
        CASES as f64 / begun.elapsed().as_secs_f64()
    );
}
