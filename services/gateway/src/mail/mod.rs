//! The mail door: where mails of ours come back to. It reads what kind of mail came and hands that word on.
//!
//! Nothing else of a mail is kept, logged or passed on: what a stranger writes may name what nobody may read. Only
//! addresses that dispatch has made are taken, and nothing is ever sent in reply, so that this is nobody's relay.

mod reading;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::error::{Kind, Problem};
use platform::metrics::Counter;
use platform::smtp::{self, Certificate, Mail, Mailroom, Peer, Reply, Settings};
use proto::v1;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::edge::Edge;
use crate::limits::Limiter;
use crate::peer::subscriber;
use crate::{Error, Rate};
use reading::Reading;

/// By what became of them.
static MAILS: Counter = Counter::new(
    "takedown.gateway.mails",
    "{mail}",
    "Mails and addresses at the mail door.",
);

/// As long as an address may be (RFC 5321 section 4.5.3.1.3).
const ADDRESS: usize = 256;

const NOBODY: Reply = Reply::Say("550 5.1.1 there is no such mailbox");
const NOT_NOW: Reply = Reply::Say("451 4.3.0 not now, try again later");
const TOO_FAST: Reply = Reply::Close("421 4.7.0 too many addresses, try again later");
const NOT_HERE: Reply = Reply::Say("550 5.7.1 this mailbox takes no reports of delivery");
const TAKEN: Reply = Reply::Say("250 2.0.0 taken");

/// How the door presents itself, and what it takes at most.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailDoor {
    /// In its greeting; the name that the MX record leads to.
    pub name: String,
    /// Certificate and key (PEM) for STARTTLS; without them none is offered, which is for loopback, or for a mail server
    /// of the hotline's own in front.
    pub tls: Option<Certificate>,
    pub connections: usize,
    /// Addresses of one mail.
    pub recipients: usize,
    /// One mail, octets. Reports may hold what they are about.
    pub size: usize,
    /// For the next line to come.
    pub patience_seconds: u64,
    /// For a whole session.
    pub session_seconds: u64,
    /// Addresses that one peer may ask for: an IPv4 address or an IPv6 /64.
    pub asked: Rate,
}

impl Default for MailDoor {
    fn default() -> Self {
        Self {
            name: "mail.hotline.example".into(),
            tls: None,
            connections: 64,
            recipients: 16,
            size: 1024 * 1024,
            patience_seconds: 60,
            session_seconds: 600,
            asked: Rate::new(20, 200),
        }
    }
}

impl MailDoor {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let dotted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if self.name.is_empty() || !self.name.chars().all(dotted) {
            return Err(Error::Config {
                key: "mail.name",
                sentence: "give the name that the MX record leads to",
            });
        }
        let counts = [
            self.connections as u64,
            self.recipients as u64,
            self.size as u64,
            self.patience_seconds,
            self.session_seconds,
            self.asked.per_second.into(),
            self.asked.burst.into(),
        ];
        if counts.contains(&0) {
            return Err(Error::Config {
                key: "mail",
                sentence: "every bound is at least 1",
            });
        }
        Ok(())
    }

    fn settings(&self) -> Settings {
        Settings {
            name: self.name.clone(),
            limits: smtp::Limits {
                connections: self.connections,
                recipients: self.recipients,
                size: self.size,
                patience: Duration::from_secs(self.patience_seconds),
                session: Duration::from_secs(self.session_seconds),
            },
            tls: self.tls.clone(),
        }
    }
}

/// Takes mail until the shutdown.
pub(crate) async fn serve(edge: Edge, listener: TcpListener, shutdown: CancellationToken) {
    let door = &edge.config.mail;
    let (settings, asked) = (door.settings(), Arc::new(Limiter::new(door.asked)));
    smtp::serve(listener, Room { edge, asked }, settings, shutdown).await;
}

#[derive(Clone)]
struct Room {
    edge: Edge,
    /// By peer.
    asked: Arc<Limiter>,
}

/// An address of ours.
struct Mailbox {
    address: String,
    for_reports: bool,
}

impl Mailroom for Room {
    type Recipient = Mailbox;

    async fn recipient(&self, peer: Peer, address: &str) -> Result<Mailbox, Reply> {
        if !self
            .asked
            .take(subscriber(peer.ip()), Instant::now())
            .allowed
        {
            return Err(counted("refused", TOO_FAST));
        }
        if address.len() > ADDRESS || !address.is_ascii() {
            return Err(counted("refused", NOBODY));
        }
        let request = v1::CheckMailboxRequest {
            address: address.to_owned(),
        };
        let asked = self.edge.dispatch();
        match { asked }.check_mailbox(self.edge.unnamed(request)).await {
            Ok(known) => Ok(Mailbox {
                address: address.to_owned(),
                for_reports: known.into_inner().for_reports,
            }),
            Err(status) => Err(judge(&status)),
        }
    }

    async fn take(&self, mail: Mail<Mailbox>) -> Reply {
        let read = reading::read(mail.sender.as_deref(), &mail.bytes);
        // What it was read from is not needed any more, and held no longer.
        drop(mail.bytes);
        let Some(read) = read else {
            return counted("ignored", TAKEN);
        };
        if read.kind.is_report() && mail.recipients.iter().any(|to| !to.for_reports) {
            return counted("refused", NOT_HERE);
        }
        for mailbox in mail.recipients {
            if let Err(status) = self.tell(mailbox.address, &read).await {
                return judge(&status);
            }
        }
        counted(read.kind.word().as_str(), TAKEN)
    }
}

impl Room {
    async fn tell(&self, address: String, read: &Reading) -> Result<(), Status> {
        let request = v1::ReceiveMailRequest {
            address,
            kind: read.kind.word().wire(),
            from_domain: read.from_domain.clone(),
            status: read.kind.status().to_owned(),
        };
        let mut dispatch = self.edge.dispatch();
        dispatch.receive_mail(self.edge.unnamed(request)).await?;
        Ok(())
    }
}

/// What the owner says of an address decides; that it cannot be asked is no word about it.
fn judge(status: &Status) -> Reply {
    match Problem::from(status).kind {
        Kind::NotFound | Kind::Invalid => counted("refused", NOBODY),
        _ => counted("put_off", NOT_NOW),
    }
}

fn counted(outcome: &'static str, reply: Reply) -> Reply {
    MAILS.add(1, &[("outcome", outcome)]);
    reply
}
