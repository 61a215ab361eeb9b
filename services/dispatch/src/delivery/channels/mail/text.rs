//! Subject and text of a mail. The first lines say what is reported, where it is, under which law, until when
//! it is to be removed, and how to answer.

use super::{HostLookup, OutgoingMail};
use crate::cases::{Message, NoticeContent};
use crate::delivery::document::{Hotline, rfc3339};

/// Contains no host name, because subjects are displayed and logged in transit. The number is that of the
/// thread's first notice, so that people and ticket systems find the messages of a case together.
pub(super) fn subject(content: &NoticeContent) -> String {
    let id = content.first_notice_id.to_string();
    let short = &id[..8];
    let category = content.category;
    match content.message {
        Message::Notice => format!("Notice {short}: remove illegal material (category {category})"),
        Message::Reminder => {
            format!("Reminder, notice {short}: remove illegal material (category {category})")
        }
        Message::Information => format!("Notice {short}: the information you asked for"),
        Message::Upheld => format!("Notice {short}: reviewed and upheld"),
        Message::Retraction => format!("Notice {short}: withdrawn, no action is needed"),
    }
}

pub(super) fn body(mail: &OutgoingMail<'_>, hotline: &Hotline) -> String {
    let OutgoingMail {
        content,
        signed,
        link,
        host_lookup,
        ..
    } = *mail;
    let location = format!(
        "Where:   {}\nHost:    {}\n",
        content.url.reveal(),
        host_line(content, host_lookup)
    );
    let law = format!("Law:     {}\n", signed.legal_basis);
    let until = format!("Until:   {}\n", rfc3339(content.due_at));
    let answer = format!("Answer:  {link}\n");
    let text = match content.message {
        Message::Notice | Message::Reminder => format!(
            "What:    child sexual abuse material, category {} as graded in the United Kingdom\n\
             {location}{law}{until}{answer}\n\
             Please remove it or make it inaccessible, and preserve the evidence that your law requires you to preserve.\n\
             Do not forward, open or attach the material.\n\n{}",
            content.category,
            how_to_answer(),
        ),
        Message::Information => format!(
            "You asked a question about this notice. The hotline's answer:\n\n{}\n\n{location}{law}{until}{answer}\n{}",
            content.text.as_deref().unwrap_or_default(),
            how_to_answer(),
        ),
        Message::Upheld => format!(
            "The hotline has reviewed this notice and upholds it.\n\n{location}{law}{until}{answer}\n{}",
            how_to_answer(),
        ),
        Message::Retraction => format!(
            "This notice is withdrawn. No action is needed; content that you removed because of it may be restored.\n\n\
             {location}Details: {link}\n"
        ),
    };
    format!(
        "{text}\n\
         Notice:  {id}, message {sequence}\n\
         From:    {name} <{contact}>\n\
         The attached notice is signed; the keys are at {base}/.well-known/takedown-keys.json\n",
        id = content.notice_id,
        sequence = content.sequence,
        name = hotline.name,
        contact = hotline.contact,
        base = hotline.public_base,
    )
}

fn how_to_answer() -> &'static str {
    "Opening the link changes nothing. On its page you can state with one click that you have received the notice or\n\
     removed the material, that it is not yours, that you need time or information, or that you disagree. The link is for\n\
     you alone: do not pass it on. An automatic reply to this mail is not an answer.\n"
}

/// Host name and address, and when the address was looked up: what an abuse desk checks first.
fn host_line(content: &NoticeContent, host_lookup: &HostLookup) -> String {
    let host = content.url.host();
    let at = rfc3339(host_lookup.at);
    if let Some(ip) = host.ip() {
        return format!("address {ip}, named in the URL");
    }
    let name = host.reveal();
    let addresses: Vec<String> = host_lookup
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    match addresses.join(", ") {
        none if none.is_empty() => format!("{name} (its address could not be looked up at {at})"),
        found => format!("{name}, at {found} when looked up at {at}"),
    }
}
