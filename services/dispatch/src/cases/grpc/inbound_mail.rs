//! Inbound mail: checks return addresses, and records what arrived at them. Only the address, which carries a
//! MAC, is trusted; the contents of a mail are not.

use domain::Invalid;
use domain::enums::MailKind;
use domain::invalid::optional_text;
use domain::url::DomainName;
use platform::error::{Kind, Problem};
use platform::metrics::Counter;
use proto::v1;
use tonic::metadata::MetadataMap;

use crate::Error;
use crate::cases::commands::{self, InboundMail};
use crate::cases::store;
use crate::delivery::return_address::{self, AddressKind, ParsedAddress};
use crate::grpc::Handlers;

/// By kind.
static MAILS: Counter = Counter::new(
    "takedown.dispatch.mails",
    "{mail}",
    "Mails received at the return addresses of notices.",
);

/// Maximum length of an enhanced status code (RFC 3463), such as `5.1.1`.
const MAX_STATUS: usize = 16;
/// Maximum length of a domain name.
const MAX_DOMAIN: usize = 253;

impl Handlers {
    pub(crate) async fn check_mailbox(
        &self,
        _: &MetadataMap,
        request: v1::CheckMailboxRequest,
    ) -> Result<v1::CheckMailboxResponse, Error> {
        let address = self.verify_address(&request.address).await?;
        Ok(v1::CheckMailboxResponse {
            for_delivery_reports: address.kind == AddressKind::Return,
        })
    }

    pub(crate) async fn receive_mail(
        &self,
        _: &MetadataMap,
        request: v1::ReceiveMailRequest,
    ) -> Result<v1::ReceiveMailResponse, Error> {
        let kind = MailKind::from_wire(request.kind)?;
        let status = optional_text("status", &request.status, MAX_STATUS)?;
        let from = optional_text("from_domain", &request.from_domain, MAX_DOMAIN)?;
        let address = self.verify_address(&request.address).await?;
        let is_report = matches!(kind, MailKind::Bounced | MailKind::Delayed);
        if is_report && address.kind == AddressKind::Reply {
            let detail =
                "delivery reports go to the envelope's sender; this address does not accept them";
            return Err(Invalid::new("not_for_reports", "kind", detail).into());
        }
        let mail = InboundMail {
            notice_id: address.message.notice_id,
            sequence: address.message.sequence.into(),
            kind,
            from: DomainName::parse(&from).ok(),
            status: (!status.is_empty()).then_some(status),
        };
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        commands::record_inbound_mail(&mut tx, &self.deps, now, &[mail]).await?;
        tx.commit().await?;
        self.wakeup.notify();
        MAILS.add(1, &[("kind", kind.as_str())]);
        Ok(v1::ReceiveMailResponse {})
    }

    /// Verifies that we created this address, for an existing notice. Every other address gets the same
    /// refusal.
    async fn verify_address(&self, address: &str) -> Result<ParsedAddress, Error> {
        let parsed = self
            .return_domain
            .as_deref()
            .and_then(|domain| return_address::parse(address, domain))
            .ok_or_else(unknown)?;
        let mut conn = self.pool.acquire().await?;
        let addressee = store::addressee(&mut conn, parsed.message.notice_id).await?;
        let keyring = &self.deps.keyring;
        if addressee.is_some_and(|provider| parsed.is_authentic(keyring, &provider)) {
            Ok(parsed)
        } else {
            Err(unknown().into())
        }
    }
}

fn unknown() -> Problem {
    Problem::new(
        Kind::NotFound,
        "mailbox_unknown",
        "This is not one of our return addresses.",
    )
    .field("address")
}
