//! The mail as it is written: envelope, header, and how its parts stand together.
//!
//! ```text
//! multipart/mixed                                      (RFC 2046 section 5.1.3)
//!   multipart/report; report-type=feedback-report      (RFC 6522, RFC 5965 section 2)
//!     text/plain                                       for people
//!     message/feedback-report                          for machines that know ARF
//!     application/json; name=xarf.json                 for machines that know XARF v4
//!   application/json; name=notice.json                 the signed notice, for whoever checks it
//! ```
//!
//! RFC 6522 lets a report stand inside another multipart, and gives it three parts, which is why the signed notice stands
//! beside it. RFC 5965 has the mail that is complained about as the third part. Here is none: what is reported is a place
//! on the web, and the XARF report of it stands there, as XARF's own form over mail has it. What asks for no removal (a
//! retraction, an answer) is no report of abuse: it has the text and the signed notice alone.

use std::time::SystemTime;

use domain::id::NoticeId;
use lettre::message::header::{ContentDisposition, ContentTransferEncoding, ContentType};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message as Letter};
use serde_json::json;

use super::{Mail, Parcel, feedback, mailbox, text};
use crate::channels::xarf;
use crate::document::view;
use crate::lifecycle::Message;

/// The same for every attempt to hand this message over (RFC 5322 section 3.6.4).
pub fn message_id(notice: NoticeId, sequence: i32, domain: &str) -> String {
    format!("<{notice}.{sequence}@{domain}>")
}

impl Mail {
    /// The Message-ID is that of the notice and its sequence, so that a message sent twice is one. All that one addressee
    /// is told of one case is one thread: it refers to the first notice (RFC 5322 section 3.6.4).
    pub(super) fn letter(
        &self,
        to: Address,
        parcel: &Parcel<'_>,
    ) -> Result<Letter, lettre::error::Error> {
        let content = parcel.content;
        let id = |notice, sequence| message_id(notice, sequence, &self.hotline.domain);
        let first = id(content.first_notice_id, 1);
        let own = id(content.notice_id, content.sequence);
        let mut letter = Letter::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .date(SystemTime::from(parcel.signed.issued_at))
            .subject(text::subject(content))
            .message_id(Some(own.clone()))
            // RFC 3834 section 5: no answer of a machine is meant to come, and what comes all the same is told apart.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".into(),
            ));
        if own != first {
            letter = letter.in_reply_to(first.clone()).references(first);
        }
        if let Some(returns) = self.own_address(mailbox::Mailbox::Return, parcel) {
            letter = letter.envelope(lettre::address::Envelope::new(Some(returns), vec![to])?);
        }
        if let Some(replies) = self.own_address(mailbox::Mailbox::Reply, parcel) {
            // People's words reach the hotline's own mailbox; the second tells us that there are some.
            letter = letter
                .reply_to(self.from.clone())
                .reply_to(Mailbox::new(None, replies));
        }
        letter.multipart(self.parts(parcel))
    }

    fn parts(&self, parcel: &Parcel<'_>) -> MultiPart {
        let Parcel {
            content, signed, ..
        } = *parcel;
        let words = SinglePart::plain(text::body(parcel, &self.hotline));
        let notice = json!({ "notice": view(content, signed) }).to_string();
        let parts = MultiPart::mixed();
        let parts = match content.message {
            Message::Notice | Message::Reminder => {
                let report = xarf::report(content, signed, &self.hotline, parcel.place);
                let report = report_of(content)
                    .singlepart(words)
                    .singlepart(feedback_part(feedback::report(parcel)))
                    .singlepart(json_part("xarf", report.to_string()));
                parts.multipart(report)
            }
            Message::Information | Message::Upheld | Message::Retraction => parts.singlepart(words),
        };
        parts.singlepart(json_part("notice", notice))
    }
}

/// Its boundary holds what neither quoted-printable nor base64 can write, and no line of the other parts begins with.
fn report_of(content: &crate::store::Content) -> lettre::message::MultiPartBuilder {
    let kind = format!(
        "multipart/report; report-type=feedback-report; boundary=\"=_{}.{}\"",
        content.notice_id, content.sequence
    );
    MultiPart::builder().header(ContentType::parse(&kind).expect("a media type"))
}

/// RFC 5965 section 7.1 allows this part no other encoding.
fn feedback_part(fields: String) -> SinglePart {
    let body = Body::dangerous_pre_encoded(fields.into(), ContentTransferEncoding::SevenBit);
    SinglePart::builder()
        .header(ContentType::parse("message/feedback-report").expect("a media type"))
        .header(ContentDisposition::inline())
        .body(body)
}

fn json_part(name: &str, json: String) -> SinglePart {
    let file = format!("{name}.json");
    let kind = format!("application/json; name={file}");
    SinglePart::builder()
        .header(ContentType::parse(&kind).expect("a media type"))
        .header(ContentDisposition::attachment(&file))
        .body(json)
}
