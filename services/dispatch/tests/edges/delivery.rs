//! What leaves and what does not, whatever happens between claim and record.

use std::sync::Arc;

use dispatch::commands::{self, Held};
use domain::id::{CaseId, NoticeId};
use domain::word::{Answer, NoticeState};
use tokio::sync::Notify;

use crate::host::{Host, Reply, line, status};
use crate::street::{Street, until};
use crate::support::id;

async fn one_case() -> (Street, Host, CaseId) {
    let mut street = Street::new().await;
    let host = Host::answering(200).await;
    street.hooked("opal", &host, false).await;
    let case = street.bench.act("https://opal.example/a").await;
    (street, host, case)
}

async fn withdraw(street: &Street, case_id: CaseId) {
    let mut tx = street.bench.pool.begin().await.unwrap();
    let item = Held {
        case_id,
        cause: None,
    };
    commands::withdraw(&mut tx, &street.bench.rules, street.bench.now(), &[item])
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn nothing_is_sent_once_an_answer_is_committed() {
    let (street, host, case) = one_case().await;
    let notice = street.bench.notices(case).await.pop().unwrap();
    street.bench.answer(&notice, Answer::Acknowledged).await;
    assert_eq!(street.courier().run_once().await.unwrap(), 0);
    assert!(host.heard().is_empty());
    assert!(street.in_line().await.is_empty());
}

#[tokio::test]
async fn an_answer_that_overtakes_the_record_keeps_its_state() {
    let (street, host, case) = one_case().await;
    let word = Arc::new(Notify::new());
    let waits = Arc::clone(&word);
    host.behave(move |_| Reply::After(Arc::clone(&waits), line(200)));
    let courier = street.courier();
    let sending = tokio::spawn(async move { courier.run_once().await.unwrap() });
    until("the attempt is counted", async || {
        street
            .in_line()
            .await
            .get("opal")
            .is_some_and(|(n, _)| *n == 1)
    })
    .await;
    let notice = street.bench.notices(case).await.pop().unwrap();
    street.bench.answer(&notice, Answer::Acknowledged).await;
    word.notify_one();
    assert_eq!(sending.await.unwrap(), 1);
    let notice = street.bench.notices(case).await.pop().unwrap();
    assert_eq!(notice.state, NoticeState::Acknowledged);
    assert!(street.in_line().await.is_empty());
}

#[tokio::test]
async fn a_row_written_by_hand_sends_nothing() {
    // Each is what somebody with the database, and without the keys, could do.
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
            "update case_seal s set sealed_item = o.sealed_item, item_report_id = o.item_report_id
             from case_seal o where o.case_id <> s.case_id",
            "sealed_refused",
        ),
        (
            "update webhook_endpoint e set address = o.address from webhook_endpoint o
             where e.provider_id = 'opal' and o.provider_id = 'album'",
            "endpoint_refused",
        ),
    ] {
        let (street, host, _) = one_case().await;
        street.bench.act("https://album.example/b").await;
        sqlx::query("delete from delivery where provider_id = 'album'")
            .execute(&street.bench.pool)
            .await
            .unwrap();
        sqlx::query(sqlx::AssertSqlSafe(forgery))
            .execute(&street.bench.pool)
            .await
            .unwrap();
        assert_eq!(street.courier().run_once().await.unwrap(), 0, "{forgery}");
        assert!(host.heard().is_empty(), "{forgery}");
        let waiting = street.in_line().await;
        assert_eq!(waiting["opal"], (0, Some(code.into())), "{forgery}");
    }
}

#[tokio::test]
async fn a_forged_row_costs_no_other_its_turn() {
    let (street, host, forged) = one_case().await;
    let good = street.bench.act("https://opal.example/good").await;
    sqlx::query("update case_seal set sealed_item = decode('00', 'hex') where case_id = $1")
        .bind(forged.uuid())
        .execute(&street.bench.pool)
        .await
        .unwrap();
    assert_eq!(street.courier().run_once().await.unwrap(), 1);
    assert_eq!(host.heard().len(), 1);
    let notice = street.bench.notices(good).await.pop().unwrap();
    assert_eq!(notice.state, NoticeState::Delivered);
}

#[tokio::test]
async fn a_held_case_sends_nothing_even_with_a_row_in_line() {
    let (street, host, case) = one_case().await;
    sqlx::query("update case_file set live = 'held', resumes = 'up' where case_id = $1")
        .bind(case.uuid())
        .execute(&street.bench.pool)
        .await
        .unwrap();
    assert_eq!(street.courier().run_once().await.unwrap(), 0);
    assert!(host.heard().is_empty());
}

