//! Reads the fingerprints of pages in a case's row.

use crate::Error;
use crate::cases::page::{Fingerprint, FingerprintDigest};
use crate::row::RowReader;

/// Reads a column of several digests.
pub(super) fn read_digests(
    r: &RowReader<'_>,
    column: &'static str,
) -> Result<Vec<FingerprintDigest>, Error> {
    let digests: Vec<String> = r.get(column)?;
    digests
        .iter()
        .map(|digest| digest.parse().map_err(|()| r.damaged(column)))
        .collect()
}

/// The fingerprint in the columns `online_*`, if there is one.
pub(super) fn online(r: &RowReader<'_>) -> Result<Option<Fingerprint>, Error> {
    let status: Option<i32> = r.get("online_status")?;
    let Some(status) = status else {
        return Ok(None);
    };
    Ok(Some(Fingerprint {
        status,
        length: r.get("online_length")?,
        etag: r.get("online_etag")?,
        content_type: r.get("online_type")?,
    }))
}
