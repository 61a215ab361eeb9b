//! A person says of a changed page that it is not the material: that is a removal, and the page is known from then on.

use dispatch::commands::{Fingerprint, Outcome};
use domain::event::Body;
use domain::id::CaseId;
use domain::word::{Answer, LiveState};
use proto::v1;
use time::Duration;

use crate::support::{Bench, up};

/// Seen with a length of 100, said to be removed, and a page with a length of 5 in its place: a question is open.
async fn soft_404(bench: &Bench) -> CaseId {
    let case_id = bench.act("https://amber.example/1").await;
    bench.looked(case_id, up(100)).await;
    claimed_and_changed(bench, case_id).await;
    case_id
}

async fn claimed_and_changed(bench: &Bench, case_id: CaseId) {
    let newest = bench.notices(case_id).await.pop().unwrap();
    bench.answer(&newest, Answer::Removed).await;
    for _ in 0..3 {
        bench.looked(case_id, up(5)).await;
    }
}

/// Seen with a length of 100, gone, and watched.
async fn watched(bench: &Bench) -> CaseId {
    let case_id = bench.act("https://amber.example/1").await;
    bench.looked(case_id, up(100)).await;
    for _ in 0..2 {
        bench.looked(case_id, Outcome::Gone).await;
    }
    case_id
}

/// A page that tells neither its length nor an ETag.
fn vague() -> Outcome {
    Outcome::Up(Fingerprint {
        status: 200,
        length: None,
        etag: None,
        content_type: Some("text/html".into()),
    })
}

async fn times(bench: &Bench, case_id: CaseId, name: &str) -> usize {
    let said = bench.said_names(case_id).await;
    said.iter().filter(|other| **other == name).count()
}

#[tokio::test]
async fn a_page_called_gone_is_a_removal_as_by_looks() {
    let bench = Bench::new().await;
    let case_id = soft_404(&bench).await;
    bench.clock.advance(Duration::milliseconds(300));
    bench.call_gone(case_id).await;
    let said = bench.said(case_id).await;
    assert!(
        matches!(said.last(), Some(Body::RemovalConfirmed(r)) if (r.agreed, r.checks, r.episode) == (0, 0, 1)),
        "no look said so"
    );
    let case = bench.case(case_id).await;
    assert_eq!(
        (case.live, case.confirmed_at, case.claim_since, case.due_at),
        (LiveState::Watched, Some(bench.now()), None, None)
    );
    assert_eq!(bench.story(case_id).await, ["amber/host/watched"]);
    let notice = bench.notices(case_id).await.remove(0);
    assert_eq!(
        (notice.confirmed_at, notice.false_claims),
        (Some(bench.now()), 0)
    );
    assert!(bench.in_line(case_id).await.is_empty());

    // The page is still there at each look of the watch: nobody is asked again, and nothing is back.
    let confirmed = bench.now();
    for after in [2, 4, 7, 10] {
        let at = confirmed + Duration::seconds(after);
        assert_eq!(bench.look_at(case_id).await, Some(at));
        bench.clock.set(at);
        bench.looked(case_id, up(5)).await;
    }
    let case = bench.case(case_id).await;
    assert_eq!((case.live, case.episode), (LiveState::Closed, 1));
    assert_eq!(times(&bench, case_id, "ReviewRequested").await, 1);
}

#[tokio::test]
async fn what_reappeared_changed_and_is_called_gone_leaves_the_watch_as_it_was() {
    let bench = Bench::new().await;
    let case_id = watched(&bench).await;
    bench.clock.advance(Duration::seconds(2));
    bench.looked(case_id, up(777)).await;
    let next = bench.look_at(case_id).await;
    bench.call_gone(case_id).await;
    let case = bench.case(case_id).await;
    assert_eq!(
        (case.live, case.episode, case.review),
        (LiveState::Watched, 1, None)
    );
    assert_eq!(bench.look_at(case_id).await, next);
    for _ in 0..3 {
        bench.clock.advance(Duration::seconds(3));
        bench.looked(case_id, up(777)).await;
    }
    assert_eq!(bench.case(case_id).await.live, LiveState::Closed);
    assert_eq!(times(&bench, case_id, "Reappeared").await, 0);
    assert_eq!(times(&bench, case_id, "ReviewRequested").await, 1);
    assert_eq!(times(&bench, case_id, "RemovalConfirmed").await, 1);
}

#[tokio::test]
async fn yet_another_change_asks_again_and_the_material_is_known_again() {
    let bench = Bench::new().await;
    let case_id = soft_404(&bench).await;
    // What shows up while the question is open is not what the person was asked about.
    bench.looked(case_id, up(6)).await;
    bench.call_gone(case_id).await;
    for (length, asked) in [(5, 1), (6, 2), (6, 2)] {
        bench.looked(case_id, up(length)).await;
        assert_eq!(times(&bench, case_id, "ReviewRequested").await, asked);
    }
    bench.call_gone(case_id).await;
    // Two machines that answer in turn: both are known.
    for length in [5, 6, 5] {
        bench.looked(case_id, up(length)).await;
    }
    assert_eq!(times(&bench, case_id, "ReviewRequested").await, 2);

    bench.looked(case_id, up(100)).await;
    assert_eq!(bench.case(case_id).await.episode, 2);
    // The same page in its place, once more: that is a removal, and nobody has to say so.
    bench.looked(case_id, up(100)).await;
    claimed_and_changed(&bench, case_id).await;
    let case = bench.case(case_id).await;
    assert_eq!((case.live, case.episode), (LiveState::Watched, 2));
    assert_eq!(times(&bench, case_id, "ReviewRequested").await, 2);
}

