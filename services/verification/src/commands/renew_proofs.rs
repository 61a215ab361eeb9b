//! Renews the approval proof of an actionable verdict that dispatch did not open before the proof expired,
//! and emits the verdict again.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Outbox, verdict};
use crate::context::CommandContext;
use crate::error::Error;
use crate::store;

/// Renews up to `limit` proofs. Returns how many.
pub(crate) async fn renew_expired(
    conn: &mut PgConnection,
    context: &CommandContext,
    now: OffsetDateTime,
    limit: i64,
) -> Result<usize, Error> {
    let mut cases = store::queue::lock_expired_proofs(conn, now, limit).await?;
    let mut out = Outbox::new(now);
    let mut renewed = Vec::with_capacity(cases.len());
    for mut case in cases.drain(..) {
        match verdict::emit_again(context, &mut case, &mut out) {
            Ok(()) => renewed.push(case),
            // A case that cannot be opened must not block the others.
            Err(error) => {
                tracing::error!(alarm = "sealed_content", case.id = %case.id, error.code = error.code(), "a proof cannot be renewed");
            }
        }
    }
    if !renewed.is_empty() {
        tracing::warn!(
            alarm = "proof_renewed",
            cases = renewed.len(),
            "dispatch did not open these cases in time; their verdicts are emitted again with a new proof"
        );
    }
    store::cases::save(conn, &renewed).await?;
    out.store(conn).await?;
    Ok(renewed.len())
}
