//! A notice that arrived by mail: its machine-readable part and the link to answer by. The rest of the mail is ignored.

use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use serde::Deserialize;
use url::Url;

use crate::signed_notice::NoticeDocument;

/// The machine-readable part of the mail.
#[derive(Deserialize)]
struct JsonPart {
    notice: NoticeDocument,
}

pub struct NoticeMail {
    pub notice: NoticeDocument,
    pub link: Url,
}

/// Parses a mail; `None` if it has no notice or no link.
pub fn parse(mail: &[u8]) -> Option<NoticeMail> {
    let message = MessageParser::default().parse(mail)?;
    let part: JsonPart = message.parts.iter().find_map(|part| {
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
        .map(|token| token.trim_matches(|c: char| "<>()[],".contains(c)))
        .filter(|token| token.contains("/n/"))
        .find_map(|token| Url::parse(token).ok())?;
    Some(NoticeMail {
        notice: part.notice,
        link,
    })
}
