//! Every SQL statement of the ledger, as named functions.

pub mod checkpoint;
pub mod facts;
pub mod leaf;
pub mod tree;

use crate::error::Error;
use crate::merkle::Hash;

/// Parses a number that is never negative; Postgres has no unsigned integers.
fn unsigned(table: &'static str, column: &'static str, value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(|_| Error::bad_row(table, column, &value))
}

fn hash(table: &'static str, column: &'static str, id: &str, bytes: &[u8]) -> Result<Hash, Error> {
    bytes
        .try_into()
        .map_err(|_| Error::bad_row(table, column, id))
}

/// Checks the number of rows that a statement affected or returned.
fn expect_rows(table: &'static str, actual: u64, expected: usize) -> Result<(), Error> {
    if actual == expected as u64 {
        Ok(())
    } else {
        Err(Error::bad_row(
            table,
            "rows",
            &format!("{actual} instead of {expected}"),
        ))
    }
}