#[tokio::test]
async fn what_a_killed_process_had_claimed_is_sent_again_under_the_same_id() {
    let (street, host, case) = one_case().await;
    host.behave(|_| Reply::Hang);
    let killed = street.courier();
    let running = tokio::spawn(async move { killed.run_once().await });
    until("the host has the first attempt", async || {
        host.heard().len() == 1
    })
    .await;
    running.abort();
    let _ = running.await;

    host.behave(|_| status(200));
    let next = street.courier();
    assert_eq!(next.run_once().await.unwrap(), 0, "the lease still holds");
    street.advance(4.1);
    assert_eq!(next.run_once().await.unwrap(), 1);
    let ids: Vec<String> = host
        .heard()
        .iter()
        .map(|h| h.header("webhook-id"))
        .collect();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    let notice = street.bench.notices(case).await.pop().unwrap();
    assert_eq!((notice.state, notice.attempts), (NoticeState::Delivered, 2));
}

#[tokio::test]
async fn whoever_lost_the_lease_records_nothing() {
    let (street, host, case) = one_case().await;
    let word = Arc::new(Notify::new());
    let waits = Arc::clone(&word);
    host.behave(move |_| Reply::After(Arc::clone(&waits), line(500)));
    let slow = street.courier();
    let running = tokio::spawn(async move { slow.run_once().await.unwrap() });
    until("the host has the first attempt", async || {
        host.heard().len() == 1
    })
    .await;
    // Another process takes over, and is answered well, while this one still waits for its bad answer.
    host.behave(|_| status(200));
    street.advance(4.1);
    assert_eq!(street.courier().run_once().await.unwrap(), 1);
    word.notify_one();
    assert_eq!(running.await.unwrap(), 1);
    assert!(street.in_line().await.is_empty(), "it does not come back");
    let notice = street.bench.notices(case).await.pop().unwrap();
    assert_eq!((notice.state, notice.attempts), (NoticeState::Delivered, 2));
    let said = street.bench.said_names(case).await;
    let told = said
        .iter()
        .filter(|name| **name == "NoticeDelivered")
        .count();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn a_withdrawal_waits_out_a_running_attempt_and_then_retracts() {
    let (street, host, case) = one_case().await;
    host.behave(|_| Reply::Hang);
    let killed = street.courier();
    let running = tokio::spawn(async move { killed.run_once().await });
    until("the host has the first attempt", async || {
        host.heard().len() == 1
    })
    .await;
    withdraw(&street, case).await;
    let next = street.courier();
    assert_eq!(
        next.run_once().await.unwrap(),
        0,
        "the attempt may still arrive"
    );
    running.abort();
    let _ = running.await;

    host.behave(|_| status(200));
    street.advance(4.1);
    assert_eq!(next.run_once().await.unwrap(), 1);
    let heard = host.heard().pop().unwrap();
    assert_eq!(heard.json()["type"], "notice.retracted");
    assert!(heard.header("webhook-id").ends_with("_2"));
    assert!(street.in_line().await.is_empty());
    let notice = street.bench.notices(case).await.pop().unwrap();
    assert_eq!(notice.state, NoticeState::Withdrawn);
}

#[tokio::test]
async fn the_loop_sends_what_is_put_in_line_and_drains() {
    let (street, host, _) = one_case().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(street.courier().run(stop.clone()));
    until("the first is sent", async || host.heard().len() == 1).await;
    for n in 0..40 {
        street.bench.act(&format!("https://opal.example/{n}")).await;
    }
    until("all are recorded", async || {
        street.in_line().await.is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap().unwrap();
    let mut ids: Vec<String> = host
        .heard()
        .iter()
        .map(|h| h.header("webhook-id"))
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), host.heard().len()), (41, 41), "each once");
}

#[tokio::test]
async fn a_lease_is_renewed_for_as_long_as_its_attempt_runs() {
    let (mut street, host, _) = one_case().await;
    street.settings.timeout_seconds = 20;
    let word = Arc::new(Notify::new());
    let waits = Arc::clone(&word);
    host.behave(move |_| Reply::After(Arc::clone(&waits), line(200)));
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(street.courier().run(stop.clone()));
    until("the attempt has begun", async || host.heard().len() == 1).await;
    street.advance(3.0);
    let now = street.bench.now();
    until("the lease lasts longer", async || {
        let lease: Option<time::OffsetDateTime> =
            sqlx::query_scalar("select max(lease_until) from delivery")
                .fetch_one(&street.bench.pool)
                .await
                .unwrap();
        lease >= Some(now + time::Duration::seconds(4))
    })
    .await;
    street.advance(3.0);
    assert_eq!(street.courier().run_once().await.unwrap(), 0);
    word.notify_one();
    until("it is recorded", async || street.in_line().await.is_empty()).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(host.heard().len(), 1, "sent once");
}

