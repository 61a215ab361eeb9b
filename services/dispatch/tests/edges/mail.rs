//! Mails as an abuse desk receives them, through a relay.

use crate::relay::{MailRelay, SmtpReplies};
use crate::simulated_hosts::DeliveryFixture;
use dispatch::delivery::document::Hotline;
use dispatch::delivery::{MailSender, MailSettings, TlsMode};
use domain::enums::{NoticeState, Rung};

async fn fixture_with_relay() -> (DeliveryFixture, MailRelay) {
    let mut fixture = DeliveryFixture::new().await;
    let relay = MailRelay::start().await;
    fixture.relay = Some(relay.clone());
    fixture.add_mail_host("opal").await;
    (fixture, relay)
}

/// Removes the soft line breaks of quoted-printable, so that phrases can be searched for.
fn without_soft_breaks(mail: &str) -> String {
    mail.replace("=\r\n", "").replace("=3D", "=")
}

fn header<'a>(mail: &'a str, name: &str) -> Option<&'a str> {
    let head = mail.split("\r\n\r\n").next().unwrap();
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn a_mail_names_url_legal_basis_and_link_and_has_all_its_parts() {
    let (fixture, relay) = fixture_with_relay().await;
    let case = fixture
        .dispatch
        .open_case("https://opal.example/a?b=1")
        .await;
    assert_eq!(fixture.delivery_worker().run_once().await.unwrap(), 1);
    let mails = relay.mails();
    let mail = without_soft_breaks(&mails[0]);
    let notice = fixture.dispatch.notices(case).await.pop().unwrap();
    let own = format!("<{}.1@hotline.example>", notice.id);
    assert_eq!(header(&mail, "Message-ID"), Some(own.as_str()));
    assert_eq!(header(&mail, "Auto-Submitted"), Some("auto-generated"));
    assert_eq!(header(&mail, "To"), Some("abuse@opal.example"));
    assert!(header(&mail, "In-Reply-To").is_none());
    assert!(!header(&mail, "Subject").unwrap().contains("opal"));
    for phrase in [
        "https://opal.example/a?b=1",
        "Demonstration only",
        "http://127.0.0.1:8080/n/",
        "Opening the link changes nothing",
        "\"xarf_version\"",
        "\"type\":\"csam\"",
        "\"signed\":",
    ] {
        assert!(mail.contains(phrase), "{phrase}\n{mail}");
    }
    assert!(!mail.contains("_internal"));
    assert_eq!(notice.state, NoticeState::Delivered);
}

#[tokio::test]
async fn a_contact_that_was_forged_or_swapped_in_the_database_receives_no_mail() {
    for forgery in [
        "update provider set contact = convert_to('me@elsewhere.example', 'UTF8') where provider_id = 'opal'",
        "update provider p set contact = o.contact from provider o where p.provider_id = 'opal' and o.provider_id = 'jade'",
        // The sealed contact of another provider together with its row id.
        "update provider p set contact = o.contact, row_id = o.row_id from provider o
         where p.provider_id = 'opal' and o.provider_id = 'jade'",
    ] {
        let (mut fixture, relay) = fixture_with_relay().await;
        fixture.add_mail_host("jade").await;
        fixture.dispatch.open_case("https://opal.example/a").await;
        let done = sqlx::query(forgery).execute(&fixture.dispatch.pool).await;
        assert_eq!(done.unwrap().rows_affected(), 1, "{forgery}");
        assert_eq!(
            fixture.delivery_worker().run_once().await.unwrap(),
            0,
            "{forgery}"
        );
        assert!(relay.mails().is_empty(), "{forgery}");
        let waiting = fixture.waiting_deliveries().await;
        let refused = (0, Some("endpoint_refused".into()));
        assert_eq!(waiting["opal"], refused, "{forgery}");
    }
}

#[tokio::test]
async fn a_reminder_is_threaded_to_the_first_notice() {
    let (fixture, relay) = fixture_with_relay().await;
    let case = fixture.dispatch.open_case("https://opal.example/a").await;
    let delivery_worker = fixture.delivery_worker();
    delivery_worker.run_once().await.unwrap();
    fixture
        .dispatch
        .advance_and_fire(time::Duration::seconds(6))
        .await;
    delivery_worker.run_once().await.unwrap();
    let notices = fixture.dispatch.notices(case).await;
    let first = notices.iter().find(|n| n.rung == Rung::Host).unwrap();
    let reminder = notices.iter().find(|n| n.rung == Rung::Remind).unwrap();
    let mails = relay.mails();
    assert_eq!(mails.len(), 2);
    let id = |notice| format!("<{notice}.1@hotline.example>");
    assert_eq!(
        header(&mails[1], "Message-ID"),
        Some(id(reminder.id).as_str())
    );
    assert_eq!(
        header(&mails[1], "In-Reply-To"),
        Some(id(first.id).as_str())
    );
    assert_eq!(header(&mails[1], "References"), Some(id(first.id).as_str()));
}

