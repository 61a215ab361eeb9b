//! Rows of all tables: reads stored values, and reports an invalid one with its table, column and id; turns
//! rows into the columns that a statement takes.

use std::str::FromStr;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::Error;

/// A row that is read into a domain type.
pub(crate) struct RowReader<'a> {
    pub(crate) table: &'static str,
    pub(crate) id: Uuid,
    pub(crate) row: &'a PgRow,
}

impl<'a> RowReader<'a> {
    pub(crate) fn get<T>(&self, column: &'static str) -> Result<T, Error>
    where
        T: sqlx::Decode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        Ok(self.row.try_get(column)?)
    }

    /// A value that is stored as text.
    pub(crate) fn parse<T: FromStr>(&self, column: &'static str) -> Result<T, Error> {
        let text: &str = self.row.try_get(column)?;
        text.parse().map_err(|_| self.damaged(column))
    }

    pub(crate) fn parse_optional<T: FromStr>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, Error> {
        let text: Option<&str> = self.row.try_get(column)?;
        text.map(|text| text.parse().map_err(|_| self.damaged(column)))
            .transpose()
    }

    pub(crate) fn damaged(&self, column: &'static str) -> Error {
        Error::Row {
            table: self.table,
            column,
            id: self.id,
        }
    }
}

/// The lists of several rows, one after the other: `unnest` would flatten an array of arrays, so a statement
/// takes a list with the id of the row beside each element, and groups it again.
pub(crate) fn list<'a, R, E: 'a, T>(
    rows: &[&'a R],
    of: impl Fn(&'a R) -> &'a Vec<E>,
    value: impl Fn(&'a R, &'a E) -> T,
) -> Vec<T> {
    rows.iter()
        .flat_map(|row| of(row).iter().map(|element| value(row, element)))
        .collect()
}

/// The values of one column of several rows.
pub(crate) fn column<'a, R, T>(rows: &[&'a R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}
