//! Checks, from the claim to the changes that they lead to.

use crate::host::{HostReply, TestHost, status};
use crate::simulated_hosts::{DeliveryFixture, until};
use dispatch::checks::CheckSettings;
use domain::enums::{Answer, ContentStatus};

const IMAGE_RESPONSE: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nContent-Type: image/png\r\nETag: \"abc\"\r\n\r\n";

async fn one_case(host: &TestHost) -> (DeliveryFixture, domain::id::CaseId) {
    let mut fixture = DeliveryFixture::new().await;
    fixture.map_name("opal.example", host);
    let endpoint = TestHost::with_status(200).await;
    fixture.add_webhook_host("opal", &endpoint, false).await;
    let case = fixture.dispatch.open_case("http://opal.example/a").await;
    fixture.delivery_worker().run_once().await.unwrap();
    (fixture, case)
}

#[tokio::test]
async fn a_removal_is_confirmed_by_several_checks_and_a_reappearance_is_detected() {
    let host = TestHost::start(|_| HostReply::Send(IMAGE_RESPONSE.into())).await;
    let (fixture, case) = one_case(&host).await;
    let check_worker = fixture.check_worker(CheckSettings::default());
    fixture.advance(6.0);
    assert_eq!(
        check_worker.run_once().await.unwrap(),
        1,
        "a page that is online is checked regularly"
    );
    let seen = fixture
        .dispatch
        .case(case)
        .await
        .removal
        .row()
        .online_fingerprint
        .clone()
        .unwrap();
    assert_eq!((seen.status, seen.length), (200, Some(5000)));
    assert!(!seen.etag.unwrap().contains("abc"));

    host.respond_with(|_| status(404));
    let notice = fixture.dispatch.notices(case).await.remove(0);
    fixture.dispatch.answer(&notice, Answer::Removed).await;
    let mut checks = 0;
    while fixture.dispatch.case(case).await.content_status == ContentStatus::Online {
        checks += check_worker.run_once().await.unwrap();
        fixture.advance(0.6);
        assert!(checks < 10);
    }
    assert!(checks >= 2, "one response is not proof");
    let emitted = fixture.dispatch.event_names(case).await;
    assert!(emitted.contains(&"RemovalConfirmed"), "{emitted:?}");
    assert!(
        host.requests()
            .iter()
            .all(|request| request.method == "HEAD")
    );

    host.respond_with(|_| HostReply::Send(IMAGE_RESPONSE.into()));
    fixture.advance(3.0);
    check_worker.run_once().await.unwrap();
    let emitted = fixture.dispatch.event_names(case).await;
    assert!(emitted.contains(&"Reappeared"), "{emitted:?}");
    assert_eq!(fixture.dispatch.case(case).await.episode, 2);
}

