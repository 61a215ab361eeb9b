//! Showing the URL of a claimed case to its analyst: an act with a reason, recorded, and counted against the exposure
//! budget of their shift.

use domain::event::Body;
use domain::id::CaseId;
use domain::url::CanonicalUrl;
use proto::v1;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Outbox, lock_one};
use crate::auth::Person;
use crate::error::{Error, Refusal};
use crate::means::Means;
use crate::store;

pub(crate) struct Revealed {
    pub(crate) url: CanonicalUrl,
    pub(crate) used: u32,
    pub(crate) allowed: u32,
}

pub(crate) async fn reveal(
    conn: &mut PgConnection,
    means: &Means,
    person: &Person,
    now: OffsetDateTime,
    id: CaseId,
    reason: &str,
) -> Result<Revealed, Error> {
    let case = lock_one(conn, id).await?;
    let claim = case
        .claim
        .filter(|claim| claim.by == person.subject)
        .ok_or(Refusal::NOT_CLAIMED)?;
    if claim.until <= now {
        return Err(Refusal::CLAIM_OVER.into());
    }
    let allowed = means.config.reveals_per_shift;
    let since = now - means.config.shift();
    let used = store::acts::reveals_since(conn, person.subject, since).await?;
    if used >= i64::from(allowed) {
        return Err(Refusal::BUDGET_SPENT.into());
    }
    let url = means.open(&case)?.url;
    let reveal = Uuid::now_v7();
    store::acts::reveal(conn, reveal, person.subject, id, now).await?;
    let mut out = Outbox::new(now);
    let body = Body::UrlRevealed(v1::UrlRevealed {
        subject: person.subject.to_string(),
        sealed_reason: means.seal_note(&case, reveal, reason)?.into(),
        reveal_id: reveal.to_string(),
        ..v1::UrlRevealed::default()
    });
    out.say(&case, body);
    out.write(conn).await?;
    Ok(Revealed {
        url,
        used: used as u32 + 1,
        allowed,
    })
}
