//! Which messages are sent and which are not, whatever happens between claim and record.

use std::sync::Arc;

use crate::host::{HostReply, TestHost, status, status_line};
use crate::simulated_hosts::{DeliveryFixture, until};
use crate::support::id;
use dispatch::cases::{self, CaseInstruction};
use domain::enums::{Answer, NoticeState};
use domain::id::{CaseId, NoticeId};
use tokio::sync::Notify;

async fn one_case() -> (DeliveryFixture, TestHost, CaseId) {
    let mut fixture = DeliveryFixture::new().await;
    let host = TestHost::with_status(200).await;
    fixture.add_webhook_host("opal", &host, false).await;
    let case = fixture.dispatch.open_case("https://opal.example/a").await;
    (fixture, host, case)
}

async fn withdraw(fixture: &DeliveryFixture, case_id: CaseId) {
    let mut tx = fixture.dispatch.pool.begin().await.unwrap();
    let item = CaseInstruction {
        case_id,
        cause: None,
    };
    cases::withdraw_verdicts(
        &mut tx,
        &fixture.dispatch.deps,
        fixture.dispatch.now(),
        &[item],
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn nothing_is_sent_once_an_answer_is_committed() {
    let (fixture, host, case) = one_case().await;
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    fixture.dispatch.answer(&notice, Answer::Acknowledged).await;
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 0);
    assert!(host.requests().is_empty());
    assert!(fixture.waiting_deliveries().await.is_empty());
}

#[tokio::test]
async fn an_answer_before_the_outcome_is_recorded_keeps_its_state() {
    let (fixture, host, case) = one_case().await;
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    host.respond_with(move |_| HostReply::SendAfter(Arc::clone(&released), status_line(200)));
    let delivery_worker = fixture.delivery_worker();
    let sending = tokio::spawn(async move { delivery_worker.run_once().await.unwrap() });
    until("the attempt has been claimed", async || {
        fixture
            .waiting_deliveries()
            .await
            .get("opal")
            .is_some_and(|(n, _)| *n == 1)
    })
    .await;
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    fixture.dispatch.answer(&notice, Answer::Acknowledged).await;
    release.notify_one();
    assert_eq!(sending.await.unwrap(), 1);
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    assert_eq!(notice.state, NoticeState::Acknowledged);
    assert!(fixture.waiting_deliveries().await.is_empty());
}

#[tokio::test]
async fn a_forged_row_is_not_sent() {
    // Each is possible with access to the database and without the keys.
    for (forgery, code) in [
        (
            "update case_seal set proof_signature = decode(repeat('00', 64), 'hex')",
            "proof_refused",
        ),
        (
            "update case_seal s set proof_body = o.proof_body, proof_signature = o.proof_signature
             from case_seal o where o.case_id <> s.case_id",
            "proof_refused",
        ),
        (
            "update case_seal s set sealed_content = o.sealed_content, content_report_id = o.content_report_id
             from case_seal o where o.case_id <> s.case_id",
            "sealed_refused",
        ),
        (
            "update webhook_endpoint e set address = o.address from webhook_endpoint o
             where e.provider_id = 'opal' and o.provider_id = 'album'",
            "endpoint_refused",
        ),
    ] {
        let (fixture, host, _) = one_case().await;
        fixture.dispatch.open_case("https://album.example/b").await;
        sqlx::query("delete from delivery where provider_id = 'album'")
            .execute(&fixture.dispatch.pool)
            .await
            .unwrap();
        sqlx::query(sqlx::AssertSqlSafe(forgery))
            .execute(&fixture.dispatch.pool)
            .await
            .unwrap();
        assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 0, "{forgery}");
        assert!(host.requests().is_empty(), "{forgery}");
        let waiting = fixture.waiting_deliveries().await;
        assert_eq!(waiting["opal"], (0, Some(code.into())), "{forgery}");
    }
}

#[tokio::test]
async fn a_forged_row_does_not_delay_others() {
    let (fixture, host, forged) = one_case().await;
    let good = fixture
        .dispatch
        .open_case("https://opal.example/good")
        .await;
    sqlx::query("update case_seal set sealed_content = decode('00', 'hex') where case_id = $1")
        .bind(forged.uuid())
        .execute(&fixture.dispatch.pool)
        .await
        .unwrap();
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 1);
    assert_eq!(host.requests().len(), 1);
    let notice = fixture.dispatch.notices(good).await.pop().unwrap();
    assert_eq!(notice.state, NoticeState::Delivered);
}

