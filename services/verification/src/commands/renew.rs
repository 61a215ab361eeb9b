//! A standing verdict that dispatch could not open before its proof ran out is said again, with a proof that holds.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Outbox, verdict};
use crate::error::Error;
use crate::means::Means;
use crate::store;

/// Renews up to `limit` proofs. Returns how many.
pub(crate) async fn renew(
    conn: &mut PgConnection,
    means: &Means,
    now: OffsetDateTime,
    limit: i64,
) -> Result<usize, Error> {
    let mut cases = store::queue::lock_unopened(conn, now, limit).await?;
    let mut out = Outbox::new(now);
    let mut renewed = Vec::with_capacity(cases.len());
    for mut case in cases.drain(..) {
        match verdict::announce_again(means, &mut case, &mut out) {
            Ok(()) => renewed.push(case),
            // One case that does not open must not keep the others from being sent.
            Err(error) => {
                tracing::error!(alarm = "sealed_item", case.id = %case.id, error.code = error.code(), "a proof cannot be renewed");
            }
        }
    }
    if !renewed.is_empty() {
        tracing::warn!(
            alarm = "proof_renewed",
            cases = renewed.len(),
            "dispatch did not open these cases in time; they are announced again"
        );
    }
    store::cases::save(conn, &renewed).await?;
    out.write(conn).await?;
    Ok(renewed.len())
}
