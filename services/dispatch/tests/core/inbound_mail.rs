//! Mail received in response to notices: bounces and automatic replies escalate, and none of it stops a
//! deadline.

use crate::policy_times::{AUTOMATIC_REPLY, INSTANT, REMIND};
use crate::served_dispatch::ServedDispatch;
use crate::support::DispatchFixture;
use dispatch::cases::{self, InboundMail, Notice};
use dispatch::delivery::return_address::{AddressKind, SentMessage, local_part};
use domain::enums::{Answer, MailKind, NoticeState, ReviewReason};
use domain::event::Body;
use domain::id::CaseId;
use domain::url::DomainName;
use proto::v1;
use time::Duration;

const RETURN_DOMAIN: &str = "returns.hotline.example";

/// Records a mail of this kind in response to the first message of a notice.
async fn receive(fixture: &DispatchFixture, notice: &Notice, kind: MailKind) {
    let mail = InboundMail {
        notice_id: notice.id,
        sequence: 1,
        kind,
        from: Some(DomainName::parse("mx.host.example").unwrap()),
        status: (kind == MailKind::Bounced).then(|| "5.1.1".to_owned()),
    };
    let mut tx = fixture.pool.begin().await.unwrap();
    cases::record_inbound_mail(&mut tx, &fixture.deps, fixture.now(), &[mail])
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// A case at a host that only has a mailbox, and its first notice, which the relay accepted.
async fn open_mailed_case(fixture: &DispatchFixture) -> (CaseId, Notice) {
    let case_id = fixture.open_case("https://kite.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    fixture.record_delivered(&notice).await;
    (case_id, notice)
}

#[tokio::test]
async fn a_bounce_notifies_the_next_party_in_the_chain_at_once_and_only_once() {
    let fixture = DispatchFixture::new().await;
    let (case_id, notice) = open_mailed_case(&fixture).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["kite/host/delivered"]
    );
    receive(&fixture, &notice, MailKind::Bounced).await;
    let escalated = ["kite/host/bounced", "larch/upstream/sent"];
    assert_eq!(fixture.notice_states(case_id).await, escalated);
    let bounced = fixture.notices(case_id).await.remove(0);
    assert_eq!(bounced.delivered_at, None);
    assert_eq!(bounced.last_failure.as_deref(), Some("mail_returned"));
    assert_eq!(fixture.case(case_id).await.delivered_at, None);
    receive(&fixture, &notice, MailKind::Bounced).await;
    assert_eq!(fixture.notice_states(case_id).await, escalated);
    assert_eq!(
        fixture.event_names(case_id).await,
        [
            "NoticeSent",
            "NoticeDelivered",
            "MailReceived",
            "NoticeBounced",
            "NoticeSent",
            "NoticeEscalated"
        ]
    );
    // The addressee can still answer.
    assert_eq!(
        fixture.answer(&bounced, Answer::Removed).await,
        NoticeState::RemovalClaimed
    );
}

#[tokio::test]
async fn a_bounce_may_be_recorded_before_the_relays_acceptance() {
    let fixture = DispatchFixture::new().await;
    let case_id = fixture.open_case("https://kite.example/1").await;
    let notice = fixture.notices(case_id).await.remove(0);
    receive(&fixture, &notice, MailKind::Bounced).await;
    fixture.record_delivered(&notice).await;
    let escalated = ["kite/host/bounced", "larch/upstream/sent"];
    assert_eq!(fixture.notice_states(case_id).await, escalated);
    let bounced = fixture.notices(case_id).await.remove(0);
    assert_eq!(bounced.delivered_at, None);
    assert!(fixture.queued_messages(case_id).await.is_empty());
}

#[tokio::test]
async fn a_bounce_after_an_answer_has_no_effect() {
    let fixture = DispatchFixture::new().await;
    let (case_id, notice) = open_mailed_case(&fixture).await;
    fixture.answer(&notice, Answer::Acknowledged).await;
    for kind in [MailKind::Bounced, MailKind::Automatic] {
        receive(&fixture, &notice, kind).await;
    }
    fixture.advance_and_fire(REMIND - INSTANT).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["kite/host/acknowledged"]
    );
}

#[tokio::test]
async fn a_delay_is_recorded_without_effect() {
    let fixture = DispatchFixture::new().await;
    let (case_id, notice) = open_mailed_case(&fixture).await;
    for _ in 0..2 {
        receive(&fixture, &notice, MailKind::Delayed).await;
    }
    fixture.advance_and_fire(REMIND - INSTANT).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["kite/host/delivered"]
    );
    let names = fixture.event_names(case_id).await;
    assert_eq!(names, ["NoticeSent", "NoticeDelivered", "MailReceived"]);
}

#[tokio::test]
async fn an_automatic_reply_brings_the_next_contact_forward_to_the_policys_time() {
    let fixture = DispatchFixture::new().await;
    let (case_id, notice) = open_mailed_case(&fixture).await;
    fixture.advance_and_fire(Duration::seconds(1)).await;
    receive(&fixture, &notice, MailKind::Automatic).await;
    let now = fixture.notices(case_id).await.remove(0);
    assert_eq!(
        (now.state, now.acknowledged_at),
        (NoticeState::Delivered, None),
        "it is not an acknowledgement"
    );
    fixture.advance_and_fire(AUTOMATIC_REPLY - INSTANT).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["kite/host/delivered"]
    );
    fixture.advance_and_fire(INSTANT).await;
    let escalated = ["kite/host/escalated", "larch/upstream/sent"];
    assert_eq!(fixture.notice_states(case_id).await, escalated);
    // Only one step of the chain: the next rung keeps its time, and another automatic reply has no effect.
    fixture.advance_and_fire(Duration::milliseconds(1500)).await;
    receive(&fixture, &notice, MailKind::Automatic).await;
    assert_eq!(
        fixture.case(case_id).await.ladder.row().next_contact_by,
        None
    );
    assert_eq!(fixture.notice_states(case_id).await, escalated);
    assert_eq!(
        fixture.answer(&notice, Answer::Removed).await,
        NoticeState::RemovalClaimed,
        "the first notice can still be answered"
    );
}