#[tokio::test]
async fn a_case_under_a_police_hold_sends_nothing_even_if_a_message_is_queued() {
    let (fixture, host, case) = one_case().await;
    sqlx::query("update dispatch_case set content_status = 'held', resumes_as = 'online' where case_id = $1")
        .bind(case.uuid())
        .execute(&fixture.dispatch.pool)
        .await
        .unwrap();
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 0);
    assert!(host.requests().is_empty());
}

#[tokio::test]
async fn a_message_claimed_by_a_killed_process_is_sent_again_under_the_same_id() {
    let (fixture, host, case) = one_case().await;
    host.respond_with(|_| HostReply::Hang);
    let killed = fixture.delivery_worker();
    let running = tokio::spawn(async move { killed.run_once().await });
    until("the host has the first attempt", async || {
        host.requests().len() == 1
    })
    .await;
    running.abort();
    let _ = running.await;

    host.respond_with(|_| status(200));
    let next = fixture.delivery_worker();
    assert_eq!(
        next.run_once().await.unwrap(),
        0,
        "the lease has not expired"
    );
    fixture.advance(4.1);
    assert_eq!(next.run_once().await.unwrap(), 1);
    let ids: Vec<String> = host
        .requests()
        .iter()
        .map(|h| h.header("webhook-id"))
        .collect();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    assert_eq!((notice.state, notice.attempts), (NoticeState::Delivered, 2));
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_records_nothing() {
    let (fixture, host, case) = one_case().await;
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    host.respond_with(move |_| HostReply::SendAfter(Arc::clone(&released), status_line(500)));
    let slow = fixture.delivery_worker();
    let running = tokio::spawn(async move { slow.run_once().await.unwrap() });
    until("the host has the first attempt", async || {
        host.requests().len() == 1
    })
    .await;
    // Another worker takes over and succeeds, while the first still waits for its failing response.
    host.respond_with(|_| status(200));
    fixture.advance(4.1);
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 1);
    release.notify_one();
    assert_eq!(running.await.unwrap(), 1);
    assert!(
        fixture.waiting_deliveries().await.is_empty(),
        "it is not queued again"
    );
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    assert_eq!((notice.state, notice.attempts), (NoticeState::Delivered, 2));
    let emitted = fixture.dispatch.event_names(case).await;
    let delivered = emitted
        .iter()
        .filter(|name| **name == "NoticeDelivered")
        .count();
    assert_eq!(delivered, 1);
}

#[tokio::test]
async fn a_withdrawal_waits_for_an_attempt_in_flight_and_then_sends_a_retraction() {
    let (fixture, host, case) = one_case().await;
    host.respond_with(|_| HostReply::Hang);
    let killed = fixture.delivery_worker();
    let running = tokio::spawn(async move { killed.run_once().await });
    until("the host has the first attempt", async || {
        host.requests().len() == 1
    })
    .await;
    withdraw(&fixture, case).await;
    let next = fixture.delivery_worker();
    assert_eq!(
        next.run_once().await.unwrap(),
        0,
        "the attempt may still arrive"
    );
    running.abort();
    let _ = running.await;

    host.respond_with(|_| status(200));
    fixture.advance(4.1);
    assert_eq!(next.run_once().await.unwrap(), 1);
    let request = host.requests().pop().unwrap();
    assert_eq!(request.json()["type"], "notice.retracted");
    assert!(request.header("webhook-id").ends_with("_2"));
    assert!(fixture.waiting_deliveries().await.is_empty());
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    assert_eq!(notice.state, NoticeState::Withdrawn);
}

#[tokio::test]
async fn the_worker_sends_every_queued_message_once_and_drains_at_shutdown() {
    let (fixture, host, _) = one_case().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(fixture.delivery_worker().run(stop.clone()));
    until("the first is sent", async || host.requests().len() == 1).await;
    for n in 0..40 {
        fixture
            .dispatch
            .open_case(&format!("https://opal.example/{n}"))
            .await;
    }
    until("all are recorded", async || {
        fixture.waiting_deliveries().await.is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    let mut ids: Vec<String> = host
        .requests()
        .iter()
        .map(|h| h.header("webhook-id"))
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), host.requests().len()), (41, 41), "each once");
}

