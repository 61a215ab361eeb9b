//! Composes the MIME message of a notice: envelope, header fields and parts.
//!
//! ```text
//! multipart/mixed                                      (RFC 2046 section 5.1.3)
//!   multipart/report; report-type=feedback-report      (RFC 6522, RFC 5965 section 2)
//!     text/plain                                       for people
//!     message/feedback-report                          for programs that read ARF
//!     application/json; name=xarf.json                 for programs that read XARF v4
//!   application/json; name=notice.json                 the signed notice, for verification
//! ```
//!
//! RFC 6522 allows a report inside another multipart and gives it three parts, therefore the signed notice is
//! outside the report. In RFC 5965 the third part is the mail that is complained about. A notice reports a
//! URL instead, so the third part is its XARF report, as in XARF's own format for mail. A message that
//! requests no removal (a retraction, an answer to a question) is no abuse report: it has only the text and
//! the signed notice.

use std::time::SystemTime;

use domain::id::NoticeId;
use lettre::message::header::{ContentDisposition, ContentTransferEncoding, ContentType};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message as MimeMessage};
use serde_json::json;

use super::{MailSender, OutgoingMail, text};
use crate::cases::{Message, NoticeContent};
use crate::delivery::channels::xarf;
use crate::delivery::document::notice_json;
use crate::delivery::return_address::AddressKind;

/// RFC 5322 section 2.1.1: a line has at most 998 octets, and a URI cannot be folded.
const MAX_LINE: usize = 998;

/// The same for every attempt to deliver this message (RFC 5322 section 3.6.4).
pub fn message_id(notice: NoticeId, sequence: i32, domain: &str) -> String {
    format!("<{notice}.{sequence}@{domain}>")
}

impl MailSender {
    /// The Message-ID is derived from notice and sequence, so that a message that is sent twice is
    /// recognised. All messages to one addressee about one case form a thread: each refers to the first
    /// notice (RFC 5322 section 3.6.4).
    pub(super) fn compose(
        &self,
        to: Address,
        mail: &OutgoingMail<'_>,
    ) -> Result<MimeMessage, lettre::error::Error> {
        let content = mail.content;
        let id = |notice, sequence| message_id(notice, sequence, &self.hotline.domain);
        let first = id(content.first_notice_id, 1);
        let own = id(content.notice_id, content.sequence);
        let mut message = MimeMessage::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .date(SystemTime::from(mail.signed.issued_at))
            .subject(text::subject(content))
            .message_id(Some(own.clone()))
            // RFC 3834 section 5: asks programs not to reply; a reply of a program can still be recognised as
            // such.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".into(),
            ));
        if own != first {
            message = message.in_reply_to(first.clone()).references(first);
        }
        if let Some(sender) = self.return_address(AddressKind::Return, mail) {
            message = message.envelope(lettre::address::Envelope::new(Some(sender), vec![to])?);
        }
        if let Some(replies) = self.return_address(AddressKind::Reply, mail) {
            // People's replies go to the hotline's own mailbox; the second address reports that there is one.
            message = message
                .reply_to(self.from.clone())
                .reply_to(Mailbox::new(None, replies));
        }
        message.multipart(self.parts(mail))
    }

    fn parts(&self, mail: &OutgoingMail<'_>) -> MultiPart {
        let OutgoingMail {
            content, signed, ..
        } = *mail;
        let body = SinglePart::plain(text::body(mail, &self.hotline));
        let notice = json!({ "notice": notice_json(content, signed) }).to_string();
        let parts = MultiPart::mixed();
        let parts = match content.message {
            Message::Notice | Message::Reminder => {
                let report = xarf::report(content, signed, &self.hotline, mail.host_lookup);
                let report = report_builder(content)
                    .singlepart(body)
                    .singlepart(feedback_part(feedback_fields(mail)))
                    .singlepart(json_part("xarf", report.to_string()));
                parts.multipart(report)
            }
            Message::Information | Message::Upheld | Message::Retraction => parts.singlepart(body),
        };
        parts.singlepart(json_part("notice", notice))
    }
}

/// The boundary contains `=_`, which neither quoted-printable nor base64 produces and with which no line of
/// the other parts begins.
fn report_builder(content: &NoticeContent) -> lettre::message::MultiPartBuilder {
    let media_type = format!(
        "multipart/report; report-type=feedback-report; boundary=\"=_{}.{}\"",
        content.notice_id, content.sequence
    );
    MultiPart::builder().header(ContentType::parse(&media_type).expect("a media type"))
}

/// Fields of the `message/feedback-report` (ARF, RFC 5965): reporter and subject; the XARF report has the
/// rest. The type is `other`, because `abuse` is for mail (RFC 5965 section 7.3).
fn feedback_fields(mail: &OutgoingMail<'_>) -> String {
    let content = mail.content;
    let agent = concat!("takedown/", env!("CARGO_PKG_VERSION"));
    let mut fields = format!("Feedback-Type: other\r\nUser-Agent: {agent}\r\nVersion: 1\r\n");
    let host = content.url.host();
    let domain = host.domain().map(|name| name.reveal().to_owned());
    let address = host
        .ip()
        .or_else(|| mail.host_lookup.addresses.first().copied());
    let uri = format!("Reported-URI: {}", content.url.reveal());
    let optional = [
        address.map(|ip| format!("Source-IP: {ip}")),
        domain.map(|name| format!("Reported-Domain: {name}")),
        (uri.len() <= MAX_LINE && uri.is_ascii()).then_some(uri),
    ];
    for field in optional.into_iter().flatten() {
        fields.push_str(&field);
        fields.push_str("\r\n");
    }
    fields
}

/// RFC 5965 section 7.1 allows this part only the 7bit encoding.
fn feedback_part(fields: String) -> SinglePart {
    let body = Body::dangerous_pre_encoded(fields.into(), ContentTransferEncoding::SevenBit);
    SinglePart::builder()
        .header(ContentType::parse("message/feedback-report").expect("a media type"))
        .header(ContentDisposition::inline())
        .body(body)
}

fn json_part(name: &str, json: String) -> SinglePart {
    let file = format!("{name}.json");
    let media_type = format!("application/json; name={file}");
    SinglePart::builder()
        .header(ContentType::parse(&media_type).expect("a media type"))
        .header(ContentDisposition::attachment(&file))
        .body(json)
}