#[tokio::test]
async fn two_couriers_at_once_send_each_message_once() {
    let (street, host, _) = one_case().await;
    for n in 0..40 {
        street.bench.act(&format!("https://opal.example/{n}")).await;
    }
    let (one, other) = (street.courier(), street.courier());
    while !street.in_line().await.is_empty() {
        let (first, second) = tokio::join!(one.run_once(), other.run_once());
        first.unwrap();
        second.unwrap();
    }
    assert_eq!(host.heard().len(), 41);
}

async fn asked_again(street: &Street, provider: &str, notice: NoticeId) -> Result<(), String> {
    let mut tx = street.bench.pool.begin().await.unwrap();
    let provider = id(provider);
    let asked = commands::Redelivery {
        provider: &provider,
        notices: &[notice],
    };
    let now = street.bench.now();
    let replies = commands::redeliver(&mut tx, &street.bench.rules, now, &asked).await;
    tx.commit().await.unwrap();
    match replies.unwrap().pop().unwrap() {
        Ok(_) => Ok(()),
        Err(problem) => Err(problem.code.into_owned()),
    }
}

#[tokio::test]
async fn what_its_addressee_asks_for_again_goes_out_under_its_id_also_when_it_was_answered() {
    let (street, host, case) = one_case().await;
    assert_eq!(street.courier().run_once().await.unwrap(), 1);
    let notice = street.bench.notices(case).await.pop().unwrap();
    street.bench.answer(&notice, Answer::Acknowledged).await;
    assert_eq!(street.courier().run_once().await.unwrap(), 0);

    assert_eq!(
        asked_again(&street, "album", notice.id).await,
        Err("not_found".to_owned()),
        "it is somebody else's"
    );
    asked_again(&street, "opal", notice.id).await.unwrap();
    assert_eq!(street.courier().run_once().await.unwrap(), 1);
    let heard = host.heard();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].header("webhook-id"), heard[1].header("webhook-id"));
    // Nothing about the notice changed by that, and nothing is left to do.
    let after = street.bench.notices(case).await.pop().unwrap();
    assert_eq!(
        (after.state, after.sequence),
        (NoticeState::Acknowledged, notice.sequence)
    );
    assert!(street.in_line().await.is_empty());

    let mut conn = street.bench.pool.acquire().await.unwrap();
    let wanted = dispatch::store::Wanted {
        limit: 10,
        ..Default::default()
    };
    let attempts = dispatch::store::attempts_of(&mut conn, &id("opal"), &wanted)
        .await
        .unwrap();
    let told: Vec<_> = attempts
        .iter()
        .map(|(_, attempt)| (attempt.outcome.as_str(), attempt.http_status))
        .collect();
    assert_eq!(told, [("delivered", Some(200)), ("delivered", Some(200))]);
}

#[tokio::test]
async fn what_waits_for_a_retry_goes_out_at_once_when_it_is_asked_for() {
    let (street, host, case) = one_case().await;
    host.behave(|_| status(503));
    assert_eq!(street.courier().run_once().await.unwrap(), 1);
    assert_eq!(street.courier().run_once().await.unwrap(), 0, "it waits");
    host.behave(|_| status(200));
    let notice = street.bench.notices(case).await.pop().unwrap();
    asked_again(&street, "opal", notice.id).await.unwrap();
    assert_eq!(street.courier().run_once().await.unwrap(), 1);
    let notice = street.bench.notices(case).await.pop().unwrap();
    assert_eq!(notice.state, NoticeState::Delivered);
}

#[tokio::test]
async fn a_hold_sends_nothing_that_was_not_there_before_it_whoever_asks() {
    let (street, host, case_id) = one_case().await;
    let mut tx = street.bench.pool.begin().await.unwrap();
    let item = Held {
        case_id,
        cause: None,
    };
    commands::hold(&mut tx, &street.bench.rules, street.bench.now(), &[item])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let notice = street.bench.notices(case_id).await.pop().unwrap();
    assert_eq!(
        asked_again(&street, "opal", notice.id).await,
        Err("not_found".to_owned())
    );
    assert_eq!(street.courier().run_once().await.unwrap(), 0);
    assert!(host.heard().is_empty());
}
