//! What can go wrong in dispatch, and the one road from it to a problem.
//! Must not carry a URL, a body, or what a provider wrote.

use domain::Invalid;
use platform::batch::{Class, Fault};
use platform::error::{Kind, Problem};
use platform::sealed::SealedError;
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Refused with a sentence of ours.
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error("the database refused")]
    Db(#[from] sqlx::Error),
    #[error("a sealed value was not accepted")]
    Sealed(#[from] SealedError),
    /// A stored value that no version of this service wrote.
    #[error("{table}.{column} of {id} is damaged")]
    Row {
        table: &'static str,
        column: &'static str,
        id: Uuid,
    },
    #[error("the server failed")]
    Server(#[from] platform::grpc::GrpcError),
    #[error("a consumer stopped")]
    Bus(#[from] platform::bus::Error),
    /// A setting that cannot be worked with.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    /// There is no such thing, or it is not the caller's: both look the same.
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
                    "a sealed value was not accepted"
                );
                Self::of(Kind::Internal)
            }
            Error::Row { table, column, id } => {
                tracing::error!(alarm = "row_damaged", db.table = table, db.column = column, row.id = %id, "a stored value cannot be read");
                Self::of(Kind::Internal)
            }
            Error::Bus(error) => error.into(),
            Error::Server(_) | Error::Setting(_) => Self::of(Kind::Internal),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Problem::from(error).into()
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Db(error) => Class::of(error),
            Self::Invalid(_) | Self::Problem(_) | Self::Sealed(_) | Self::Row { .. } => Class::Item,
            Self::Server(_) | Self::Bus(_) | Self::Setting(_) => Class::Whole,
        }
    }
}
