//! The vocabularies as the API's document lists them, and times as it spells them. Every word comes from `domain`.

use domain::word::{
    AgeBand, Answer, Category, DeliveryChannel, HashKind, Media, NoticeState, Outcome,
    ReportChannel, Rung,
};
use platform::error::{Kind, Problem};
use time::format_description::well_known::Rfc3339;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

macro_rules! schemas {
    ($($name:ident: $word:ident,)*) => {$(
        pub(crate) fn $name() -> Object {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some($word::ALL.iter().map(|word| word.as_str())))
                .build()
        }
    )*};
}

schemas! {
    age_band: AgeBand,
    answer: Answer,
    category: Category,
    delivery_channel: DeliveryChannel,
    hash_kind: HashKind,
    media: Media,
    notice_state: NoticeState,
    outcome: Outcome,
    report_channel: ReportChannel,
    rung: Rung,
}

/// A time as documents spell it; none where there is none.
pub(crate) fn rfc3339(at: Option<&prost_types::Timestamp>) -> Result<Option<String>, Problem> {
    let Some(at) = at else {
        return Ok(None);
    };
    domain::wire::time("at", at)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .map(Some)
        .ok_or_else(damaged)
}

/// As [`rfc3339`], where a time must be there.
pub(crate) fn rfc3339_required(at: Option<&prost_types::Timestamp>) -> Result<String, Problem> {
    rfc3339(at)?.ok_or_else(damaged)
}

/// The owner answered what nobody should: an unknown word, a missing part. Nothing that the caller sent is at fault.
pub(crate) fn damaged() -> Problem {
    tracing::error!(
        alarm = "answer_damaged",
        "an owner's answer could not be read"
    );
    Problem::of(Kind::Internal)
}
