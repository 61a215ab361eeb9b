//! For partners and the public: reporting, and what became of a report. Keeps nothing of what passes.

mod document;
pub(crate) mod outcome;
pub(crate) mod submit;

use platform::error::Problem;
use serde::Serialize;
use utoipa::ToSchema;

/// Why one thing among many could not be done. The rest was.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemProblem {
    /// Stable, for programs.
    #[schema(example = "url_malformed")]
    code: String,
    /// A sentence that says what to send instead.
    detail: String,
    /// Where it was, as a path.
    #[schema(required = false, nullable = false, example = "items[3].url")]
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl ItemProblem {
    pub(crate) fn of(problem: Problem) -> Self {
        Self {
            code: problem.code.into_owned(),
            detail: problem.detail,
            field: problem.field,
        }
    }
}
