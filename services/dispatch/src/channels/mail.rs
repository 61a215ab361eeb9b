//! Mail: a part for people, a report for their machines, and the signed notice.
//!
//! Goes to the hotline's own relay, encrypted unless that is on loopback. Nothing is attached but text, and nothing is
//! written to disk.

mod feedback;
mod letter;
mod text;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use platform::config::SecretRef;
use platform::sealed::Keyring;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Failure, Outcome};
use crate::Error;
use crate::document::{Hotline, Signed};
use crate::mailbox::{self, Sent};
use crate::store::Content;

pub use letter::message_id;

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
    /// Right of the @ in the addresses that mails come back to: a name whose mail reaches the gateway's door. Without it
    /// they come back to the hotline's contact, and what could not be delivered moves nothing.
    pub return_domain: Option<String>,
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
            return_domain: None,
        }
    }
}

/// Sends mails. Cheap to clone.
#[derive(Clone)]
pub struct Mail {
    relay: AsyncSmtpTransport<Tokio1Executor>,
    hotline: Hotline,
    from: Mailbox,
    returns: Option<Returns>,
}

/// Where mails come back to.
#[derive(Clone)]
struct Returns {
    keyring: Arc<Keyring>,
    domain: String,
}

/// Where the host was found just before a mail left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// None where it could not be looked up.
    pub addresses: Vec<IpAddr>,
    pub at: OffsetDateTime,
}

/// One message, and what belongs to this attempt of it.
#[derive(Clone, Copy)]
pub struct Parcel<'a> {
    pub content: &'a Content,
    pub signed: &'a Signed,
    /// Where the addressee can read and answer without an account.
    pub link: &'a str,
    pub place: &'a Place,
    /// Counts from 1.
    pub attempt: i32,
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
        keyring: &Arc<Keyring>,
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
        let is_name = |name: &str| plain(name) && name.chars().all(dotted);
        if settings
            .return_domain
            .as_deref()
            .is_some_and(|domain| !is_name(domain))
        {
            return Err(Error::Setting(
                "mail.return_domain is no name; set it to one whose mail reaches the gateway"
                    .into(),
            ));
        }
        if !plain(&hotline.name) || !is_name(&hotline.domain) {
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
            returns: settings.return_domain.clone().map(|domain| Returns {
                keyring: Arc::clone(keyring),
                domain,
            }),
        })
    }

    /// Makes one attempt.
    pub async fn send(&self, mailbox: &str, parcel: &Parcel<'_>) -> Outcome {
        let Ok(to) = mailbox.parse::<Address>() else {
            return Outcome::Unreachable("mailbox_unavailable");
        };
        let Ok(letter) = self.letter(to, parcel) else {
            return Outcome::Failed(Failure::ours("unsendable"));
        };
        match self.relay.send(letter).await {
            Ok(_) => Outcome::Delivered,
            Err(error) => judge(&error),
        }
    }

    /// An address of this attempt that comes back to us; none where no domain is set for it.
    fn own_address(&self, mailbox: mailbox::Mailbox, parcel: &Parcel<'_>) -> Option<Address> {
        let returns = self.returns.as_ref()?;
        let sent = Sent {
            notice_id: parcel.content.notice_id,
            sequence: u16::try_from(parcel.content.sequence).ok()?,
            // Which of very many it was says nothing.
            attempt: u16::try_from(parcel.attempt).unwrap_or(u16::MAX),
        };
        let provider = &parcel.content.provider_id;
        let local = mailbox::local_part(&returns.keyring, mailbox, &sent, provider);
        Address::new(local, &returns.domain).ok()
    }
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