#[tokio::test]
async fn an_answer_after_an_automatic_reply_keeps_the_ladders_times() {
    let fixture = DispatchFixture::new().await;
    let (case_id, notice) = open_mailed_case(&fixture).await;
    receive(&fixture, &notice, MailKind::Automatic).await;
    fixture.advance_and_fire(AUTOMATIC_REPLY - INSTANT).await;
    fixture.answer(&notice, Answer::Acknowledged).await;
    fixture.advance_and_fire(AUTOMATIC_REPLY).await;
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["kite/host/acknowledged"]
    );
}

#[tokio::test]
async fn a_persons_reply_by_mail_causes_a_review_and_is_not_an_answer() {
    let fixture = DispatchFixture::new().await;
    let (case_id, notice) = open_mailed_case(&fixture).await;
    for _ in 0..2 {
        receive(&fixture, &notice, MailKind::Reply).await;
    }
    let events = fixture.events(case_id).await;
    let reviews: Vec<_> = events
        .iter()
        .filter_map(|body| match body {
            Body::ReviewRequested(review) => Some(review),
            _ => None,
        })
        .collect();
    assert_eq!(reviews.len(), 1);
    assert_eq!(reviews[0].reason, ReviewReason::Replied.wire());
    assert_eq!(reviews[0].notice_id, notice.id.to_string());
    assert!(!reviews[0].sealed_note.is_empty());
    assert_eq!(
        fixture.notice_states(case_id).await,
        ["kite/host/delivered"]
    );
    // The review changes nothing; the ladder was not paused.
    fixture.uphold_review(case_id).await;
    assert_eq!(fixture.case(case_id).await.review, None);
    fixture.advance_and_fire(REMIND).await;
    assert!(
        fixture
            .notice_states(case_id)
            .await
            .contains(&"kite/remind/queued".to_owned())
    );
}

#[tokio::test]
async fn only_an_address_issued_for_a_notice_accepts_mail() {
    let mut served = ServedDispatch::with_return_domain(RETURN_DOMAIN).await;
    let case_id = served.fixture.open_case("https://kite.example/1").await;
    let notice = served.fixture.notices(case_id).await.remove(0);
    let address = |mailbox, notice: &Notice, provider: &str| {
        let sent = SentMessage {
            notice_id: notice.id,
            sequence: 1,
            attempt: 1,
        };
        let keyring = &served.fixture.deps.keyring;
        let local = local_part(keyring, mailbox, &sent, &provider.parse().unwrap());
        format!("{local}@{RETURN_DOMAIN}")
    };
    let reports = address(AddressKind::Return, &notice, "kite");
    let replies = address(AddressKind::Reply, &notice, "kite");
    let unknown = Notice {
        id: domain::id::NoticeId::new(uuid::Uuid::new_v4()),
        ..notice.clone()
    };
    let invalid = [
        address(AddressKind::Return, &unknown, "kite"),
        address(AddressKind::Return, &notice, "larch"),
        reports.replace(RETURN_DOMAIN, "hotline.example"),
        reports.replacen("b1-", "r1-", 1),
        "abuse@returns.hotline.example".to_owned(),
        String::new(),
    ];
    let client = &mut served.client;
    for (address, for_delivery_reports) in [(&reports, true), (&replies, false)] {
        let request = v1::CheckMailboxRequest {
            address: address.clone(),
        };
        let known = client.check_mailbox(request).await.unwrap().into_inner();
        assert_eq!(known.for_delivery_reports, for_delivery_reports);
    }
    let mail = |address: &str, kind: v1::MailKind| v1::ReceiveMailRequest {
        address: address.to_owned(),
        kind: kind.into(),
        from_domain: "not a name; https://kite.example/1".into(),
        status: "5.1.1".into(),
    };
    for address in &invalid {
        let request = v1::CheckMailboxRequest {
            address: address.clone(),
        };
        let refused = client.check_mailbox(request).await.unwrap_err();
        let mail = mail(address, v1::MailKind::Bounced);
        let rejected = client.receive_mail(mail).await.unwrap_err();
        for status in [refused, rejected] {
            assert_eq!(status.code(), tonic::Code::NotFound, "{address}");
        }
    }
    let wrong_kind = client
        .receive_mail(mail(&replies, v1::MailKind::Bounced))
        .await
        .unwrap_err();
    assert_eq!(wrong_kind.code(), tonic::Code::InvalidArgument);
    client
        .receive_mail(mail(&reports, v1::MailKind::Bounced))
        .await
        .unwrap();
    let events = served.fixture.events(case_id).await;
    let Some(Body::MailReceived(received)) = events
        .iter()
        .find(|body| matches!(body, Body::MailReceived(_)))
    else {
        panic!("{events:?}")
    };
    assert_eq!(
        received.from_domain, "",
        "only a valid domain name is stored"
    );
    assert_eq!(
        served.fixture.notice_states(case_id).await,
        ["kite/host/bounced", "larch/upstream/sent"]
    );
    served.stop().await;
}