#[tokio::test]
async fn a_lease_is_renewed_while_its_attempt_is_in_flight() {
    let (mut fixture, host, _) = one_case().await;
    fixture.settings.timeout_seconds = 20;
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    host.respond_with(move |_| HostReply::SendAfter(Arc::clone(&released), status_line(200)));
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(fixture.delivery_worker().run(stop.clone()));
    until("the attempt has started", async || {
        host.requests().len() == 1
    })
    .await;
    fixture.advance(3.0);
    let now = fixture.dispatch.now();
    until("the lease is extended", async || {
        let lease: Option<time::OffsetDateTime> =
            sqlx::query_scalar("select max(lease_until) from delivery")
                .fetch_one(&fixture.dispatch.pool)
                .await
                .unwrap();
        lease >= Some(now + time::Duration::seconds(4))
    })
    .await;
    fixture.advance(3.0);
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 0);
    release.notify_one();
    until("it is recorded", async || {
        fixture.waiting_deliveries().await.is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(host.requests().len(), 1, "sent once");
}

#[tokio::test]
async fn two_concurrent_workers_send_each_message_once() {
    let (fixture, host, _) = one_case().await;
    for n in 0..40 {
        fixture
            .dispatch
            .open_case(&format!("https://opal.example/{n}"))
            .await;
    }
    let (one, other) = (fixture.delivery_worker(), fixture.delivery_worker());
    while !fixture.waiting_deliveries().await.is_empty() {
        let (first, second) = tokio::join!(one.run_once(), other.run_once());
        first.unwrap();
        second.unwrap();
    }
    assert_eq!(host.requests().len(), 41);
}

async fn request_redelivery(
    fixture: &DeliveryFixture,
    provider: &str,
    notice: NoticeId,
) -> Result<(), String> {
    let mut tx = fixture.dispatch.pool.begin().await.unwrap();
    let provider = id(provider);
    let redelivery = cases::RequestedRedelivery {
        provider: &provider,
        notices: &[notice],
    };
    let now = fixture.dispatch.now();
    let replies = cases::redeliver_notices(&mut tx, &fixture.dispatch.deps, now, &redelivery).await;
    tx.commit().await.unwrap();
    match replies.unwrap().pop().unwrap() {
        Ok(_) => Ok(()),
        Err(problem) => Err(problem.code.into_owned()),
    }
}

#[tokio::test]
async fn a_redelivered_notice_keeps_its_id_even_after_it_was_answered() {
    let (fixture, host, case) = one_case().await;
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 1);
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    fixture.dispatch.answer(&notice, Answer::Acknowledged).await;
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 0);

    assert_eq!(
        request_redelivery(&fixture, "album", notice.id).await,
        Err("not_found".to_owned()),
        "it is another provider's notice"
    );
    request_redelivery(&fixture, "opal", notice.id)
        .await
        .unwrap();
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 1);
    let requests = host.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        requests[0].header("webhook-id"),
        requests[1].header("webhook-id")
    );
    // The redelivery did not change the notice, and left nothing queued.
    let after = fixture.dispatch.notices(case).await.pop().unwrap();
    assert_eq!(
        (after.state, after.sequence),
        (NoticeState::Acknowledged, notice.sequence)
    );
    assert!(fixture.waiting_deliveries().await.is_empty());

    let mut conn = fixture.dispatch.pool.acquire().await.unwrap();
    let wanted = dispatch::delivery::AttemptQuery {
        limit: 10,
        ..Default::default()
    };
    let attempts = dispatch::delivery::list_attempts(&mut conn, &id("opal"), &wanted)
        .await
        .unwrap();
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|(_, attempt)| (attempt.outcome.as_str(), attempt.http_status))
        .collect();
    assert_eq!(
        outcomes,
        [("delivered", Some(200)), ("delivered", Some(200))]
    );
}

#[tokio::test]
async fn a_requested_redelivery_does_not_wait_for_the_retry_delay() {
    let (fixture, host, case) = one_case().await;
    host.respond_with(|_| status(503));
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 1);
    assert_eq!(
        fixture.delivery_worker().run_once().await.unwrap(),
        0,
        "it waits"
    );
    host.respond_with(|_| status(200));
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    request_redelivery(&fixture, "opal", notice.id)
        .await
        .unwrap();
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 1);
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    assert_eq!(notice.state, NoticeState::Delivered);
}

#[tokio::test]
async fn under_a_police_hold_a_redelivery_of_an_undelivered_notice_is_refused() {
    let (fixture, host, case_id) = one_case().await;
    let mut tx = fixture.dispatch.pool.begin().await.unwrap();
    let item = CaseInstruction {
        case_id,
        cause: None,
    };
    cases::place_police_holds(
        &mut tx,
        &fixture.dispatch.deps,
        fixture.dispatch.now(),
        &[item],
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let notice = fixture.dispatch.notices(case_id).await.pop().unwrap();
    assert_eq!(
        request_redelivery(&fixture, "opal", notice.id).await,
        Err("not_found".to_owned())
    );
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 0);
    assert!(host.requests().is_empty());
}
