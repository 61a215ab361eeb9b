//! The words of a mail: what, where, by which law, until when, and how to answer, in the first lines.

use crate::document::{Hotline, Signed, rfc3339};
use crate::lifecycle::Message;
use crate::store::Content;

/// Names no host: subjects are shown and logged on the way.
pub(super) fn subject(content: &Content) -> String {
    let id = content.notice_id.to_string();
    let short = &id[..8];
    let category = content.category;
    match content.message {
        Message::Notice => format!("Notice {short}: remove illegal material (category {category})"),
        Message::Reminder => {
            format!("Reminder, notice {short}: remove illegal material (category {category})")
        }
        Message::Information => format!("Notice {short}: the information you asked for"),
        Message::Upheld => format!("Notice {short}: reviewed, and it stands"),
        Message::Retraction => format!("Notice {short}: withdrawn, no action is needed"),
    }
}

pub(super) fn body(content: &Content, signed: &Signed, hotline: &Hotline, link: &str) -> String {
    let place = format!(
        "Where:   {}\nHost:    {}\n",
        content.url.reveal(),
        host(content)
    );
    let until = rfc3339(content.due_at);
    let law = &signed.legal_basis;
    let opening = match content.message {
        Message::Retraction => format!(
            "This notice is withdrawn. You need not do anything; what you have removed for it may be restored.\n\n{place}"
        ),
        Message::Notice | Message::Reminder => format!(
            "What:    child sexual abuse material, category {} as graded in the United Kingdom\n\
             {place}Law:     {law}\nUntil:   {until}\n\n\
             Please remove it or make it inaccessible, and keep the evidence that your law asks you to keep.\n\
             Do not forward, open or attach the material.\n",
            content.category
        ),
        Message::Information => format!(
            "You asked about this notice. The hotline answers:\n\n{}\n\n{place}Law:     {law}\nUntil:   {until}\n",
            content.text.as_deref().unwrap_or_default()
        ),
        Message::Upheld => format!(
            "The hotline has looked at this notice again, and it stands.\n\n{place}Law:     {law}\nUntil:   {until}\n"
        ),
    };
    let answer = match content.message {
        Message::Retraction => format!("Details: {link}\n"),
        Message::Notice | Message::Reminder | Message::Information | Message::Upheld => format!(
            "Answer:  {link}\n\
             Opening this link changes nothing; the page lets you say that it is removed, not yours, that you need\n\
             time or information, or that you disagree. It is for you alone: do not pass it on.\n"
        ),
    };
    format!(
        "{opening}\n{answer}\n\
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

fn host(content: &Content) -> String {
    let host = content.url.host().reveal();
    match content.url.host().ip() {
        Some(_) => format!("{host} (address)"),
        None => host,
    }
}
