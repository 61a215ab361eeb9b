//! Who hosts a name that the directory does not know: its addresses by DNS, and whose networks they lie in.
//! The look-up happens outside any transaction; must not decide what follows.

mod proof;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use domain::id::CaseId;
use platform::batch::{Command, in_batches};
use platform::clock::Clock;
use platform::connector::says_no_such_name;
use platform::sealed::WrappedKey;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::Error;
use crate::commands::{self, Attributed, Rules};
use crate::store::{self, CaseSeal};

pub use proof::{About, ProofError, check_proof, stands};

/// Look-ups at once.
const BATCH: i64 = 64;
/// For one look-up; well below [`AGAIN`].
const TIMEOUT: Duration = Duration::from_secs(5);
/// After this a look-up whose process died is made by another.
const AGAIN: time::Duration = time::Duration::seconds(30);

/// Looks up one batch of hosts and tells whoever serves them; tells how many were looked up. A resolver that does not
/// answer says nothing: the case is looked up again.
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
        let addresses = addresses(&name).await;
        if addresses.is_none() {
            tracing::warn!(case.id = %case_id, "the resolver does not answer; the host is looked up again");
        }
        addresses.map(|addresses| Attributed { case_id, addresses })
    });
    let found = futures::future::join_all(lookups).await;
    let found: Vec<Attributed> = found.into_iter().flatten().collect();
    for reply in in_batches(pool, &found, &Attribute { clock, rules }).await {
        // Looked up again when its claim is over.
        if let Err(problem) = reply {
            tracing::warn!(problem.code = %problem.code, "a look-up could not be recorded");
        }
    }
    Ok(claimed.len())
}

struct Attribute<'a> {
    clock: &'a Clock,
    rules: &'a Rules,
}

impl Command<Attributed> for Attribute<'_> {
    type Reply = ();
    type Error = Error;

    async fn run(&self, conn: &mut PgConnection, found: &[Attributed]) -> Result<Vec<()>, Error> {
        let now = self.clock.now(conn).await?;
        commands::attributed(conn, self.rules, now, found).await?;
        Ok(vec![(); found.len()])
    }
}

/// The names of these cases' hosts. A case that cannot be opened is an alarm, and costs no other its turn.
async fn names(
    conn: &mut PgConnection,
    rules: &Rules,
    cases: &[CaseId],
) -> Result<Vec<(CaseId, String)>, Error> {
    let ids: Vec<Uuid> = cases.iter().map(|id| id.uuid()).collect();
    let mut names = Vec::with_capacity(ids.len());
    for seal in store::seals(conn, &ids).await? {
        match name(rules, &seal) {
            Ok(name) => names.push((seal.case_id, name)),
            Err(_) => {
                tracing::error!(alarm = "sealed_refused", case.id = %seal.case_id, "a case cannot be opened, so its host is not looked up");
            }
        }
    }
    Ok(names)
}

/// Empty where the URL names no name.
fn name(rules: &Rules, seal: &CaseSeal) -> Result<String, Error> {
    let wrapped = WrappedKey::parse(seal.wrapped_key.clone())?;
    let key = rules.keyring.unwrap(seal.case_id.uuid(), &wrapped)?;
    let url = store::open_url(&key, seal.case_id, seal.item_report_id, &seal.sealed_item)?;
    let name = url.host().domain().map(|name| name.reveal().to_owned());
    Ok(name.unwrap_or_default())
}

/// The addresses of a name; none where there is no such name; `None` where nobody could say.
async fn addresses(name: &str) -> Option<Vec<IpAddr>> {
    if name.is_empty() {
        return Some(Vec::new());
    }
    // The last dot keeps the resolver from trying the search domains of the machine.
    let absolute = format!("{name}.");
    let lookup = tokio::net::lookup_host((absolute.as_str(), 443));
    judge(tokio::time::timeout(TIMEOUT, lookup).await.ok()?)
}

fn judge(answer: std::io::Result<impl Iterator<Item = SocketAddr>>) -> Option<Vec<IpAddr>> {
    match answer {
        Ok(found) => Some(found.map(|address| address.ip()).collect()),
        Err(error) if says_no_such_name(&error) => Some(Vec::new()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_that_fails_does_not_say_that_nobody_is_there() {
        let told = |text: &str| {
            judge(Err::<std::iter::Empty<SocketAddr>, _>(
                std::io::Error::other(text),
            ))
        };
        let nobody = "failed to lookup address information: Name or service not known";
        assert_eq!(told(nobody), Some(Vec::new()));
        for failure in [
            "failed to lookup address information: Temporary failure in name resolution",
            "failed to lookup address information: Non-recoverable failure in name resolution",
        ] {
            assert_eq!(told(failure), None, "{failure}");
        }
    }
}
