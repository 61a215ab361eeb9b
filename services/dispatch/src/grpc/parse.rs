//! Parses the parts that several requests have in common into domain types.

use domain::Invalid;
use domain::enums::{Answer, Category, DeliveryChannel, NoticeState};
use domain::id::{NoticeId, ProviderId};
use domain::invalid::optional_text;
use domain::wire::parse_duration;
use proto::v1;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::cases::ProviderAnswer;

/// Maximum length of a provider's text with an answer, in characters.
const MAX_TEXT: usize = 2000;
/// Maximum length of a provider id, host name or address that an answer names.
const MAX_NAMED: usize = 255;
/// Enough to deploy a new secret by hand.
const DEFAULT_OVERLAP: Duration = Duration::days(1);
const MAX_OVERLAP: Duration = Duration::days(7);

/// Number of rows of a page: `default` if none is given, at most `max`.
pub(crate) fn page_size(page_size: i32, default: i64, max: i64) -> Result<i64, Invalid> {
    match i64::from(page_size) {
        ..0 => Err(Invalid::new(
            "page_size_negative",
            "page_size",
            "send a positive `page_size`, or omit it",
        )),
        0 => Ok(default),
        size => Ok(size.min(max)),
    }
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
pub(crate) fn overlap(overlap: Option<&prost_types::Duration>) -> Result<Duration, Invalid> {
    let Some(overlap) = overlap else {
        return Ok(DEFAULT_OVERLAP);
    };
    let overlap = parse_duration("overlap", overlap)?;
    if (Duration::ZERO..=MAX_OVERLAP).contains(&overlap) {
        return Ok(overlap);
    }
    Err(Invalid::new(
        "overlap_out_of_range",
        "overlap",
        "`overlap` must be from zero to seven days",
    ))
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
