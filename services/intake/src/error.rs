//! Intake's errors, and their conversion to gRPC statuses and problems.

use domain::Invalid;
use platform::batch::{BatchError, ErrorClass};
use platform::error::{Kind, Problem};
use platform::sealed::SealedError;
use proto::v1;
use thiserror::Error as ThisError;

/// A failure of intake.
#[derive(Debug, ThisError)]
pub enum Error {
    #[error("invalid input")]
    Invalid(#[from] Invalid),
    #[error("database error")]
    Db(#[from] sqlx::Error),
    /// A sealed value cannot be opened in its row.
    #[error("a sealed value cannot be opened")]
    Sealed(#[from] SealedError),
    /// A stored value that intake cannot have written.
    #[error("{table}.{column} of {id} is damaged")]
    BadRow {
        table: &'static str,
        column: &'static str,
        id: String,
    },
    /// An error that is a problem already.
    #[error("{}", .0.code)]
    Problem(Problem),
}

impl Error {
    /// Not found, or not the caller's; the two are not distinguished.
    pub fn unknown(what: &'static str) -> Self {
        Self::Problem(Problem::new(
            Kind::NotFound,
            "not_found",
            format!("There is no such {what}; check its id or reference."),
        ))
    }
}

impl BatchError for Error {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Db(error) => ErrorClass::from_sqlx(error),
            Self::Invalid(_) | Self::BadRow { .. } | Self::Sealed(_) | Self::Problem(_) => {
                ErrorClass::Item
            }
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => invalid_problem(invalid),
            Error::Db(error) => error.into(),
            Error::Problem(problem) => problem,
            internal @ (Error::Sealed(_) | Error::BadRow { .. }) => {
                tracing::error!(error = %internal, "intake failed");
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

fn invalid_problem(invalid: Invalid) -> Problem {
    Problem::new(Kind::Invalid, invalid.code, invalid.detail).field(invalid.field)
}

/// The problem of one element of a list, with its field path, or `field` if it has none.
pub fn item_problem(problem: Problem, field: &str) -> v1::ItemProblem {
    v1::ItemProblem {
        code: problem.code.into_owned(),
        detail: problem.detail,
        field: problem.field.unwrap_or_else(|| field.to_owned()),
    }
}
