//! Mail: a part for people, an XARF part for their machines, and the signed notice.
//!
//! Goes to the hotline's own relay, encrypted unless that is on loopback. The Message-ID is that of the notice and its
//! sequence, so that a message sent twice is one. Nothing is attached but text, and nothing is written to disk.

mod text;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message as Letter, Tokio1Executor};
use platform::config::SecretRef;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;

use super::{Failure, Outcome, xarf};
use crate::Error;
use crate::document::{Hotline, Signed, view};
use crate::lifecycle::Message;
use crate::store::Content;

/// The relay that takes our mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub tls: TlsMode,
    pub user: Option<String>,
    /// `env:NAME` or `file:/path`.
    pub password: Option<SecretRef>,
    /// Connections at once.
    pub connections: u32,
}

/// How the way to the relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// STARTTLS, or nothing is sent.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// None; accepted for a relay on a loopback address only.
    Loopback,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 25,
            tls: TlsMode::Loopback,
            user: None,
            password: None,
            connections: 8,
        }
    }
}

/// Sends mails. Cheap to clone.
#[derive(Clone)]
pub struct Mail {
    relay: AsyncSmtpTransport<Tokio1Executor>,
    hotline: Hotline,
    from: Mailbox,
}

impl Mail {
    /// # Errors
    /// `Setting` for a relay that is not protected, or a hotline without a mailbox.
    ///
    /// # Panics
    /// Outside a runtime: the pool of connections has a task of its own.
    pub fn new(
        settings: &MailSettings,
        hotline: &Hotline,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let tls = tls(settings)?;
        let mut relay = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(timeout))
            .pool_config(PoolConfig::new().max_size(settings.connections.max(1)));
        if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
            let secret = password
                .resolve()
                .map_err(|error| Error::Setting(error.to_string()))?;
            let secret = secret.expose_secret().to_owned();
            relay = relay.credentials(Credentials::new(user.clone(), secret));
        }
        let plain = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        let dotted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if !plain(&hotline.name) || !plain(&hotline.domain) || !hotline.domain.chars().all(dotted) {
            return Err(Error::Setting(
                "the hotline's name or domain cannot stand in a mail; set hotline.name and hotline.domain".into(),
            ));
        }
        let from = hotline.contact.parse().map_err(|_| {
            Error::Setting("the hotline's contact is not a mailbox; set hotline.contact".into())
        })?;
        Ok(Self {
            relay: relay.build(),
            hotline: hotline.clone(),
            from: Mailbox::new(Some(hotline.name.clone()), from),
        })
    }

    /// Makes one attempt. `link` is where the addressee can read and answer without an account.
    pub async fn send(
        &self,
        mailbox: &str,
        content: &Content,
        signed: &Signed,
        link: &str,
    ) -> Outcome {
        let Ok(address) = mailbox.parse() else {
            return Outcome::Unreachable("mailbox_unavailable");
        };
        let to = Mailbox::new(None, address);
        let Ok(letter) = self.letter(to, content, signed, link) else {
            return Outcome::Failed(Failure::ours("unsendable"));
        };
        match self.relay.send(letter).await {
            Ok(_) => Outcome::Delivered,
            Err(error) => judge(&error),
        }
    }

    fn letter(
        &self,
        to: Mailbox,
        content: &Content,
        signed: &Signed,
        link: &str,
    ) -> Result<Letter, lettre::error::Error> {
        let id = |notice, sequence| format!("<{notice}.{sequence}@{}>", self.hotline.domain);
        let first = id(content.first_notice_id, 1);
        let own = id(content.notice_id, content.sequence);
        let mut letter = Letter::builder()
            .from(self.from.clone())
            .to(to)
            .date(SystemTime::from(signed.issued_at))
            .subject(text::subject(content))
            .message_id(Some(own.clone()))
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".into(),
            ));
        if own != first {
            letter = letter.in_reply_to(first.clone()).references(first);
        }
        let mut parts = MultiPart::mixed().singlepart(SinglePart::plain(text::body(
            content,
            signed,
            &self.hotline,
            link,
        )));
        if matches!(content.message, Message::Notice | Message::Reminder) {
            let report = xarf::report(content, signed, &self.hotline).to_string();
            parts = parts.singlepart(json_part("xarf", report));
        }
        let notice = json!({ "notice": view(content, signed) }).to_string();
        letter.multipart(parts.singlepart(json_part("notice", notice)))
    }
}

fn json_part(name: &str, json: String) -> SinglePart {
    SinglePart::builder()
        .header(ContentType::parse("application/json; charset=utf-8").expect("a media type"))
        .header(
            lettre::message::header::ContentDisposition::inline_with_name(&format!("{name}.json")),
        )
        .body(json)
}

fn tls(settings: &MailSettings) -> Result<Tls, Error> {
    let parameters = || {
        TlsParameters::new_rustls(settings.host.clone()).map_err(|_| {
            Error::Setting("the mail relay's name cannot be used for TLS; set mail.host".into())
        })
    };
    match settings.tls {
        TlsMode::StartTls => parameters().map(Tls::Required),
        TlsMode::Implicit => parameters().map(Tls::Wrapper),
        TlsMode::Loopback => {
            let address = settings.host.parse::<IpAddr>();
            if settings.host == "localhost" || address.is_ok_and(|address| address.is_loopback()) {
                Ok(Tls::None)
            } else {
                Err(Error::Setting(
                    "mail goes unencrypted to a relay on loopback only; set mail.tls to start_tls or implicit".into(),
                ))
            }
        }
    }
}

/// SMTP replies by RFC 5321 section 4.2; all else is the way to the relay.
fn judge(error: &lettre::transport::smtp::Error) -> Outcome {
    let code = error.status().map(u16::from);
    Outcome::Failed(match code {
        // Of the session, its room, its syntax or its credential: ours, not the addressee's.
        Some(421 | 432 | 452 | 454 | 500..=504 | 530 | 534 | 535 | 538) => {
            Failure::ours("relay_refused")
        }
        // The mailbox waits, or its provider does: that says nothing of our way there, nor of its other mailboxes.
        Some(400..=499) => Failure::ours("mail_deferred"),
        Some(500..=599) => return Outcome::Unreachable("mailbox_unavailable"),
        _ => Failure {
            // The connection may have ended after the message was taken.
            in_doubt: true,
            ..Failure::ours("relay_unavailable")
        },
    })
}

#[cfg(test)]
mod tests;
