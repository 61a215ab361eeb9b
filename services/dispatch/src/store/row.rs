//! Reads stored values; an invalid one is reported with its table, column and id.

use std::str::FromStr;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::Error;

/// A row that is read into a domain type.
pub(super) struct RowReader<'a> {
    pub(super) table: &'static str,
    pub(super) id: Uuid,
    pub(super) row: &'a PgRow,
}

impl<'a> RowReader<'a> {
    pub(super) fn get<T>(&self, column: &'static str) -> Result<T, Error>
    where
        T: sqlx::Decode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        Ok(self.row.try_get(column)?)
    }

    /// A value that is stored as text.
    pub(super) fn parse<T: FromStr>(&self, column: &'static str) -> Result<T, Error> {
        let text: &str = self.row.try_get(column)?;
        text.parse().map_err(|_| self.damaged(column))
    }

    pub(super) fn parse_optional<T: FromStr>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, Error> {
        let text: Option<&str> = self.row.try_get(column)?;
        text.map(|text| text.parse().map_err(|_| self.damaged(column)))
            .transpose()
    }

    pub(super) fn damaged(&self, column: &'static str) -> Error {
        Error::Row {
            table: self.table,
            column,
            id: self.id,
        }
    }
}
