//! Requests into domain types, once, here.

use domain::Invalid;
use domain::id::{NoticeId, ProviderId};
use domain::invalid::optional_text;
use domain::word::{Answer, Category, DeliveryChannel, NoticeState};
use proto::v1;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::commands::AnswerItem;

/// What a provider may write with an answer, characters.
const WORDS: usize = 2000;
/// A provider id, a name or an address.
const NAMED: usize = 255;
/// Seconds; a day is enough for whoever rolls a new secret out by hand.
const OVERLAP: u32 = 86_400;
const LONGEST_OVERLAP: u32 = 7 * 86_400;

/// Rows wanted: a default where none are named, never more than the most.
pub(super) fn page(page: Option<&v1::Page>, default: i64, most: i64) -> (i64, String) {
    let size = page.map_or(0, |page| i64::from(page.size));
    let limit = if size == 0 { default } else { size.min(most) };
    (limit, page.map_or_else(String::new, |p| p.cursor.clone()))
}

/// An id of ours.
pub(super) fn id(field: &str, text: &str) -> Result<Uuid, Invalid> {
    if text.is_empty() {
        return Err(Invalid::missing(field));
    }
    Uuid::try_parse(text).map_err(|_| {
        Invalid::new(
            "id_malformed",
            field,
            format!("`{field}` is not a UUID; send the id as it was given to you"),
        )
    })
}

/// How long what is replaced goes on.
pub(super) fn overlap(seconds: Option<u32>) -> Result<Duration, Invalid> {
    let seconds = seconds.unwrap_or(OVERLAP);
    if seconds > LONGEST_OVERLAP {
        return Err(Invalid::new(
            "overlap_out_of_range",
            "overlap_seconds",
            format!("`overlap_seconds` is a number from 0 to {LONGEST_OVERLAP} (seven days)"),
        ));
    }
    Ok(Duration::seconds(seconds.into()))
}

pub(super) fn categories(numbers: &[i32]) -> Result<Vec<&'static str>, Invalid> {
    if numbers.len() > Category::ALL.len() {
        return Err(Invalid::new(
            "too_many",
            "categories",
            "`categories` names more than there are; name each once",
        ));
    }
    numbers
        .iter()
        .map(|number| Category::from_wire(*number).map(Category::as_str))
        .collect::<Result<_, _>>()
        .map_err(|invalid| Invalid {
            field: "categories".to_owned(),
            ..invalid
        })
}

pub(super) fn states(numbers: &[i32]) -> Result<Vec<&'static str>, Invalid> {
    if numbers.len() > NoticeState::ALL.len() {
        return Err(Invalid::new(
            "too_many",
            "states",
            "`states` names more states than there are; name each once",
        ));
    }
    numbers
        .iter()
        .map(|number| NoticeState::from_wire(*number).map(NoticeState::as_str))
        .collect::<Result<_, _>>()
        .map_err(|invalid| Invalid {
            field: "states".to_owned(),
            ..invalid
        })
}

/// One answer of a provider.
pub(super) fn answer(
    item: &v1::AnswerItem,
    notice_id: NoticeId,
    provider_id: &ProviderId,
    channel: DeliveryChannel,
    now: OffsetDateTime,
) -> Result<AnswerItem, Invalid> {
    let answer = Answer::from_wire(item.answer)?;
    let until = item
        .until
        .as_ref()
        .map(|until| domain::wire::time("until", until))
        .transpose()?;
    match (answer, until) {
        (Answer::NeedTime, None) => return Err(Invalid::missing("until")),
        (Answer::NeedTime, Some(until)) if until <= now => {
            return Err(Invalid::new(
                "until_past",
                "until",
                "`until` has passed already; send a time to come",
            ));
        }
        (_, _) => {}
    }
    let named = optional_text("named", &item.named, NAMED)?;
    let text = optional_text("text", &item.text, WORDS)?;
    Ok(AnswerItem {
        notice_id,
        provider_id: provider_id.clone(),
        answer,
        until,
        named: (!named.is_empty()).then_some(named),
        text: (!text.is_empty()).then_some(text),
        channel,
    })
}
