//! Mailboxes of the simulated hosts, served by the platform's SMTP server on loopback only. A mail is passed to its
//! recipient and not stored.

use std::sync::Arc;
use std::time::Duration;

use platform::smtp::{self, Limits, Mail, MailHandler, Peer, SmtpReply, SmtpSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::network_fault::NetworkFault;
use super::scenario::Behaviour;
use super::simulated_host::SimulatedHost;

/// Finds the host of a mailbox address.
pub type MailboxLookup = Arc<dyn Fn(&str) -> Option<Arc<SimulatedHost>> + Send + Sync>;

/// Serves until shutdown.
pub async fn serve(listener: TcpListener, mailboxes: MailboxLookup, shutdown: CancellationToken) {
    let settings = SmtpSettings {
        name: "simulator.test".to_owned(),
        limits: Limits {
            connections: 1024,
            recipients: 16,
            size: 512 * 1024,
            // RFC 5321 section 4.5.3.2 asks for five minutes; loopback needs less.
            read_timeout: Duration::from_mins(2),
            // The hotline's mail sender reuses its connections.
            session: Duration::from_hours(24),
        },
        tls: None,
    };
    smtp::serve(listener, HostMailboxes(mailboxes), settings, shutdown).await;
}

#[derive(Clone)]
struct HostMailboxes(MailboxLookup);

impl MailHandler for HostMailboxes {
    type Recipient = Arc<SimulatedHost>;

    async fn recipient(&self, _: Peer, address: &str) -> Result<Arc<SimulatedHost>, SmtpReply> {
        match (self.0)(address) {
            None => Err(SmtpReply::Continue("550 5.1.1 no such mailbox")),
            Some(host) if host.behaviour() == Behaviour::Bounces => Err(SmtpReply::Continue(
                "550 5.2.1 this mailbox accepts no mail",
            )),
            Some(host) if host.is_down() => Err(SmtpReply::Close(
                "421 4.3.2 this host is down, try again later",
            )),
            Some(host) => Ok(host),
        }
    }

    async fn receive(&self, mail: Mail<Arc<SimulatedHost>>) -> SmtpReply {
        let mut fault = NetworkFault::None;
        for host in mail.recipients {
            // A mail whose notice fails verification is accepted, because SMTP has no reply for it.
            fault = host
                .receive_mail(&mail.bytes)
                .await
                .unwrap_or(NetworkFault::None);
        }
        match fault.after_delay().await {
            NetworkFault::None => SmtpReply::Continue("250 2.0.0 accepted"),
            NetworkFault::Refused | NetworkFault::RefusedLate => {
                SmtpReply::Continue("451 4.3.0 try again later")
            }
            NetworkFault::ReplyLost | NetworkFault::ReplyLostLate => SmtpReply::Disconnect,
        }
    }
}
