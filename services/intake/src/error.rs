//! What can go wrong in intake, and the one road to what the outside hears.

use domain::Invalid;
use platform::batch::{Class, Fault};
use platform::error::{Kind, Problem};
use platform::sealed::SealedError;
use proto::v1;
use thiserror::Error as ThisError;

/// A failure of intake.
#[derive(Debug, ThisError)]
pub enum Error {
    /// Input that cannot be taken.
    #[error("input was refused")]
    Invalid(#[from] Invalid),
    /// The database refused, or is away.
    #[error("the database refused")]
    Db(#[from] sqlx::Error),
    /// A sealed value does not open where it was found.
    #[error("a sealed value was refused")]
    Sealed(#[from] SealedError),
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
    /// No such report, or not the caller's: both look the same.
    pub fn unknown(what: &'static str) -> Self {
        Self::Problem(Problem::new(
            Kind::NotFound,
            "not_found",
            format!("There is no such {what}; check what you were given."),
        ))
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Db(error) => Class::of(error),
            Self::Invalid(_) | Self::BadRow { .. } | Self::Sealed(_) | Self::Problem(_) => {
                Class::Item
            }
            Self::Running(_) => Class::Whole,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => invalid_problem(invalid),
            Error::Db(error) => error.into(),
            Error::Problem(problem) => problem,
            internal @ (Error::Sealed(_) | Error::BadRow { .. } | Error::Running(_)) => {
                tracing::error!(error = %internal, "intake failed");
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

fn invalid_problem(invalid: Invalid) -> Problem {
    Problem::new(Kind::Invalid, invalid.code, invalid.detail).field(invalid.field)
}

/// A problem as it stands beside the results of a batch.
pub fn item_problem(problem: Problem, field: &str) -> v1::ItemProblem {
    v1::ItemProblem {
        code: problem.code.into_owned(),
        detail: problem.detail,
        field: problem.field.unwrap_or_else(|| field.to_owned()),
    }
}