#[tokio::test]
async fn a_host_that_refuses_head_is_sent_get_and_only_its_headers_are_read() {
    let host = TestHost::start(|request| match request.method.as_str() {
        "HEAD" => status(405),
        // The body is never sent, so that a client that waits for it would time out.
        _ => HostReply::Send(IMAGE_RESPONSE.into()),
    })
    .await;
    let (fixture, case) = one_case(&host).await;
    fixture.advance(6.0);
    fixture
        .check_worker(CheckSettings::default())
        .run_once()
        .await
        .unwrap();
    let methods: Vec<String> = host.requests().into_iter().map(|h| h.method).collect();
    assert_eq!(methods, ["HEAD", "GET"]);
    assert_eq!(
        fixture
            .dispatch
            .case(case)
            .await
            .removal
            .row()
            .online_fingerprint
            .clone()
            .unwrap()
            .length,
        Some(5000)
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let canary = TestHost::with_status(200).await;
    let host = TestHost::start(|_| {
        let to = "Location: http://canary.opal.example/b";
        HostReply::Send(format!(
            "HTTP/1.1 302 Elsewhere\r\n{to}\r\nContent-Length: 0\r\n\r\n"
        ))
    })
    .await;
    let (mut fixture, case) = one_case(&host).await;
    fixture.map_name("canary.opal.example", &canary);
    fixture.advance(6.0);
    fixture
        .check_worker(CheckSettings::default())
        .run_once()
        .await
        .unwrap();
    assert!(canary.requests().is_empty());
    let seen = fixture
        .dispatch
        .case(case)
        .await
        .removal
        .row()
        .online_fingerprint
        .clone()
        .unwrap();
    assert_eq!(seen.status, 302);
    assert!(
        seen.etag.is_some(),
        "the redirect's target is part of the fingerprint"
    );
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_neither_confirms_nor_refutes_a_removal() {
    let host = TestHost::with_status(503).await;
    let (fixture, case) = one_case(&host).await;
    let notice = fixture.dispatch.notices(case).await.remove(0);
    fixture.dispatch.answer(&notice, Answer::Removed).await;
    let check_worker = fixture.check_worker(CheckSettings::default());
    for _ in 0..5 {
        assert_eq!(check_worker.run_once().await.unwrap(), 1);
        fixture.advance(1.0);
    }
    let file = fixture.dispatch.case(case).await;
    assert_eq!(
        (
            file.content_status,
            file.removal.row().checks,
            file.removal.row().checks_agreed
        ),
        (ContentStatus::Online, 0, 0)
    );
}

#[tokio::test]
async fn a_name_that_does_not_exist_counts_only_while_the_resolver_is_trusted() {
    for (control_name, agreed) in [(None, 0), (Some("localhost".to_owned()), 1)] {
        let mut fixture = DeliveryFixture::new().await;
        let endpoint = TestHost::with_status(200).await;
        fixture.add_webhook_host("opal", &endpoint, false).await;
        // No host has this name.
        let case = fixture
            .dispatch
            .open_case("http://gone.opal.example/a")
            .await;
        fixture.delivery_worker().run_once().await.unwrap();
        let notice = fixture.dispatch.notices(case).await.remove(0);
        fixture.dispatch.answer(&notice, Answer::Removed).await;
        let settings = CheckSettings {
            control_name,
            ..CheckSettings::default()
        };
        fixture.check_worker(settings).run_once().await.unwrap();
        assert_eq!(
            fixture
                .dispatch
                .case(case)
                .await
                .removal
                .row()
                .checks_agreed,
            agreed
        );
    }
}

#[tokio::test]
async fn a_check_that_started_before_a_claim_does_not_refute_it() {
    let host = TestHost::start(|_| HostReply::Hang).await;
    let (fixture, case) = one_case(&host).await;
    fixture.advance(6.0);
    let check_worker = fixture.check_worker(CheckSettings {
        timeout_seconds: 2,
        ..CheckSettings::default()
    });
    let running = tokio::spawn(async move { check_worker.run_once().await.unwrap() });
    until("the check has started", async || host.requests().len() == 1).await;
    let notice = fixture.dispatch.notices(case).await.remove(0);
    fixture.dispatch.answer(&notice, Answer::Removed).await;
    let scheduled = fixture.dispatch.next_check_at(case).await.unwrap();
    assert_eq!(running.await.unwrap(), 1);
    assert_eq!(
        fixture.dispatch.next_check_at(case).await,
        Some(scheduled),
        "the newly scheduled check remains"
    );
}

/// Runs the check worker, with three slots for each provider, until `other` is checked. `hanging` never has more than three.
async fn check_until_other_is_reached(
    fixture: DeliveryFixture,
    hanging: &TestHost,
    other: &TestHost,
) {
    fixture.advance(6.0);
    let stop = tokio_util::sync::CancellationToken::new();
    let settings = CheckSettings {
        each: 3,
        all: 10,
        timeout_seconds: 2,
        poll_millis: 10,
        ..CheckSettings::default()
    };
    let running = tokio::spawn(fixture.check_worker(settings).run(stop.clone()));
    until("the other provider's page was checked", async || {
        // Advances the manual clock, so that deferred checks become due.
        fixture.advance(0.3);
        assert!(hanging.requests().len() <= 3);
        !other.requests().is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_hanging_host_uses_only_its_own_slots() {
    let hanging = TestHost::start(|_| HostReply::Hang).await;
    let other = TestHost::with_status(404).await;
    let mut fixture = DeliveryFixture::new().await;
    fixture.map_name("opal.example", &hanging);
    fixture.map_name("jade.example", &other);
    let endpoint = TestHost::with_status(200).await;
    fixture.add_webhook_host("opal", &endpoint, false).await;
    fixture.add_webhook_host("jade", &endpoint, false).await;
    for n in 0..20 {
        fixture
            .dispatch
            .open_case(&format!("http://opal.example/{n}"))
            .await;
    }
    fixture.dispatch.open_case("http://jade.example/a").await;
    check_until_other_is_reached(fixture, &hanging, &other).await;
}

#[tokio::test]
async fn all_host_names_of_one_provider_share_its_slots() {
    let hanging = TestHost::start(|_| HostReply::Hang).await;
    let other = TestHost::with_status(404).await;
    let mut fixture = DeliveryFixture::new().await;
    for n in 0..20 {
        fixture.map_name(&format!("n{n}.opal.example"), &hanging);
    }
    fixture.map_name("jade.example", &other);
    let endpoint = TestHost::with_status(200).await;
    fixture.add_webhook_host("opal", &endpoint, false).await;
    fixture.add_webhook_host("jade", &endpoint, false).await;
    for n in 0..20 {
        fixture
            .dispatch
            .open_case(&format!("http://n{n}.opal.example/"))
            .await;
    }
    fixture.dispatch.open_case("http://jade.example/a").await;
    check_until_other_is_reached(fixture, &hanging, &other).await;
}
