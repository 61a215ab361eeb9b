//! The mail door: which addresses are ours, and what came to them. The address is the credential; a mail that it came
//! with says nothing that a machine would believe.

use domain::Invalid;
use domain::invalid::optional_text;
use domain::url::DomainName;
use domain::word::MailKind;
use platform::error::{Kind, Problem};
use platform::metrics::Counter;
use proto::v1;
use tonic::metadata::MetadataMap;

use super::Inner;
use crate::commands::{self, Mailed};
use crate::mailbox::{self, Mailbox, Read};
use crate::{Error, store};

/// By kind.
static MAILS: Counter = Counter::new(
    "takedown.dispatch.mails",
    "{mail}",
    "Mails that came back to notices.",
);

/// RFC 3463: `5.1.1` and the like.
const STATUS: usize = 16;
/// As long as a name may be.
const NAME: usize = 253;

impl Inner {
    pub(super) async fn check_mailbox(
        &self,
        _: &MetadataMap,
        request: v1::CheckMailboxRequest,
    ) -> Result<v1::CheckMailboxResponse, Error> {
        let read = self.mailbox(&request.address).await?;
        Ok(v1::CheckMailboxResponse {
            for_reports: read.mailbox == Mailbox::Return,
        })
    }

    pub(super) async fn receive_mail(
        &self,
        _: &MetadataMap,
        request: v1::ReceiveMailRequest,
    ) -> Result<v1::ReceiveMailResponse, Error> {
        let kind = MailKind::from_wire(request.kind)?;
        let status = optional_text("status", &request.status, STATUS)?;
        let from = optional_text("from_domain", &request.from_domain, NAME)?;
        let read = self.mailbox(&request.address).await?;
        let is_report = matches!(kind, MailKind::Bounced | MailKind::Delayed);
        if is_report && read.mailbox == Mailbox::Reply {
            let detail =
                "reports of delivery come to the envelope's sender; this address takes none";
            return Err(Invalid::new("not_for_reports", "kind", detail).into());
        }
        let mail = Mailed {
            notice_id: read.sent.notice_id,
            sequence: read.sent.sequence.into(),
            kind,
            from: DomainName::parse(&from).ok(),
            status: (!status.is_empty()).then_some(status),
        };
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        commands::mailed(&mut tx, &self.rules, now, &[mail]).await?;
        tx.commit().await?;
        self.bell.ring();
        MAILS.add(1, &[("kind", kind.as_str())]);
        Ok(v1::ReceiveMailResponse {})
    }

    /// One of ours, for a notice that is there. Everything else looks the same.
    async fn mailbox(&self, address: &str) -> Result<Read, Error> {
        let read = self
            .returns
            .as_deref()
            .and_then(|domain| mailbox::read(address, domain))
            .ok_or_else(unknown)?;
        let mut conn = self.pool.acquire().await?;
        let addressee = store::addressee(&mut conn, read.sent.notice_id).await?;
        let holds = addressee.is_some_and(|provider| read.holds(&self.rules.keyring, &provider));
        if holds {
            Ok(read)
        } else {
            Err(unknown().into())
        }
    }
}

fn unknown() -> Problem {
    Problem::new(
        Kind::NotFound,
        "mailbox_unknown",
        "This address is none of ours.",
    )
    .field("address")
}
