//! What can go wrong in the ledger, and the one road to what the outside hears.

use domain::Invalid;
use platform::error::{Kind, Problem};
use thiserror::Error as ThisError;

/// A failure of the ledger.
#[derive(Debug, ThisError)]
pub enum Error {
    /// Input that cannot be taken.
    #[error("input was refused")]
    Invalid(#[from] Invalid),
    /// The database refused, or is away.
    #[error("the database refused")]
    Db(#[from] sqlx::Error),
    /// A row that cannot be what we wrote.
    #[error("{table}.{column} of {id} is damaged")]
    BadRow {
        table: &'static str,
        column: &'static str,
        id: String,
    },
    /// Said already as it should be heard.
    #[error("{}", .0.code)]
    Problem(Problem),
    /// The server or one of its loops failed.
    #[error("{0}")]
    Running(String),
}

impl Error {
    /// No such thing.
    pub(crate) fn unknown(what: &'static str) -> Self {
        Self::Problem(Problem::new(
            Kind::NotFound,
            "not_found",
            format!("The ledger has heard of no such {what}; check the id."),
        ))
    }

    /// The tree has not grown that far, or nothing is signed of it yet.
    pub(crate) fn too_early(field: &'static str) -> Self {
        Self::Problem(
            Problem::new(
                Kind::FailedPrecondition,
                "tree_too_small",
                "The tree has not grown that far; ask for the latest checkpoint and use its size.",
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
            internal @ (Error::BadRow { .. } | Error::Running(_)) => {
                tracing::error!(error = %internal, "the ledger failed");
                Self::of(Kind::Internal)
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
