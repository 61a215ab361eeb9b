//! Who hosts a name that the directory does not know: its addresses by DNS, and whose networks they lie in.
//! The look-up happens outside any transaction; must not decide what follows.

mod proof;

use std::net::IpAddr;
use std::time::Duration;

use domain::id::CaseId;
use platform::clock::Clock;
use platform::sealed::WrappedKey;
use sqlx::PgPool;
use uuid::Uuid;

use crate::commands::{self, Attributed, Rules};
use crate::{Error, store};

pub use proof::{About, ProofError, check_proof, stands};

/// Look-ups at once.
const BATCH: i64 = 64;
/// For one look-up; well below [`AGAIN`].
const TIMEOUT: Duration = Duration::from_secs(5);
/// After this a look-up whose process died is made by another.
const AGAIN: time::Duration = time::Duration::seconds(30);

/// Looks up one batch of hosts and opens their cases; tells how many.
pub async fn run_once(pool: &PgPool, clock: &Clock, rules: &Rules) -> Result<usize, Error> {
    let mut tx = pool.begin().await?;
    let now = clock.now(&mut tx).await?;
    let claimed = store::claim_lookups(&mut tx, now, now + AGAIN, BATCH).await?;
    tx.commit().await?;
    if claimed.is_empty() {
        return Ok(0);
    }
    let mut conn = pool.acquire().await?;
    let names = names(&mut conn, rules, &claimed).await?;
    drop(conn);
    let lookups = names.into_iter().map(|(case_id, name)| async move {
        Attributed {
            case_id,
            addresses: addresses(&name).await,
        }
    });
    let found = futures::future::join_all(lookups).await;

    let mut tx = pool.begin().await?;
    let now = clock.now(&mut tx).await?;
    commands::attributed(&mut tx, rules, now, &found).await?;
    tx.commit().await?;
    Ok(found.len())
}

async fn names(
    conn: &mut sqlx::PgConnection,
    rules: &Rules,
    cases: &[CaseId],
) -> Result<Vec<(CaseId, String)>, Error> {
    let ids: Vec<Uuid> = cases.iter().map(|id| id.uuid()).collect();
    let seals = store::seals(conn, &ids).await?;
    let mut names = Vec::with_capacity(seals.len());
    for seal in seals {
        let case_id = seal.case_id;
        let wrapped = WrappedKey::parse(seal.wrapped_key)?;
        let key = rules.keyring.unwrap(case_id.uuid(), &wrapped)?;
        let url = store::open_url(&key, case_id, seal.item_report_id, &seal.sealed_item)?;
        let name = url.host().domain().map(|name| name.reveal().to_owned());
        names.push((case_id, name.unwrap_or_default()));
    }
    Ok(names)
}

/// The addresses of a name; none where it does not resolve in time.
async fn addresses(name: &str) -> Vec<IpAddr> {
    if name.is_empty() {
        return Vec::new();
    }
    match tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((name, 443))).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
