//! OpenAPI schemas of the enumerations, with the values of `domain::enums`.

use domain::enums::{
    AgeBand, Answer, Category, DeliveryChannel, HashKind, Media, NoticeState, Outcome,
    ReportChannel, Rung,
};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

macro_rules! enum_schemas {
    ($($name:ident: $type:ident,)*) => {$(
        pub(crate) fn $name() -> Object {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some($type::ALL.iter().map(|value| value.as_str())))
                .build()
        }
    )*};
}

enum_schemas! {
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
