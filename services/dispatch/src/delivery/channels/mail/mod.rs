//! Notices by mail: a text for people, a report for their programs, and the signed notice.
//!
//! Mail goes to the hotline's own relay, encrypted unless the relay is on a loopback address. All parts are
//! text, and nothing is written to disk.

mod mime;
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
use platform::service::RoleFailed;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{DeliveryOutcome, Failure};
use crate::cases::NoticeContent;
use crate::delivery::document::{Hotline, SignedNotice};
use crate::delivery::return_address::{self, AddressKind, SentMessage};

pub use mime::message_id;

/// The SMTP relay that accepts our mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub tls: TlsMode,
    pub user: Option<String>,
    /// `env:NAME` or `file:/path`.
    pub password: Option<SecretRef>,
    /// Maximum concurrent connections.
    pub connections: u32,
    /// Domain of the return addresses: a name whose mail reaches the gateway's inbound mail listener. Without
    /// it, replies and delivery reports go to the hotline's contact, and failed deliveries have no effect on
    /// the notice.
    pub return_domain: Option<String>,
}

/// How the connection to the relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// STARTTLS, required: without it nothing is sent.
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// No TLS; accepted only for a relay on a loopback address.
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
pub struct MailSender {
    relay: AsyncSmtpTransport<Tokio1Executor>,
    hotline: Hotline,
    from: Mailbox,
    return_addresses: Option<ReturnAddresses>,
}

/// Creates the return addresses of mails.
#[derive(Clone)]
struct ReturnAddresses {
    keyring: Arc<Keyring>,
    domain: String,
}

/// The host's addresses just before a mail was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLookup {
    /// Empty if the lookup failed.
    pub addresses: Vec<IpAddr>,
    pub at: OffsetDateTime,
}

/// One attempt to send a message by mail.
#[derive(Clone, Copy)]
pub struct OutgoingMail<'a> {
    pub content: &'a NoticeContent,
    pub signed: &'a SignedNotice,
    /// Page where the addressee can read and answer the notice without an account.
    pub link: &'a str,
    pub host_lookup: &'a HostLookup,
    /// Counts from 1.
    pub attempt: i32,
}

impl MailSender {
    /// # Errors
    /// `Setting` if the connection to the relay is not protected, or a setting cannot be used in a mail.
    ///
    /// # Panics
    /// Outside a Tokio runtime: the connection pool spawns a task.
    pub fn new(
        settings: &MailSettings,
        hotline: &Hotline,
        keyring: &Arc<Keyring>,
        timeout: Duration,
    ) -> Result<Self, RoleFailed> {
        let tls = tls(settings)?;
        let mut relay = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(timeout))
            .pool_config(PoolConfig::new().max_size(settings.connections.max(1)));
        if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
            let secret = password
                .resolve()
                .map_err(|error| RoleFailed::Setting(error.to_string()))?;
            let secret = secret.expose_secret().to_owned();
            relay = relay.credentials(Credentials::new(user.clone(), secret));
        }
        let is_printable = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        let is_domain_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let is_domain = |name: &str| is_printable(name) && name.chars().all(is_domain_char);
        if settings
            .return_domain
            .as_deref()
            .is_some_and(|domain| !is_domain(domain))
        {
            return Err(RoleFailed::Setting(
                "mail.return_domain is not a domain name; set it to one whose mail reaches the gateway"
                    .into(),
            ));
        }
        if !is_printable(&hotline.name) || !is_domain(&hotline.domain) {
            return Err(RoleFailed::Setting(
                "the hotline's name or domain cannot be used in a mail; set hotline.name and hotline.domain".into(),
            ));
        }
        let from = hotline.contact.parse().map_err(|_| {
            RoleFailed::Setting(
                "the hotline's contact is not a mailbox; set hotline.contact".into(),
            )
        })?;
        Ok(Self {
            relay: relay.build(),
            hotline: hotline.clone(),
            from: Mailbox::new(Some(hotline.name.clone()), from),
            return_addresses: settings
                .return_domain
                .clone()
                .map(|domain| ReturnAddresses {
                    keyring: Arc::clone(keyring),
                    domain,
                }),
        })
    }

    /// Makes one attempt.
    pub async fn send(&self, mailbox: &str, mail: &OutgoingMail<'_>) -> DeliveryOutcome {
        let Ok(to) = mailbox.parse::<Address>() else {
            return DeliveryOutcome::Unreachable("mailbox_unavailable");
        };
        let Ok(message) = self.compose(to, mail) else {
            return DeliveryOutcome::Failed(Failure::not_endpoint("unsendable"));
        };
        match self.relay.send(message).await {
            Ok(_) => DeliveryOutcome::Delivered,
            Err(error) => classify_error(&error),
        }
    }

    /// A return address of this attempt; `None` if no domain is configured for it.
    fn return_address(&self, kind: AddressKind, mail: &OutgoingMail<'_>) -> Option<Address> {
        let addresses = self.return_addresses.as_ref()?;
        let sent = SentMessage {
            notice_id: mail.content.notice_id,
            sequence: u16::try_from(mail.content.sequence).ok()?,
            // Beyond 65,535 attempts the exact number is irrelevant.
            attempt: u16::try_from(mail.attempt).unwrap_or(u16::MAX),
        };
        let provider = &mail.content.provider_id;
        let local = return_address::local_part(&addresses.keyring, kind, &sent, provider);
        Address::new(local, &addresses.domain).ok()
    }
}

fn tls(settings: &MailSettings) -> Result<Tls, RoleFailed> {
    let parameters = || {
        TlsParameters::new_rustls(settings.host.clone()).map_err(|_| {
            RoleFailed::Setting(
                "the mail relay's name cannot be used for TLS; set mail.host".into(),
            )
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
                Err(RoleFailed::Setting(
                    "mail is sent unencrypted only to a relay on a loopback address; set mail.tls to start_tls or implicit".into(),
                ))
            }
        }
    }
}

/// Classifies SMTP reply codes (RFC 5321 section 4.2); an error without one is a failed connection to the
/// relay.
fn classify_error(error: &lettre::transport::smtp::Error) -> DeliveryOutcome {
    let code = error.status().map(u16::from);
    DeliveryOutcome::Failed(match code {
        // Errors of the session, its resources, syntax or credentials concern us and the relay, not the
        // addressee.
        Some(421 | 432 | 452 | 454 | 500..=504 | 530 | 534 | 535 | 538) => {
            Failure::not_endpoint("relay_refused")
        }
        // The mailbox or its provider defers the mail: this does not concern the relay, nor the provider's
        // other mailboxes.
        Some(400..=499) => Failure::not_endpoint("mail_deferred"),
        Some(500..=599) => return DeliveryOutcome::Unreachable("mailbox_unavailable"),
        _ => Failure {
            // The connection may have ended after the message was accepted.
            in_doubt: true,
            ..Failure::not_endpoint("relay_unavailable")
        },
    })
}

#[cfg(test)]
mod tests;
