//! The words of a mail: what, where, by which law, until when, and how to answer, in the first lines.

use super::{Parcel, Place};
use crate::document::{Hotline, rfc3339};
use crate::lifecycle::Message;
use crate::store::Content;

/// Names no host: subjects are shown and logged on the way. The number is that of the thread's first notice, so that
/// people and desks find the messages of a case together.
pub(super) fn subject(content: &Content) -> String {
    let id = content.first_notice_id.to_string();
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

pub(super) fn body(parcel: &Parcel<'_>, hotline: &Hotline) -> String {
    let Parcel {
        content,
        signed,
        link,
        place,
        ..
    } = *parcel;
    let found = format!(
        "Where:   {}\nHost:    {}\n",
        content.url.reveal(),
        host(content, place)
    );
    let law = format!("Law:     {}\n", signed.legal_basis);
    let until = format!("Until:   {}\n", rfc3339(content.due_at));
    let answer = format!("Answer:  {link}\n");
    let said = match content.message {
        Message::Notice | Message::Reminder => format!(
            "What:    child sexual abuse material, category {} as graded in the United Kingdom\n\
             {found}{law}{until}{answer}\n\
             Please remove it or make it inaccessible, and keep the evidence that your law asks you to keep.\n\
             Do not forward, open or attach the material.\n\n{}",
            content.category,
            how_to_answer(),
        ),
        Message::Information => format!(
            "You asked about this notice. The hotline answers:\n\n{}\n\n{found}{law}{until}{answer}\n{}",
            content.text.as_deref().unwrap_or_default(),
            how_to_answer(),
        ),
        Message::Upheld => format!(
            "The hotline has looked at this notice again, and it stands.\n\n{found}{law}{until}{answer}\n{}",
            how_to_answer(),
        ),
        Message::Retraction => format!(
            "This notice is withdrawn. You need not do anything; what you have removed for it may be restored.\n\n\
             {found}Details: {link}\n"
        ),
    };
    format!(
        "{said}\n\
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
    "Opening the link changes nothing; its page lets you say with one click that you have it or have removed it, that it\n\
     is not yours, that you need time or information, or that you disagree. It is for you alone: do not pass it on. An\n\
     automatic reply to this mail is no answer.\n"
}

/// By what name and at which address it was found, and when: the first that a desk looks up.
fn host(content: &Content, place: &Place) -> String {
    let host = content.url.host();
    let at = rfc3339(place.at);
    if let Some(ip) = host.ip() {
        return format!("address {ip}, named in the URL");
    }
    let name = host.reveal();
    let addresses: Vec<String> = place.addresses.iter().map(ToString::to_string).collect();
    match addresses.join(", ") {
        none if none.is_empty() => format!("{name} (its address could not be looked up at {at})"),
        found => format!("{name}, at {found} when looked up at {at}"),
    }
}
