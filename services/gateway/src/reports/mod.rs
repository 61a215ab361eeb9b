//! The API for partners and the public: submitting reports and reading their outcome. Nothing is stored.

pub(crate) mod outcome;
mod outcome_text;
mod submission_json;
pub(crate) mod submit;

use platform::error::Problem;
use serde::Serialize;
use utoipa::ToSchema;

/// Why one element of a list failed. The others are not affected.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemProblem {
    /// A stable code, for programs.
    #[schema(example = "url_malformed")]
    code: String,
    /// What is wrong and what to send instead.
    detail: String,
    /// The path of the field at fault.
    #[schema(required = false, nullable = false, example = "reports[3].url")]
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl ItemProblem {
    pub(crate) fn from_problem(problem: Problem) -> Self {
        Self {
            code: problem.code.into_owned(),
            detail: problem.detail,
            field: problem.field,
        }
    }
}