#[tokio::test]
async fn gone_answers_the_open_question_about_a_page_once_and_no_other() {
    let bench = Bench::new().await;
    let case_id = soft_404(&bench).await;
    let stranger = v1::VerdictUpheld {
        review_id: uuid::Uuid::new_v4().to_string(),
        gone: true,
        ..Default::default()
    };
    bench
        .say(vec![(case_id, Body::VerdictUpheld(stranger))])
        .await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Up);
    for _ in 0..2 {
        bench.call_gone(case_id).await;
    }
    assert_eq!(times(&bench, case_id, "RemovalConfirmed").await, 1);

    // Of a dispute it says no more than that the verdict stands.
    let disputed = bench.act("https://amber.example/2").await;
    let notice = bench.notices(disputed).await.remove(0);
    let mut item = Bench::item(&notice, Answer::Disputed);
    item.text = Some("This is a medical page.".into());
    bench.answer_as(item).await;
    bench.call_gone(disputed).await;
    assert_eq!(bench.case(disputed).await.live, LiveState::Up);
    assert_eq!(bench.notices(disputed).await[0].message.as_str(), "upheld");
    assert!(bench.parked().await.is_empty());
}

#[tokio::test]
async fn what_is_held_is_not_confirmed_before_the_hold_ends() {
    let bench = Bench::new().await;
    let case_id = soft_404(&bench).await;
    bench.hold(case_id).await;
    bench.call_gone(case_id).await;
    assert_eq!(bench.case(case_id).await.live, LiveState::Held);
    assert_eq!(times(&bench, case_id, "RemovalConfirmed").await, 0);
    bench.release(case_id).await;
    for _ in 0..2 {
        bench.looked(case_id, up(5)).await;
    }
    assert_eq!(bench.case(case_id).await.live, LiveState::Watched);
    assert_eq!(times(&bench, case_id, "ReviewRequested").await, 1);
}

#[tokio::test]
async fn a_new_report_outweighs_a_page_that_tells_nothing_of_itself() {
    let bench = Bench::new().await;
    let decided = bench.decide("https://amber.example/1");
    let case_id = decided.case_id;
    let event = Body::CaseActionable(decided.event);
    bench.say(vec![(case_id, event.clone())]).await;
    bench.looked(case_id, up(100)).await;
    for _ in 0..2 {
        bench.looked(case_id, Outcome::Gone).await;
    }
    for page in [vague(), up(777)] {
        bench.looked(case_id, page).await;
        bench.call_gone(case_id).await;
    }
    for page in [vague(), up(777)] {
        bench.looked(case_id, page).await;
    }
    assert_eq!(times(&bench, case_id, "ReviewRequested").await, 2);

    bench.say(vec![(case_id, event.clone())]).await;
    for _ in 0..2 {
        bench.looked(case_id, up(777)).await;
    }
    assert_eq!(times(&bench, case_id, "ReviewRequested").await, 2);
    bench.say(vec![(case_id, event)]).await;
    bench.looked(case_id, vague()).await;
    assert_eq!(times(&bench, case_id, "ReviewRequested").await, 3);
    // It is the material after all: what was said of this page before no longer counts.
    bench.uphold(case_id).await;
    for _ in 0..2 {
        bench.looked(case_id, vague()).await;
    }
    let case = bench.case(case_id).await;
    assert_eq!((case.live, case.episode), (LiveState::Up, 2));
}

#[tokio::test]
async fn a_verdict_that_is_taken_back_takes_what_was_called_gone_with_it() {
    let bench = Bench::new().await;
    let case_id = soft_404(&bench).await;
    bench.call_gone(case_id).await;
    assert_eq!(bench.case(case_id).await.gone_prints.len(), 1);
    let withdrawn = Body::VerdictWithdrawn(v1::VerdictWithdrawn::default());
    bench.say(vec![(case_id, withdrawn)]).await;
    assert!(bench.case(case_id).await.gone_prints.is_empty());
}

#[tokio::test]
async fn a_damaged_mark_is_named_and_nothing_is_concluded_from_it() {
    let bench = Bench::new().await;
    let case_id = soft_404(&bench).await;
    sqlx::query("update case_file set gone_prints = 'x' where case_id = $1")
        .bind(case_id.uuid())
        .execute(&bench.pool)
        .await
        .unwrap();
    let mut conn = bench.pool.acquire().await.unwrap();
    let read = dispatch::store::cases(&mut conn, &[case_id.uuid()]).await;
    let Err(dispatch::Error::Row { column, .. }) = read else {
        panic!("the row is damaged");
    };
    assert_eq!(column, "gone_prints");
}
