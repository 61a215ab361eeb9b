//! Parses the parts that several requests have in common into domain types.

use domain::Invalid;
use domain::enums::{Answer, Category, DeliveryChannel, NoticeState};
use domain::id::{NoticeId, ProviderId};
use domain::invalid::optional_text;
use proto::v1;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::cases::ProviderAnswer;

/// Maximum length of a provider's text with an answer, in characters.
const MAX_TEXT: usize = 2000;
/// Maximum length of a provider id, host name or address that an answer names.
const MAX_NAMED: usize = 255;
/// In seconds; a day is enough to deploy a new secret by hand.
const DEFAULT_OVERLAP: u32 = 86_400;
const MAX_OVERLAP: u32 = 7 * 86_400;

/// Page size (`default` if none is given, at most `max`) and cursor.
pub(crate) fn page(page: Option<&v1::Page>, default: i64, max: i64) -> (i64, String) {
    let size = page.map_or(0, |page| i64::from(page.size));
    let limit = if size == 0 { default } else { size.min(max) };
    (limit, page.map_or_else(String::new, |p| p.cursor.clone()))
}

/// An id issued by this service.
pub(crate) fn id(field: &str, text: &str) -> Result<Uuid, Invalid> {
    if text.is_empty() {
        return Err(Invalid::missing(field));
    }
    Uuid::try_parse(text).map_err(|_| {
        Invalid::new(
            "id_malformed",
            field,
            format!("`{field}` is not a UUID; send the id exactly as you received it"),
        )
    })
}

/// How long a replaced key or secret stays valid.
pub(crate) fn overlap(seconds: Option<u32>) -> Result<Duration, Invalid> {
    let seconds = seconds.unwrap_or(DEFAULT_OVERLAP);
    if seconds > MAX_OVERLAP {
        return Err(Invalid::new(
            "overlap_out_of_range",
            "overlap_seconds",
            format!("`overlap_seconds` must be a number from 0 to {MAX_OVERLAP} (seven days)"),
        ));
    }
    Ok(Duration::seconds(seconds.into()))
}

pub(crate) fn categories(numbers: &[i32]) -> Result<Vec<&'static str>, Invalid> {
    if numbers.len() > Category::ALL.len() {
        return Err(Invalid::new(
            "too_many",
            "categories",
            "`categories` has more entries than there are categories; name each once",
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

pub(crate) fn states(numbers: &[i32]) -> Result<Vec<&'static str>, Invalid> {
    if numbers.len() > NoticeState::ALL.len() {
        return Err(Invalid::new(
            "too_many",
            "states",
            "`states` has more entries than there are states; name each once",
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
pub(crate) fn answer(
    item: &v1::AnswerItem,
    notice_id: NoticeId,
    provider_id: &ProviderId,
    channel: DeliveryChannel,
    now: OffsetDateTime,
) -> Result<ProviderAnswer, Invalid> {
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
                "`until` is in the past; send a future time",
            ));
        }
        (_, _) => {}
    }
    let named = optional_text("named", &item.named, MAX_NAMED)?;
    let text = optional_text("text", &item.text, MAX_TEXT)?;
    Ok(ProviderAnswer {
        notice_id,
        provider_id: provider_id.clone(),
        answer,
        until,
        named: (!named.is_empty()).then_some(named),
        text: (!text.is_empty()).then_some(text),
        channel,
    })
}