#[tokio::test]
async fn a_mail_with_an_unknown_outcome_is_sent_again_under_the_same_message_id() {
    let (fixture, relay) = fixture_with_relay().await;
    fixture.dispatch.open_case("https://opal.example/a").await;
    relay.reply_with(SmtpReplies {
        end: "",
        ..SmtpReplies::default()
    });
    let delivery_worker = fixture.delivery_worker();
    delivery_worker.run_once().await.unwrap();
    let waiting = fixture.waiting_deliveries().await;
    assert_eq!(waiting["opal"], (1, Some("relay_unavailable".into())));
    relay.reply_with(SmtpReplies::default());
    fixture.advance(10.0);
    delivery_worker.run_once().await.unwrap();
    let mails = relay.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(
        header(&mails[0], "Message-ID"),
        header(&mails[1], "Message-ID")
    );
    assert!(fixture.waiting_deliveries().await.is_empty());
}

#[tokio::test]
async fn a_deferred_mail_is_retried_and_a_missing_mailbox_ends_the_delivery() {
    let (fixture, relay) = fixture_with_relay().await;
    let case = fixture.dispatch.open_case("https://opal.example/a").await;
    let delivery_worker = fixture.delivery_worker();
    relay.reply_with(SmtpReplies {
        rcpt: "451 4.7.1 greylisted",
        ..SmtpReplies::default()
    });
    delivery_worker.run_once().await.unwrap();
    let waiting = fixture.waiting_deliveries().await;
    assert_eq!(waiting["opal"], (1, Some("mail_deferred".into())));
    relay.reply_with(SmtpReplies {
        rcpt: "550 5.1.1 no such user",
        ..SmtpReplies::default()
    });
    fixture.advance(10.0);
    delivery_worker.run_once().await.unwrap();
    assert!(relay.mails().is_empty());
    assert!(fixture.waiting_deliveries().await.is_empty());
    let emitted = fixture.dispatch.event_names(case).await;
    assert!(emitted.contains(&"NoticeBounced"), "{emitted:?}");
}

#[tokio::test]
async fn mails_wait_while_no_relay_is_configured() {
    let mut fixture = DeliveryFixture::new().await;
    fixture.add_mail_host("opal").await;
    fixture.dispatch.open_case("https://opal.example/a").await;
    fixture.delivery_worker().run_once().await.unwrap();
    assert_eq!(
        fixture.waiting_deliveries().await["opal"],
        (1, Some("no_relay".into()))
    );
}

#[tokio::test]
async fn an_unencrypted_relay_is_accepted_on_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = std::sync::Arc::new(
        platform::sealed::Keyring::create(&folder.path().join("keyring.json")).unwrap(),
    );
    let is_accepted = |host: &str, tls| {
        let settings = MailSettings {
            host: host.into(),
            tls,
            ..MailSettings::default()
        };
        let second = std::time::Duration::from_secs(1);
        MailSender::new(&settings, &Hotline::default(), &keyring, second).is_ok()
    };
    assert!(is_accepted("127.0.0.1", TlsMode::Loopback));
    assert!(is_accepted("::1", TlsMode::Loopback));
    assert!(!is_accepted("relay.example", TlsMode::Loopback));
    assert!(!is_accepted("198.51.100.7", TlsMode::Loopback));
    assert!(is_accepted("relay.example", TlsMode::StartTls));
    assert!(is_accepted("relay.example", TlsMode::Implicit));
}

#[tokio::test]
async fn relay_failures_and_deferrals_do_not_count_against_the_endpoint() {
    let (fixture, relay) = fixture_with_relay().await;
    for n in 0..8 {
        fixture
            .dispatch
            .open_case(&format!("https://opal.example/{n}"))
            .await;
    }
    let delivery_worker = fixture.delivery_worker();
    for (reply, code) in [
        ("421 4.3.2 shutting down", "relay_refused"),
        ("452 4.3.1 no room", "relay_refused"),
        ("450 4.2.1 try later", "mail_deferred"),
    ] {
        relay.reply_with(SmtpReplies {
            rcpt: reply,
            ..SmtpReplies::default()
        });
        assert_eq!(delivery_worker.run_once().await.unwrap(), 8, "{reply}");
        let waiting = fixture.waiting_deliveries().await;
        assert_eq!(waiting["opal"].1.as_deref(), Some(code), "{reply}");
        fixture.advance(60.0);
    }
    let failing_endpoints: i64 =
        sqlx::query_scalar("select count(*) from endpoint_health where failures > 0")
            .fetch_one(&fixture.dispatch.pool)
            .await
            .unwrap();
    assert_eq!(failing_endpoints, 0);
}
