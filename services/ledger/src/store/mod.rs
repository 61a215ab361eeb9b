//! Every SQL statement of the ledger, as named functions. No decisions.

pub mod checkpoint;
pub mod facts;
pub mod leaf;
pub mod tree;

use crate::error::Error;
use crate::merkle::Hash;

/// Postgres has no unsigned numbers; a negative one is not ours.
fn unsigned(table: &'static str, column: &'static str, value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(|_| Error::bad_row(table, column, &value))
}

fn hash(table: &'static str, column: &'static str, id: &str, bytes: &[u8]) -> Result<Hash, Error> {
    bytes
        .try_into()
        .map_err(|_| Error::bad_row(table, column, id))
}

/// An update that must hit all its rows did.
fn all_hit(table: &'static str, hit: u64, wanted: usize) -> Result<(), Error> {
    if hit == wanted as u64 {
        Ok(())
    } else {
        Err(Error::bad_row(
            table,
            "rows",
            &format!("{hit} instead of {wanted}"),
        ))
    }
}
