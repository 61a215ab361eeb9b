//! Looks, from the claim to what they change.

use dispatch::probe::ProbeSettings;
use domain::word::{Answer, LiveState};

use crate::host::{Host, Reply, status};
use crate::street::{Street, until};

const PICTURE: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nContent-Type: image/png\r\nETag: \"abc\"\r\n\r\n";

async fn one_case(site: &Host) -> (Street, domain::id::CaseId) {
    let mut street = Street::new().await;
    street.serve("opal.example", site);
    let endpoint = Host::answering(200).await;
    street.hooked("opal", &endpoint, false).await;
    let case = street.bench.act("http://opal.example/a").await;
    street.courier().run_once().await.unwrap();
    (street, case)
}

#[tokio::test]
async fn a_true_claim_is_confirmed_by_several_looks_and_a_return_is_seen() {
    let site = Host::start(|_| Reply::Say(PICTURE.into())).await;
    let (street, case) = one_case(&site).await;
    let watcher = street.watcher(ProbeSettings::default());
    street.advance(6.0);
    assert_eq!(
        watcher.run_once().await.unwrap(),
        1,
        "what is up is looked at now and then"
    );
    let seen = street.bench.case(case).await.seen.unwrap();
    assert_eq!((seen.status, seen.length), (200, Some(5000)));
    assert!(!seen.etag.unwrap().contains("abc"));

    site.behave(|_| status(404));
    let notice = street.bench.notices(case).await.remove(0);
    street.bench.answer(&notice, Answer::Removed).await;
    let mut looks = 0;
    while street.bench.case(case).await.live == LiveState::Up {
        looks += watcher.run_once().await.unwrap();
        street.advance(0.6);
        assert!(looks < 10);
    }
    assert!(looks >= 2, "one answer is no proof");
    let said = street.bench.said_names(case).await;
    assert!(said.contains(&"RemovalConfirmed"), "{said:?}");
    assert!(site.heard().iter().all(|heard| heard.method == "HEAD"));

    site.behave(|_| Reply::Say(PICTURE.into()));
    street.advance(3.0);
    watcher.run_once().await.unwrap();
    let said = street.bench.said_names(case).await;
    assert!(said.contains(&"Reappeared"), "{said:?}");
    assert_eq!(street.bench.case(case).await.episode, 2);
}

