//! Mails as an abuse desk gets them, through a relay.

use dispatch::channels::mail::TlsMode;
use dispatch::channels::{Mail, MailSettings};
use dispatch::document::Hotline;
use domain::word::{NoticeState, Rung};

use crate::relay::{MailRelay, Says};
use crate::street::Street;

async fn mailed() -> (Street, MailRelay) {
    let mut street = Street::new().await;
    let relay = MailRelay::start().await;
    street.relay = Some(relay.clone());
    street.mailed("opal").await;
    (street, relay)
}

/// Soft line breaks of quoted-printable taken out, so that phrases can be looked for.
fn plain(mail: &str) -> String {
    mail.replace("=\r\n", "").replace("=3D", "=")
}

fn header<'a>(mail: &'a str, name: &str) -> Option<&'a str> {
    let head = mail.split("\r\n\r\n").next().unwrap();
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn a_mail_says_what_and_where_and_how_to_answer() {
    let (street, relay) = mailed().await;
    let case = street.bench.act("https://opal.example/a?b=1").await;
    assert_eq!(street.courier().run_once().await.unwrap(), 1);
    let mails = relay.mails();
    let mail = plain(&mails[0]);
    let notice = street.bench.notices(case).await.pop().unwrap();
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
async fn a_contact_that_was_written_or_swapped_by_sql_gets_no_mail() {
    for forgery in [
        "update provider set contact = convert_to('me@elsewhere.example', 'UTF8') where provider_id = 'opal'",
        "update provider p set contact = o.contact from provider o where p.provider_id = 'opal' and o.provider_id = 'jade'",
        // The whole sealed row of another provider.
        "update provider p set contact = o.contact, row_id = o.row_id from provider o
         where p.provider_id = 'opal' and o.provider_id = 'jade'",
    ] {
        let (mut street, relay) = mailed().await;
        street.mailed("jade").await;
        street.bench.act("https://opal.example/a").await;
        let done = sqlx::query(forgery).execute(&street.bench.pool).await;
        assert_eq!(done.unwrap().rows_affected(), 1, "{forgery}");
        assert_eq!(street.courier().run_once().await.unwrap(), 0, "{forgery}");
        assert!(relay.mails().is_empty(), "{forgery}");
        let waiting = street.in_line().await;
        let refused = (0, Some("endpoint_refused".into()));
        assert_eq!(waiting["opal"], refused, "{forgery}");
    }
}

#[tokio::test]
async fn a_reminder_is_threaded_to_the_first_notice() {
    let (street, relay) = mailed().await;
    let case = street.bench.act("https://opal.example/a").await;
    let courier = street.courier();
    courier.run_once().await.unwrap();
    street.bench.pass(time::Duration::seconds(6)).await;
    courier.run_once().await.unwrap();
    let notices = street.bench.notices(case).await;
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
async fn an_unknown_outcome_is_sent_again_with_the_same_message_id() {
    let (street, relay) = mailed().await;
    street.bench.act("https://opal.example/a").await;
    relay.say(Says {
        end: "",
        ..Says::default()
    });
    let courier = street.courier();
    courier.run_once().await.unwrap();
    let waiting = street.in_line().await;
    assert_eq!(waiting["opal"], (1, Some("relay_unavailable".into())));
    relay.say(Says::default());
    street.advance(10.0);
    courier.run_once().await.unwrap();
    let mails = relay.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(
        header(&mails[0], "Message-ID"),
        header(&mails[1], "Message-ID")
    );
    assert!(street.in_line().await.is_empty());
}

#[tokio::test]
async fn a_deferral_waits_and_a_missing_mailbox_is_over() {
    let (street, relay) = mailed().await;
    let case = street.bench.act("https://opal.example/a").await;
    let courier = street.courier();
    relay.say(Says {
        rcpt: "451 4.7.1 greylisted",
        ..Says::default()
    });
    courier.run_once().await.unwrap();
    let waiting = street.in_line().await;
    assert_eq!(waiting["opal"], (1, Some("mail_deferred".into())));
    relay.say(Says {
        rcpt: "550 5.1.1 no such user",
        ..Says::default()
    });
    street.advance(10.0);
    courier.run_once().await.unwrap();
    assert!(relay.mails().is_empty());
    assert!(street.in_line().await.is_empty());
    let said = street.bench.said_names(case).await;
    assert!(said.contains(&"NoticeBounced"), "{said:?}");
}

#[tokio::test]
async fn without_a_relay_mails_wait() {
    let mut street = Street::new().await;
    street.mailed("opal").await;
    street.bench.act("https://opal.example/a").await;
    street.courier().run_once().await.unwrap();
    assert_eq!(street.in_line().await["opal"], (1, Some("no_relay".into())));
}

#[tokio::test]
async fn mail_goes_unencrypted_to_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = std::sync::Arc::new(
        platform::sealed::Keyring::create(&folder.path().join("keyring.json")).unwrap(),
    );
    let relay = |host: &str, tls| {
        let settings = MailSettings {
            host: host.into(),
            tls,
            ..MailSettings::default()
        };
        let second = std::time::Duration::from_secs(1);
        Mail::new(&settings, &Hotline::default(), &keyring, second).is_ok()
    };
    assert!(relay("127.0.0.1", TlsMode::Loopback));
    assert!(relay("::1", TlsMode::Loopback));
    assert!(!relay("relay.example", TlsMode::Loopback));
    assert!(!relay("198.51.100.7", TlsMode::Loopback));
    assert!(relay("relay.example", TlsMode::StartTls));
    assert!(relay("relay.example", TlsMode::Implicit));
}

#[tokio::test]
async fn our_relays_troubles_and_deferred_mailboxes_say_nothing_of_a_providers_endpoint() {
    let (street, relay) = mailed().await;
    for n in 0..8 {
        street.bench.act(&format!("https://opal.example/{n}")).await;
    }
    let courier = street.courier();
    for (reply, code) in [
        ("421 4.3.2 shutting down", "relay_refused"),
        ("452 4.3.1 no room", "relay_refused"),
        ("450 4.2.1 try later", "mail_deferred"),
    ] {
        relay.say(Says {
            rcpt: reply,
            ..Says::default()
        });
        assert_eq!(courier.run_once().await.unwrap(), 8, "{reply}");
        let waiting = street.in_line().await;
        assert_eq!(waiting["opal"].1.as_deref(), Some(code), "{reply}");
        street.advance(60.0);
    }
    let ill: i64 = sqlx::query_scalar("select count(*) from endpoint_health where failures > 0")
        .fetch_one(&street.bench.pool)
        .await
        .unwrap();
    assert_eq!(ill, 0);
}
