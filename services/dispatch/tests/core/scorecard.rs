//! Scorecards of providers as staff see them, and the search for a notice by its id.

use std::sync::Arc;

use domain::enums::Answer;
use domain::event::Body;
use domain::id::CaseId;
use domain::wire::seconds;
use proto::v1;
use time::Duration;

use crate::served_dispatch::{ServedDispatch, with_credential};
use crate::support::DispatchFixture;

async fn scorecard(served: &mut ServedDispatch, provider: &str) -> v1::Scorecard {
    let token = served.staff_token(&[platform::principal::Role::Analyst]);
    let request = v1::GetProviderRequest {
        provider_id: provider.into(),
    };
    let reply = served
        .client
        .get_provider(with_credential(&token, request))
        .await;
    reply.unwrap().into_inner().scorecard.unwrap()
}

/// The addressee disputes the notice; returns the id of the review.
async fn dispute(fixture: &DispatchFixture, case_id: CaseId) -> String {
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.answer(&notice, Answer::Disputed).await;
    let events = fixture.events(case_id).await;
    events
        .into_iter()
        .find_map(|body| match body {
            Body::ReviewRequested(review) => Some(review.review_id),
            _ => None,
        })
        .unwrap()
}

#[tokio::test]
async fn a_scorecard_counts_punctual_answers_retractions_disputes_and_our_clocks() {
    let fixture = DispatchFixture::new().await;
    let withdrawal = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    // Never sent, because no delivery worker runs yet: its withdrawal does not count as a retraction.
    let unsent = fixture.open_case("https://kite.example/5").await;
    fixture.publish(vec![(unsent, withdrawal.clone())]).await;
    let keyring = Arc::clone(&fixture.deps.keyring);
    let mut served = ServedDispatch::start_with(fixture, keyring, None).await;
    let fixture = &served.fixture;
    let answered = fixture.open_case("https://kite.example/1").await;
    let notice = fixture.notices(answered).await.remove(0);
    fixture.record_delivered(&notice).await;
    fixture.answer(&notice, Answer::Acknowledged).await;
    let [retracted, upheld, undecided] = [
        fixture.open_case("https://kite.example/2").await,
        fixture.open_case("https://kite.example/3").await,
        fixture.open_case("https://kite.example/4").await,
    ];
    for case_id in [retracted, upheld, undecided] {
        let notice = fixture.notices(case_id).await.remove(0);
        fixture.record_delivered(&notice).await;
    }
    dispute(fixture, retracted).await;
    let review_id = dispute(fixture, upheld).await;
    dispute(fixture, undecided).await;
    let upholding = v1::VerdictUpheld {
        decision_id: String::new(),
        review_id,
        offline: false,
    };
    fixture
        .publish(vec![
            (retracted, withdrawal),
            (upheld, Body::VerdictUpheld(upholding)),
        ])
        .await;
    let card = scorecard(&mut served, "kite").await;
    assert_eq!((card.retracted, card.retracted_disputed), (1, 1));
    assert_eq!((card.disputes_open, card.disputes_refused), (1, 1));
    let answered = card.answered.unwrap();
    assert_eq!((answered.in_time, answered.late), (3, 0));
    assert!(seconds(answered.allowed.as_ref()) > 0.0);
    let our_clocks: Vec<_> = card
        .our_clocks
        .iter()
        .map(|c| (c.clock.as_str(), c.count))
        .collect();
    assert_eq!(
        our_clocks,
        [("verified", 3), ("dispatched", 3), ("delivered", 3)]
    );
    let none = scorecard(&mut served, "amber").await;
    assert_eq!(none.answered.unwrap(), v1::Punctuality::default());
    served.stop().await;
}

#[tokio::test]
async fn an_open_notice_past_its_deadline_counts_as_late() {
    let mut served = ServedDispatch::start().await;
    let case_id = served.fixture.open_case("https://kite.example/1").await;
    let notice = served.fixture.notices(case_id).await.remove(0);
    served.fixture.record_delivered(&notice).await;
    served.fixture.clock.advance(Duration::hours(1));
    let card = scorecard(&mut served, "kite").await;
    let (answered, removed) = (card.answered.unwrap(), card.removed.unwrap());
    assert!(answered.late > 0 && removed.late > 0);
    assert_eq!((answered.in_time, removed.in_time), (0, 0));
    assert!(seconds(removed.allowed.as_ref()) > Duration::seconds(1).as_seconds_f64());
    served.stop().await;
}

#[tokio::test]
async fn a_notice_is_found_by_its_id_with_its_newest_message() {
    let mut served = ServedDispatch::start().await;
    let case_id = served.fixture.open_case("https://amber.example/1").await;
    served.fixture.open_case("https://amber.example/2").await;
    let withdrawal = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    served.fixture.publish(vec![(case_id, withdrawal)]).await;
    let notice = served.fixture.notices(case_id).await.remove(0);
    let token = served.staff_token(&[platform::principal::Role::Auditor]);
    let request = v1::SearchNoticesRequest {
        notice_id: notice.id.to_string(),
        ..Default::default()
    };
    let found = served
        .client
        .search_notices(with_credential(&token, request))
        .await;
    let found = found.unwrap().into_inner().notices;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].case_id.as_str(), found[0].message()),
        (case_id.to_string().as_str(), v1::MessageKind::Retraction)
    );
    served.stop().await;
}