#[tokio::test]
async fn a_host_that_refuses_head_is_asked_for_headers_only() {
    let site = Host::start(|heard| match heard.method.as_str() {
        "HEAD" => status(405),
        // The body never comes: whoever waits for it waits in vain.
        _ => Reply::Say(PICTURE.into()),
    })
    .await;
    let (street, case) = one_case(&site).await;
    street.advance(6.0);
    street
        .watcher(ProbeSettings::default())
        .run_once()
        .await
        .unwrap();
    let methods: Vec<String> = site.heard().into_iter().map(|h| h.method).collect();
    assert_eq!(methods, ["HEAD", "GET"]);
    assert_eq!(
        street.bench.case(case).await.seen.unwrap().length,
        Some(5000)
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let canary = Host::answering(200).await;
    let site = Host::start(|_| {
        let to = "Location: http://canary.opal.example/b";
        Reply::Say(format!(
            "HTTP/1.1 302 Elsewhere\r\n{to}\r\nContent-Length: 0\r\n\r\n"
        ))
    })
    .await;
    let (mut street, case) = one_case(&site).await;
    street.serve("canary.opal.example", &canary);
    street.advance(6.0);
    street
        .watcher(ProbeSettings::default())
        .run_once()
        .await
        .unwrap();
    assert!(canary.heard().is_empty());
    let seen = street.bench.case(case).await.seen.unwrap();
    assert_eq!(seen.status, 302);
    assert!(
        seen.etag.is_some(),
        "where it leads is part of how it looks"
    );
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_says_nothing_about_removal() {
    let site = Host::answering(503).await;
    let (street, case) = one_case(&site).await;
    let notice = street.bench.notices(case).await.remove(0);
    street.bench.answer(&notice, Answer::Removed).await;
    let watcher = street.watcher(ProbeSettings::default());
    for _ in 0..5 {
        assert_eq!(watcher.run_once().await.unwrap(), 1);
        street.advance(1.0);
    }
    let file = street.bench.case(case).await;
    assert_eq!((file.live, file.checks, file.agreed), (LiveState::Up, 0, 0));
}

#[tokio::test]
async fn a_name_that_is_gone_counts_only_while_the_resolver_can_be_believed() {
    for (control, agreed) in [(None, 0), (Some("localhost".to_owned()), 1)] {
        let mut street = Street::new().await;
        let endpoint = Host::answering(200).await;
        street.hooked("opal", &endpoint, false).await;
        // Nobody serves this name.
        let case = street.bench.act("http://gone.opal.example/a").await;
        street.courier().run_once().await.unwrap();
        let notice = street.bench.notices(case).await.remove(0);
        street.bench.answer(&notice, Answer::Removed).await;
        let settings = ProbeSettings {
            control_name: control,
            ..ProbeSettings::default()
        };
        street.watcher(settings).run_once().await.unwrap();
        assert_eq!(street.bench.case(case).await.agreed, agreed);
    }
}

#[tokio::test]
async fn a_look_that_began_before_a_claim_says_nothing_about_it() {
    let site = Host::start(|_| Reply::Hang).await;
    let (street, case) = one_case(&site).await;
    street.advance(6.0);
    let watcher = street.watcher(ProbeSettings {
        timeout_seconds: 2,
        ..ProbeSettings::default()
    });
    let looking = tokio::spawn(async move { watcher.run_once().await.unwrap() });
    until("the look has begun", async || site.heard().len() == 1).await;
    let notice = street.bench.notices(case).await.remove(0);
    street.bench.answer(&notice, Answer::Removed).await;
    let asked_for = street.bench.look_at(case).await.unwrap();
    assert_eq!(looking.await.unwrap(), 1);
    assert_eq!(
        street.bench.look_at(case).await,
        Some(asked_for),
        "the new look stands"
    );
}

#[tokio::test]
async fn one_host_gets_a_few_looks_at_a_time_and_the_others_theirs() {
    let site = Host::start(|_| Reply::Hang).await;
    let other = Host::answering(404).await;
    let mut street = Street::new().await;
    street.serve("opal.example", &site);
    street.serve("jade.example", &other);
    let endpoint = Host::answering(200).await;
    street.hooked("opal", &endpoint, false).await;
    street.hooked("jade", &endpoint, false).await;
    for n in 0..20 {
        street.bench.act(&format!("http://opal.example/{n}")).await;
    }
    street.bench.act("http://jade.example/a").await;
    street.advance(6.0);
    let stop = tokio_util::sync::CancellationToken::new();
    let settings = ProbeSettings {
        each: 3,
        all: 10,
        timeout_seconds: 2,
        poll_millis: 10,
        ..ProbeSettings::default()
    };
    let running = tokio::spawn(street.watcher(settings).run(stop.clone()));
    until("the other host was looked at", async || {
        // The clock is the test's: what was put off becomes due.
        street.advance(0.3);
        assert!(site.heard().len() <= 3);
        !other.heard().is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn names_without_end_of_one_provider_share_its_turns() {
    let hanging = Host::start(|_| Reply::Hang).await;
    let other = Host::answering(404).await;
    let mut street = Street::new().await;
    for n in 0..20 {
        street.serve(&format!("n{n}.opal.example"), &hanging);
    }
    street.serve("jade.example", &other);
    let endpoint = Host::answering(200).await;
    street.hooked("opal", &endpoint, false).await;
    street.hooked("jade", &endpoint, false).await;
    for n in 0..20 {
        street
            .bench
            .act(&format!("http://n{n}.opal.example/"))
            .await;
    }
    street.bench.act("http://jade.example/a").await;
    street.advance(6.0);
    let stop = tokio_util::sync::CancellationToken::new();
    let settings = ProbeSettings {
        each: 3,
        all: 10,
        timeout_seconds: 2,
        poll_millis: 10,
        ..ProbeSettings::default()
    };
    let running = tokio::spawn(street.watcher(settings).run(stop.clone()));
    until("the other provider's was looked at", async || {
        street.advance(0.3);
        assert!(hanging.heard().len() <= 3);
        !other.heard().is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap().unwrap();
}
