//! What comes back to a mail moves the chain where nobody will read it, and stops no clock.

use dispatch::commands::{self, Mailed};
use dispatch::mailbox::{Mailbox, Sent, local_part};
use dispatch::store::Notice;
use domain::event::Body;
use domain::id::CaseId;
use domain::url::DomainName;
use domain::word::{Answer, MailKind, NoticeState, ReviewReason};
use proto::v1;
use time::Duration;

use crate::grpc::Served;
use crate::support::Bench;

const RETURNS: &str = "returns.hotline.example";

async fn comes(bench: &Bench, notice: &Notice, kind: MailKind) {
    let mail = Mailed {
        notice_id: notice.id,
        sequence: 1,
        kind,
        from: Some(DomainName::parse("mx.host.example").unwrap()),
        status: (kind == MailKind::Bounced).then(|| "5.1.1".to_owned()),
    };
    let mut tx = bench.pool.begin().await.unwrap();
    commands::mailed(&mut tx, &bench.rules, bench.now(), &[mail])
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// A case at a host that has nothing but a mailbox, and its first notice, which the relay has taken.
async fn mailed(bench: &Bench) -> (CaseId, Notice) {
    let case_id = bench.act("https://kite.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    bench.delivered(&notice).await;
    (case_id, notice)
}

#[tokio::test]
async fn a_mail_that_comes_back_tells_the_next_in_the_chain_at_once_and_once() {
    let bench = Bench::new().await;
    let (case_id, notice) = mailed(&bench).await;
    assert_eq!(bench.story(case_id).await, ["kite/host/delivered"]);
    comes(&bench, &notice, MailKind::Bounced).await;
    let moved = ["kite/host/bounced", "larch/upstream/sent"];
    assert_eq!(bench.story(case_id).await, moved);
    let back = bench.notices(case_id).await.remove(0);
    assert_eq!(back.delivered_at, None);
    assert_eq!(back.last_failure.as_deref(), Some("mail_returned"));
    assert_eq!(bench.case(case_id).await.delivered_at, None);
    comes(&bench, &notice, MailKind::Bounced).await;
    assert_eq!(bench.story(case_id).await, moved);
    assert_eq!(
        bench.said_names(case_id).await,
        [
            "NoticeSent",
            "NoticeDelivered",
            "MailReceived",
            "NoticeBounced",
            "NoticeSent",
            "NoticeEscalated"
        ]
    );
    // Whoever reads it all the same can still answer.
    assert_eq!(
        bench.answer(&back, Answer::Removed).await,
        NoticeState::RemovalClaimed
    );
}

#[tokio::test]
async fn a_mail_may_be_back_before_its_relays_word_is_written_down() {
    let bench = Bench::new().await;
    let case_id = bench.act("https://kite.example/1").await;
    let notice = bench.notices(case_id).await.remove(0);
    comes(&bench, &notice, MailKind::Bounced).await;
    bench.delivered(&notice).await;
    let moved = ["kite/host/bounced", "larch/upstream/sent"];
    assert_eq!(bench.story(case_id).await, moved);
    let late = bench.notices(case_id).await.remove(0);
    assert_eq!(late.delivered_at, None);
    assert!(bench.in_line(case_id).await.is_empty());
}

#[tokio::test]
async fn a_host_that_has_answered_has_it_whatever_a_mail_server_says() {
    let bench = Bench::new().await;
    let (case_id, notice) = mailed(&bench).await;
    bench.answer(&notice, Answer::Acknowledged).await;
    for kind in [MailKind::Bounced, MailKind::Automatic] {
        comes(&bench, &notice, kind).await;
    }
    bench.pass(Duration::seconds(4)).await;
    assert_eq!(bench.story(case_id).await, ["kite/host/acknowledged"]);
}

#[tokio::test]
async fn that_a_mail_waits_is_noted_and_moves_nothing() {
    let bench = Bench::new().await;
    let (case_id, notice) = mailed(&bench).await;
    for _ in 0..2 {
        comes(&bench, &notice, MailKind::Delayed).await;
    }
    bench.pass(Duration::seconds(4)).await;
    assert_eq!(bench.story(case_id).await, ["kite/host/delivered"]);
    let said = bench.said_names(case_id).await;
    assert_eq!(said, ["NoticeSent", "NoticeDelivered", "MailReceived"]);
}

#[tokio::test]
async fn a_machines_answer_brings_the_next_contact_sooner_and_never_early() {
    let bench = Bench::new().await;
    let (case_id, notice) = mailed(&bench).await;
    bench.pass(Duration::seconds(1)).await;
    comes(&bench, &notice, MailKind::Automatic).await;
    let now = bench.notices(case_id).await.remove(0);
    assert_eq!(
        (now.state, now.acknowledged_at),
        (NoticeState::Delivered, None),
        "it acknowledges nothing"
    );
    bench.pass(Duration::milliseconds(1999)).await;
    assert_eq!(bench.story(case_id).await, ["kite/host/delivered"]);
    bench.pass(Duration::milliseconds(1)).await;
    let story = ["kite/host/escalated", "larch/upstream/sent"];
    assert_eq!(bench.story(case_id).await, story);
    // Only one step of the chain: the next comes at its own time, and another word of the same machine changes nothing.
    bench.pass(Duration::milliseconds(1500)).await;
    comes(&bench, &notice, MailKind::Automatic).await;
    assert_eq!(bench.case(case_id).await.hurried_to, None);
    assert_eq!(bench.story(case_id).await, story);
    assert_eq!(
        bench.answer(&notice, Answer::Removed).await,
        NoticeState::RemovalClaimed,
        "the first stays open"
    );
}

#[tokio::test]
async fn a_person_who_answers_in_time_is_left_the_time() {
    let bench = Bench::new().await;
    let (case_id, notice) = mailed(&bench).await;
    comes(&bench, &notice, MailKind::Automatic).await;
    bench.pass(Duration::seconds(1)).await;
    bench.answer(&notice, Answer::Acknowledged).await;
    bench.pass(Duration::seconds(3)).await;
    assert_eq!(bench.story(case_id).await, ["kite/host/acknowledged"]);
}

#[tokio::test]
async fn a_persons_mail_is_put_before_a_person_and_is_no_answer() {
    let bench = Bench::new().await;
    let (case_id, notice) = mailed(&bench).await;
    for _ in 0..2 {
        comes(&bench, &notice, MailKind::Reply).await;
    }
    let said = bench.said(case_id).await;
    let asked: Vec<_> = said
        .iter()
        .filter_map(|body| match body {
            Body::ReviewRequested(asked) => Some(asked),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].reason, ReviewReason::Replied.wire());
    assert_eq!(asked[0].notice_id, notice.id.to_string());
    assert!(!asked[0].sealed_note.is_empty());
    assert_eq!(bench.story(case_id).await, ["kite/host/delivered"]);
    // Read, and nothing to change: the ladder has gone on all the while.
    bench.uphold(case_id).await;
    assert_eq!(bench.case(case_id).await.review, None);
    bench.pass(Duration::seconds(6)).await;
    assert!(
        bench
            .story(case_id)
            .await
            .contains(&"kite/remind/queued".to_owned())
    );
}

#[tokio::test]
async fn only_an_address_that_was_made_for_a_notice_is_a_mailbox() {
    let mut served = Served::with_returns(RETURNS).await;
    let case_id = served.bench.act("https://kite.example/1").await;
    let notice = served.bench.notices(case_id).await.remove(0);
    let address = |mailbox, of: &Notice, provider: &str| {
        let sent = Sent {
            notice_id: of.id,
            sequence: 1,
            attempt: 1,
        };
        let keyring = &served.bench.rules.keyring;
        let local = local_part(keyring, mailbox, &sent, &provider.parse().unwrap());
        format!("{local}@{RETURNS}")
    };
    let reports = address(Mailbox::Return, &notice, "kite");
    let replies = address(Mailbox::Reply, &notice, "kite");
    let unknown = Notice {
        id: domain::id::NoticeId::new(uuid::Uuid::new_v4()),
        ..notice.clone()
    };
    let strangers = [
        address(Mailbox::Return, &unknown, "kite"),
        address(Mailbox::Return, &notice, "larch"),
        reports.replace(RETURNS, "hotline.example"),
        reports.replacen("b1-", "r1-", 1),
        "abuse@returns.hotline.example".to_owned(),
        String::new(),
    ];
    let client = &mut served.client;
    for (address, for_reports) in [(&reports, true), (&replies, false)] {
        let request = v1::CheckMailboxRequest {
            address: address.clone(),
        };
        let known = client.check_mailbox(request).await.unwrap().into_inner();
        assert_eq!(known.for_reports, for_reports);
    }
    let mail = |address: &str, kind: v1::MailKind| v1::ReceiveMailRequest {
        address: address.to_owned(),
        kind: kind.into(),
        from_domain: "not a name; https://kite.example/1".into(),
        status: "5.1.1".into(),
    };
    for address in &strangers {
        let request = v1::CheckMailboxRequest {
            address: address.clone(),
        };
        let refused = client.check_mailbox(request).await.unwrap_err();
        let told = client.receive_mail(mail(address, v1::MailKind::Bounced));
        let told = told.await.unwrap_err();
        for status in [refused, told] {
            assert_eq!(status.code(), tonic::Code::NotFound, "{address}");
        }
    }
    let wrong = client
        .receive_mail(mail(&replies, v1::MailKind::Bounced))
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), tonic::Code::InvalidArgument);
    client
        .receive_mail(mail(&reports, v1::MailKind::Bounced))
        .await
        .unwrap();
    let said = served.bench.said(case_id).await;
    let Some(Body::MailReceived(received)) = said
        .iter()
        .find(|body| matches!(body, Body::MailReceived(_)))
    else {
        panic!("{said:?}")
    };
    assert_eq!(received.from_domain, "", "only a name is kept");
    assert_eq!(
        served.bench.story(case_id).await,
        ["kite/host/bounced", "larch/upstream/sent"]
    );
    served.stop().await;
}
