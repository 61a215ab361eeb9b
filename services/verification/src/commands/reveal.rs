//! Reveals the URL of a claimed case to its analyst. Each reveal has a reason, is recorded, and counts
//! against the exposure budget of the shift.

use domain::event::Body;
use domain::id::CaseId;
use domain::url::CanonicalUrl;
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Outbox, lock_one};
use crate::auth::Person;
use crate::context::CommandContext;
use crate::error::{CommandRefusal, Error};
use crate::store;

/// A revealed URL, with the number of reveals in this shift and the limit.
pub(crate) struct Revealed {
    pub(crate) url: CanonicalUrl,
    pub(crate) used: u32,
    pub(crate) allowed: u32,
}

pub(crate) async fn reveal(
    conn: &mut PgConnection,
    context: &CommandContext,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
    reason: &str,
) -> Result<Revealed, Error> {
    let case = lock_one(conn, id).await?;
    let claim = case
        .claim
        .filter(|claim| claim.by == person.subject)
        .ok_or(CommandRefusal::NOT_CLAIMED)?;
    if claim.until <= now {
        return Err(CommandRefusal::CLAIM_EXPIRED.into());
    }
    let allowed = context.config.reveals_per_shift;
    let since = now - context.config.shift();
    let used = store::reveals::count_since(conn, person.subject, since).await?;
    if used >= i64::from(allowed) {
        return Err(CommandRefusal::BUDGET_SPENT.into());
    }
    let url = context.open(&case)?.url;
    let reveal = Uuid::now_v7();
    store::reveals::insert(conn, reveal, person.subject, id, now).await?;
    let mut out = Outbox::new(now);
    let body = Body::UrlRevealed(v1::UrlRevealed {
        subject: person.subject.to_string(),
        sealed_reason: context.seal_note(&case, reveal, reason)?.into(),
        reveal_id: reveal.to_string(),
        ..v1::UrlRevealed::default()
    });
    out.emit(&case, body);
    out.store(conn).await?;
    Ok(Revealed {
        url,
        used: used as u32 + 1,
        allowed,
    })
}
