//! Errors of dispatch, and their only conversion into a problem. They must not contain a URL, a request body
//! or a provider's text.

use domain::Invalid;
use platform::batch::{BatchError, ErrorClass};
use platform::error::{Kind, Problem};
use platform::sealed::SealedError;
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Refused with a code and a sentence.
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error("a database statement failed")]
    Db(#[from] sqlx::Error),
    #[error("a sealed value could not be opened")]
    Sealed(#[from] SealedError),
    /// A stored value that the service cannot have written.
    #[error("{table}.{column} of {id} is invalid")]
    Row {
        table: &'static str,
        column: &'static str,
        id: Uuid,
    },
}

impl Error {
    /// The object does not exist, or belongs to someone else: callers cannot distinguish the two.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::Problem(Problem::new(
            Kind::NotFound,
            "not_found",
            format!("There is no such {what}, or it is not yours; check the id."),
        ))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => {
                Self::new(Kind::Invalid, invalid.code, invalid.detail).field(invalid.field)
            }
            Error::Problem(problem) => problem,
            Error::Db(error) => error.into(),
            Error::Sealed(error) => {
                tracing::error!(
                    alarm = "sealed_refused",
                    problem.code = error.code(),
                    "a sealed value could not be opened"
                );
                Self::from_kind(Kind::Internal)
            }
            Error::Row { table, column, id } => {
                tracing::error!(alarm = "row_damaged", db.table = table, db.column = column, row.id = %id, "a stored value is invalid");
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

impl BatchError for Error {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Db(error) => ErrorClass::from_sqlx(error),
            Self::Invalid(_) | Self::Problem(_) | Self::Sealed(_) | Self::Row { .. } => {
                ErrorClass::Item
            }
        }
    }
}
