//! A notice that came by mail: its machine-readable part and the link to answer by. Reads nothing else of the mail.

use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use reqwest::Url;
use serde::Deserialize;

use super::signed::Shown;

/// The machine-readable part.
#[derive(Deserialize)]
struct Part {
    notice: Shown,
}

/// What a host's program needs of a mail.
pub struct Letter {
    pub shown: Shown,
    pub link: Url,
}

/// Reads a mail; `None` when it carries no notice.
pub fn read(mail: &[u8]) -> Option<Letter> {
    let message = MessageParser::default().parse(mail)?;
    let part: Part = message.parts.iter().find_map(|part| {
        let is_json = part.content_type().is_some_and(|kind| {
            kind.subtype()
                .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
        });
        if !is_json {
            return None;
        }
        match &part.body {
            PartType::Text(text) => serde_json::from_str(text).ok(),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => {
                serde_json::from_slice(bytes).ok()
            }
            _ => None,
        }
    })?;
    let text = message.body_text(0)?;
    let link = text
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| "<>()[],".contains(c)))
        .filter(|word| word.contains("/n/"))
        .find_map(|word| Url::parse(word).ok())?;
    Some(Letter {
        shown: part.notice,
        link,
    })
}
