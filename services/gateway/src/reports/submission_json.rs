//! The JSON of a submission and of its results. Contains no logic.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::ItemProblem;
use crate::enum_schemas;
use crate::problem::ProblemDocument;

#[derive(Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `channel` and the list `reports`"
)]
#[schema(example = json!({
    "channel": "partner_hotline", "reporter_country": "GB",
    "reports": [{"external_id": "A-1", "url": "hxxps://img[.]example/a/1", "media": "image",
        "hashes": [{"kind": "sha256", "value": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]}]
}))]
pub(crate) struct SubmissionBody {
    #[schema(schema_with = enum_schemas::report_channel)]
    pub(super) channel: String,
    /// ISO 3166-1 alpha-2; not allowed with `report_remove`.
    #[schema(min_length = 2, max_length = 2)]
    #[serde(default)]
    pub(super) reporter_country: Option<String>,
    /// Required with the channel `report_remove`, and only allowed there.
    #[serde(default)]
    pub(super) report_remove: Option<ReportRemoveBody>,
    #[schema(value_type = Vec<ReportBody>, min_items = 1, max_items = 1000)]
    pub(super) reports: Vec<Box<RawValue>>,
}

/// A young person reports an image of themselves: three facts about them, and no more.
#[derive(Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `under_18`, `age_band` and `unique_number`"
)]
pub(crate) struct ReportRemoveBody {
    pub(super) under_18: bool,
    #[schema(schema_with = enum_schemas::age_band)]
    pub(super) age_band: String,
    /// The helpline's own number for the young person; never a name.
    #[schema(max_length = 128)]
    pub(super) unique_number: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `url`")]
pub(crate) struct ReportBody {
    /// Your own id, returned with the result.
    #[schema(max_length = 128)]
    #[serde(default)]
    pub(super) external_id: Option<String>,
    /// The reported URL; the forms `hxxp` and `[.]` are accepted.
    pub(super) url: String,
    #[serde(default)]
    #[schema(max_items = 16)]
    pub(super) hashes: Vec<HashBody>,
    #[schema(schema_with = enum_schemas::media)]
    #[serde(default)]
    pub(super) media: Option<String>,
    /// When you received the report; the current time if absent.
    #[schema(format = "date-time")]
    #[serde(default)]
    pub(super) received_at: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `kind` and `value`")]
pub(crate) struct HashBody {
    #[schema(schema_with = enum_schemas::hash_kind)]
    pub(super) kind: String,
    /// Hexadecimal.
    pub(super) value: String,
}

/// Keep the reference: it cannot be guessed, and the outcome cannot be read without it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceiptBody {
    #[schema(format = "uuid")]
    pub(super) report_id: String,
    #[schema(example = "7K2QX-M04DZ-9R1TB-EWH5C")]
    pub(super) reference: String,
    /// Only for partners.
    #[schema(required = false, nullable = false, format = "uuid")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) case_id: Option<String>,
    /// False if the URL had been reported before; only for partners.
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) opened_case: Option<bool>,
    #[schema(format = "date-time")]
    pub(super) accepted_at: String,
}

/// The result of one report: a `receipt`, or a `problem`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportResult {
    pub(super) external_id: Option<String>,
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receipt: Option<ReceiptBody>,
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<ItemProblem>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SubmissionResults {
    /// In the order of `reports`.
    pub(super) results: Vec<ReportResult>,
}

/// A refusal with the problem of each report.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a document that is written elsewhere")]
pub(crate) struct NoneAccepted {
    #[schema(inline)]
    #[serde(flatten)]
    pub(super) problem: ProblemDocument,
    /// In the order of `reports`; absent if the submission was refused as a whole.
    #[schema(required = false, nullable = false)]
    pub(super) results: Option<Vec<ReportResult>>,
}
