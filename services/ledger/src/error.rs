//! Errors of the ledger, and their conversion to gRPC status.

use domain::Invalid;
use platform::error::{Kind, Problem};
use thiserror::Error as ThisError;

/// A failure of the ledger.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The request is invalid.
    #[error("the request is invalid")]
    Invalid(#[from] Invalid),
    /// The database refused a statement or is unavailable.
    #[error("database error")]
    Db(#[from] sqlx::Error),
    /// A stored row is damaged.
    #[error("{table}.{column} of {id} is damaged")]
    BadRow {
        table: &'static str,
        column: &'static str,
        id: String,
    },
    /// A problem that is returned to the caller as it is.
    #[error("{}", .0.code)]
    Problem(Problem),
    #[error("the origin cannot be signed")]
    Unsignable,
}

impl Error {
    /// The ledger has not recorded the event, leaf or case.
    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::Problem(Problem::new(
            Kind::NotFound,
            "not_found",
            format!("The ledger has no such {what}; check the id."),
        ))
    }

    /// The tree is smaller than requested, or has no checkpoint yet.
    pub(crate) fn tree_too_small(field: &'static str) -> Self {
        Self::Problem(
            Problem::new(
                Kind::FailedPrecondition,
                "tree_too_small",
                "The tree is not that large yet; request the latest checkpoint and use its size.",
            )
            .field(field),
        )
    }

    pub(crate) fn bad_row(
        table: &'static str,
        column: &'static str,
        id: &(impl ToString + ?Sized),
    ) -> Self {
        Self::BadRow {
            table,
            column,
            id: id.to_string(),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => {
                Self::new(Kind::Invalid, invalid.code, invalid.detail).field(invalid.field)
            }
            Error::Db(error) => error.into(),
            Error::Problem(problem) => problem,
            internal @ (Error::BadRow { .. } | Error::Unsignable) => {
                tracing::error!(error = %internal, "the ledger failed");
                Self::from_kind(Kind::Internal)
            }
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Problem::from(error).into()
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}
