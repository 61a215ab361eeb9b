//! What a submission and its results look like in JSON. Describes; judges nothing.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::ItemProblem;
use crate::problem::ProblemDocument;
use crate::words;

#[derive(Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `channel` and the list `items`"
)]
#[schema(example = json!({
    "channel": "partner_hotline", "reporter_country": "GB",
    "items": [{"external_id": "A-1", "url": "hxxps://img[.]example/a/1", "media": "image",
        "hashes": [{"kind": "sha256", "value": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]}]
}))]
pub(crate) struct Submission {
    #[schema(schema_with = words::report_channel)]
    pub(super) channel: String,
    /// ISO 3166-1 alpha-2; not with `report_remove`.
    #[schema(min_length = 2, max_length = 2)]
    #[serde(default)]
    pub(super) reporter_country: Option<String>,
    /// With the channel `report_remove`, and only there.
    #[serde(default)]
    pub(super) report_remove: Option<ReportRemove>,
    #[schema(value_type = Vec<ReportItem>, min_items = 1, max_items = 1000)]
    pub(super) items: Vec<Box<RawValue>>,
}

/// A young person reports an image of themselves: three facts about them, and no more.
#[derive(Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `under_18`, `age_band` and `unique_number`"
)]
pub(crate) struct ReportRemove {
    pub(super) under_18: bool,
    #[schema(schema_with = words::age_band)]
    pub(super) age_band: String,
    /// The helpline's own number for the young person; never a name.
    #[schema(max_length = 128)]
    pub(super) unique_number: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `url`")]
pub(crate) struct ReportItem {
    /// Your own id, given back with the result.
    #[schema(max_length = 128)]
    #[serde(default)]
    pub(super) external_id: Option<String>,
    /// As it was reported; `hxxp` and `[.]` are understood.
    pub(super) url: String,
    #[serde(default)]
    #[schema(max_items = 16)]
    pub(super) hashes: Vec<Hash>,
    #[schema(schema_with = words::media)]
    #[serde(default)]
    pub(super) media: Option<String>,
    /// When you received it; now, where it is absent.
    #[schema(format = "date-time")]
    #[serde(default)]
    pub(super) received_at: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `kind` and `value`")]
pub(crate) struct Hash {
    #[schema(schema_with = words::hash_kind)]
    pub(super) kind: String,
    /// Hexadecimal.
    pub(super) value: String,
}

/// Keep the reference: it is unguessable, and the only key to the outcome.
#[derive(Serialize, ToSchema)]
pub(crate) struct Receipt {
    #[schema(format = "uuid")]
    pub(super) report_id: String,
    #[schema(example = "7K2QX-M04DZ-9R1TB-EWH5C")]
    pub(super) reference: String,
    /// For partners only.
    #[schema(required = false, nullable = false, format = "uuid")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) case_id: Option<String>,
    /// False where the report joined what was reported before; for partners only.
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) opened_case: Option<bool>,
    #[schema(format = "date-time")]
    pub(super) accepted_at: String,
}

/// What became of one item: a `receipt`, or a `problem`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemResult {
    pub(super) external_id: Option<String>,
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receipt: Option<Receipt>,
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<ItemProblem>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Results {
    /// In the order of the items.
    pub(super) results: Vec<ItemResult>,
}

/// A refusal that says what is wrong with each item.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a document that is written elsewhere")]
pub(crate) struct AllRefused {
    #[schema(inline)]
    #[serde(flatten)]
    pub(super) problem: ProblemDocument,
    /// In the order of the items, where the items were looked at.
    #[schema(required = false, nullable = false)]
    pub(super) results: Option<Vec<ItemResult>>,
}
