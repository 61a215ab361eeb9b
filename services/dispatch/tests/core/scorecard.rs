//! How well each side kept its word, as staff see it, and a notice found by its id.

use std::sync::Arc;

use domain::event::Body;
use domain::id::CaseId;
use domain::word::Answer;
use proto::v1;
use time::Duration;

use crate::grpc::{Served, with};
use crate::support::Bench;

async fn scorecard(served: &mut Served, provider: &str) -> v1::Scorecard {
    let token = served.staff(&[platform::principal::Role::Analyst]);
    let request = v1::GetProviderRequest {
        provider_id: provider.into(),
    };
    let answer = served.client.get_provider(with(&token, request)).await;
    answer.unwrap().into_inner().scorecard.unwrap()
}

async fn dispute(bench: &Bench, case_id: CaseId) -> String {
    let notice = bench.notices(case_id).await.remove(0);
    bench.answer(&notice, Answer::Disputed).await;
    let said = bench.said(case_id).await;
    said.into_iter()
        .find_map(|body| match body {
            Body::ReviewRequested(review) => Some(review.review_id),
            _ => None,
        })
        .unwrap()
}

#[tokio::test]
async fn a_scorecard_counts_what_each_side_kept() {
    let bench = Bench::new().await;
    let taken_back = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    // Never told, for no courier runs yet: taking it back is nobody's false notice.
    let untold = bench.act("https://kite.example/5").await;
    bench.say(vec![(untold, taken_back.clone())]).await;
    let keyring = Arc::clone(&bench.rules.keyring);
    let mut served = Served::start_with(bench, keyring, None).await;
    let bench = &served.bench;
    let answered = bench.act("https://kite.example/1").await;
    let notice = bench.notices(answered).await.remove(0);
    bench.delivered(&notice).await;
    bench.answer(&notice, Answer::Acknowledged).await;
    let [right, wrong, open] = [
        bench.act("https://kite.example/2").await,
        bench.act("https://kite.example/3").await,
        bench.act("https://kite.example/4").await,
    ];
    for case_id in [right, wrong, open] {
        let notice = bench.notices(case_id).await.remove(0);
        bench.delivered(&notice).await;
    }
    dispute(bench, right).await;
    let review_id = dispute(bench, wrong).await;
    dispute(bench, open).await;
    let stands = v1::VerdictUpheld {
        decision_id: String::new(),
        review_id,
        gone: false,
    };
    bench
        .say(vec![
            (right, taken_back),
            (wrong, Body::VerdictUpheld(stands)),
        ])
        .await;
    let card = scorecard(&mut served, "kite").await;
    assert_eq!((card.retracted, card.retracted_disputed), (1, 1));
    assert_eq!((card.disputes_open, card.disputes_refused), (1, 1));
    let kept = card.answered.unwrap();
    assert_eq!((kept.in_time, kept.late), (3, 0));
    assert!(kept.allowed_seconds > 0.0);
    let ours: Vec<_> = card
        .ours
        .iter()
        .map(|c| (c.clock.as_str(), c.count))
        .collect();
    assert_eq!(ours, [("verified", 3), ("dispatched", 3), ("delivered", 3)]);
    let none = scorecard(&mut served, "amber").await;
    assert_eq!(none.answered.unwrap(), v1::Kept::default());
    served.stop().await;
}

#[tokio::test]
async fn what_is_past_its_time_and_open_counts_as_late() {
    let mut served = Served::start().await;
    let case_id = served.bench.act("https://kite.example/1").await;
    let notice = served.bench.notices(case_id).await.remove(0);
    served.bench.delivered(&notice).await;
    served.bench.clock.advance(Duration::hours(1));
    let card = scorecard(&mut served, "kite").await;
    let (answered, removed) = (card.answered.unwrap(), card.removed.unwrap());
    assert!(answered.late > 0 && removed.late > 0);
    assert_eq!((answered.in_time, removed.in_time), (0, 0));
    assert!(removed.allowed_seconds > Duration::seconds(1).as_seconds_f64());
    served.stop().await;
}

#[tokio::test]
async fn a_notice_is_found_by_its_id_with_its_newest_message() {
    let mut served = Served::start().await;
    let case_id = served.bench.act("https://amber.example/1").await;
    served.bench.act("https://amber.example/2").await;
    let taken_back = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    served.bench.say(vec![(case_id, taken_back)]).await;
    let notice = served.bench.notices(case_id).await.remove(0);
    let token = served.staff(&[platform::principal::Role::Auditor]);
    let request = v1::SearchNoticesRequest {
        notice_id: notice.id.to_string(),
        ..Default::default()
    };
    let found = served.client.search_notices(with(&token, request)).await;
    let found = found.unwrap().into_inner().notices;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].case_id.as_str(), found[0].message.as_str()),
        (case_id.to_string().as_str(), "retraction")
    );
    served.stop().await;
}
