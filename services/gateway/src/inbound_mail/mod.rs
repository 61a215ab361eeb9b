//! Inbound mail: bounces of and replies to notice mails. Determines the kind of each mail and forwards it to
//! dispatch.
//!
//! Nothing else of a mail is stored, logged or forwarded, because its text may contain URLs of illegal
//! material. Mail is accepted only for addresses that dispatch has created, and nothing is sent in reply, so
//! this is not an open relay.

mod classify;

use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::error::{Kind, Problem};
use platform::metrics::Counter;
use platform::smtp::{self, Mail, MailHandler, Peer, SmtpReply, SmtpSettings};
use proto::v1;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::config::InboundMailConfig;
use crate::edge::Edge;
use crate::peer::subscriber_network;
use crate::rate_limiter::RateLimiter;
use classify::ClassifiedMail;

/// Labelled by outcome.
static MAILS: Counter = Counter::new(
    "takedown.gateway.mails",
    "{mail}",
    "Inbound mails, and recipients that were refused.",
);

/// The longest address, in octets (RFC 5321 section 4.5.3.1.3).
const MAX_ADDRESS: usize = 256;

const UNKNOWN_MAILBOX: SmtpReply = SmtpReply::Continue("550 5.1.1 there is no such mailbox");
const TRY_LATER: SmtpReply = SmtpReply::Continue("451 4.3.0 not now, try again later");
const TOO_MANY_RECIPIENTS: SmtpReply =
    SmtpReply::Close("421 4.7.0 too many addresses, try again later");
const NO_DELIVERY_REPORTS: SmtpReply =
    SmtpReply::Continue("550 5.7.1 this mailbox accepts no delivery reports");
const ACCEPTED: SmtpReply = SmtpReply::Continue("250 2.0.0 accepted");

/// Receives mail until `shutdown`.
pub(crate) async fn serve(edge: Edge, listener: TcpListener, shutdown: CancellationToken) {
    let config = &edge.config.mail;
    let settings = smtp_settings(config);
    let recipient_limiter = Arc::new(RateLimiter::new(config.recipient_rate));
    let handler = InboundMailHandler {
        edge,
        recipient_limiter,
    };
    smtp::serve(listener, handler, settings, shutdown).await;
}

fn smtp_settings(config: &InboundMailConfig) -> SmtpSettings {
    SmtpSettings {
        name: config.name.clone(),
        limits: smtp::Limits {
            connections: config.connections,
            recipients: config.recipients,
            size: config.size,
            read_timeout: Duration::from_secs(config.line_timeout_seconds),
            session: Duration::from_secs(config.session_timeout_seconds),
        },
        tls: config.tls.clone(),
    }
}

#[derive(Clone)]
struct InboundMailHandler {
    edge: Edge,
    /// Limits recipients per peer.
    recipient_limiter: Arc<RateLimiter>,
}

/// A recipient that dispatch knows.
struct KnownMailbox {
    address: String,
    for_delivery_reports: bool,
}

impl MailHandler for InboundMailHandler {
    type Recipient = KnownMailbox;

    async fn recipient(&self, peer: Peer, address: &str) -> Result<KnownMailbox, SmtpReply> {
        if !self
            .recipient_limiter
            .take(subscriber_network(peer.ip()), Instant::now())
            .allowed
        {
            return Err(count("refused", TOO_MANY_RECIPIENTS));
        }
        if address.len() > MAX_ADDRESS || !address.is_ascii() {
            return Err(count("refused", UNKNOWN_MAILBOX));
        }
        let request = v1::CheckMailboxRequest {
            address: address.to_owned(),
        };
        let mut dispatch = self.edge.dispatch();
        let request = self.edge.anonymous_request(request);
        match dispatch.check_mailbox(request).await {
            Ok(response) => Ok(KnownMailbox {
                address: address.to_owned(),
                for_delivery_reports: response.into_inner().for_delivery_reports,
            }),
            Err(status) => Err(error_reply(&status)),
        }
    }

    async fn receive(&self, mail: Mail<KnownMailbox>) -> SmtpReply {
        let classified = classify::classify(mail.sender.as_deref(), &mail.bytes);
        // Frees the memory before the calls to dispatch.
        drop(mail.bytes);
        let Some(classified) = classified else {
            return count("ignored", ACCEPTED);
        };
        if classified.class.is_delivery_report()
            && mail.recipients.iter().any(|to| !to.for_delivery_reports)
        {
            return count("refused", NO_DELIVERY_REPORTS);
        }
        for mailbox in mail.recipients {
            if let Err(status) = self.forward(mailbox.address, &classified).await {
                return error_reply(&status);
            }
        }
        count(classified.class.kind().as_str(), ACCEPTED)
    }
}

impl InboundMailHandler {
    async fn forward(&self, address: String, mail: &ClassifiedMail) -> Result<(), Status> {
        let request = v1::ReceiveMailRequest {
            address,
            kind: mail.class.kind().wire(),
            from_domain: mail.from_domain.clone(),
            status: mail.class.status().to_owned(),
        };
        let mut dispatch = self.edge.dispatch();
        dispatch
            .receive_mail(self.edge.anonymous_request(request))
            .await?;
        Ok(())
    }
}

/// Refuses the mail for good only if dispatch rejected the address; any other failure is temporary.
fn error_reply(status: &Status) -> SmtpReply {
    match Problem::from(status).kind {
        Kind::NotFound | Kind::Invalid => count("refused", UNKNOWN_MAILBOX),
        _ => count("deferred", TRY_LATER),
    }
}

fn count(outcome: &'static str, reply: SmtpReply) -> SmtpReply {
    MAILS.add(1, &[("outcome", outcome)]);
    reply
}
