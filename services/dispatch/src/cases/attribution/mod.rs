//! Attribution of hosts that the directory does not know by name: resolves their addresses by DNS, outside
//! any transaction. Must not decide what follows: the commands find the provider of an address and open the
//! notices.

mod proof;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use domain::id::CaseId;
use platform::batch::{Command, in_batches};
use platform::clock::Clock;
use platform::connector::is_no_such_name;
use platform::sealed::WrappedKey;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::Error;
use crate::cases::commands::{self, CommandDeps, ResolvedHost};
use crate::cases::store::{self, CaseSeal};

pub use proof::{ExpectedProof, ProofError, verify_decision_proof, verify_notice_proof};

/// Maximum concurrent lookups.
const BATCH: i64 = 64;
/// Timeout of one lookup; well below [`CLAIM_DURATION`].
const TIMEOUT: Duration = Duration::from_secs(5);
/// After this, the lookups of a process that died are made by another.
const CLAIM_DURATION: time::Duration = time::Duration::seconds(30);

/// Resolves one batch of hosts, and opens notices to their providers. Returns the number of hosts claimed. A
/// case whose host could not be resolved, because the resolver failed, is looked up again.
pub async fn resolve_due_hosts(
    pool: &PgPool,
    clock: &Clock,
    deps: &CommandDeps,
) -> Result<usize, Error> {
    let mut tx = pool.begin().await?;
    let now = clock.now(&mut tx).await?;
    let claimed = store::claim_lookups(&mut tx, now, now + CLAIM_DURATION, BATCH).await?;
    tx.commit().await?;
    if claimed.is_empty() {
        return Ok(0);
    }
    let mut conn = pool.acquire().await?;
    let names = host_names(&mut conn, deps, &claimed).await?;
    drop(conn);
    let lookups = names.into_iter().map(|(case_id, name)| async move {
        let addresses = resolve(&name).await;
        if addresses.is_none() {
            tracing::warn!(case.id = %case_id, "the resolver does not respond; the host is looked up again");
        }
        addresses.map(|addresses| ResolvedHost { case_id, addresses })
    });
    let found = futures::future::join_all(lookups).await;
    let found: Vec<ResolvedHost> = found.into_iter().flatten().collect();
    for reply in in_batches(pool, &found, &RecordLookups { clock, deps }).await {
        // The lookup is repeated when its claim expires.
        if let Err(problem) = reply {
            tracing::warn!(problem.code = %problem.code, "a lookup could not be recorded");
        }
    }
    Ok(claimed.len())
}

struct RecordLookups<'a> {
    clock: &'a Clock,
    deps: &'a CommandDeps,
}

impl Command<ResolvedHost> for RecordLookups<'_> {
    type Reply = ();
    type Error = Error;

    async fn run(&self, conn: &mut PgConnection, found: &[ResolvedHost]) -> Result<Vec<()>, Error> {
        let now = self.clock.now(conn).await?;
        commands::apply_resolved_hosts(conn, self.deps, now, found).await?;
        Ok(vec![(); found.len()])
    }
}

/// Host names of these cases. A case that cannot be opened raises an alarm and does not delay the others.
async fn host_names(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    cases: &[CaseId],
) -> Result<Vec<(CaseId, String)>, Error> {
    let ids: Vec<Uuid> = cases.iter().map(|id| id.uuid()).collect();
    let mut names = Vec::with_capacity(ids.len());
    for seal in store::seals(conn, &ids).await? {
        match host_name(deps, &seal) {
            Ok(name) => names.push((seal.case_id, name)),
            Err(_) => {
                tracing::error!(alarm = "sealed_refused", case.id = %seal.case_id, "a case cannot be opened, so its host is not looked up");
            }
        }
    }
    Ok(names)
}

/// Empty if the URL contains an IP address instead of a name.
fn host_name(deps: &CommandDeps, seal: &CaseSeal) -> Result<String, Error> {
    let wrapped = WrappedKey::parse(seal.wrapped_key.clone())?;
    let key = deps.keyring.unwrap(seal.case_id.uuid(), &wrapped)?;
    let url = store::open_url(
        &key,
        seal.case_id,
        seal.content_report_id,
        &seal.sealed_content,
    )?;
    let name = url.host().domain().map(|name| name.reveal().to_owned());
    Ok(name.unwrap_or_default())
}

/// The addresses of a name: empty if the name does not exist, `None` if the resolver failed.
async fn resolve(name: &str) -> Option<Vec<IpAddr>> {
    if name.is_empty() {
        return Some(Vec::new());
    }
    // The trailing dot keeps the resolver from trying the machine's search domains.
    let absolute = format!("{name}.");
    let lookup = tokio::net::lookup_host((absolute.as_str(), 443));
    addresses(tokio::time::timeout(TIMEOUT, lookup).await.ok()?)
}

fn addresses(result: std::io::Result<impl Iterator<Item = SocketAddr>>) -> Option<Vec<IpAddr>> {
    match result {
        Ok(found) => Some(found.map(|address| address.ip()).collect()),
        Err(error) if is_no_such_name(&error) => Some(Vec::new()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_lookup_is_not_a_name_that_does_not_exist() {
        let addresses_after = |text: &str| {
            addresses(Err::<std::iter::Empty<SocketAddr>, _>(
                std::io::Error::other(text),
            ))
        };
        let no_such_name = "failed to lookup address information: Name or service not known";
        assert_eq!(addresses_after(no_such_name), Some(Vec::new()));
        for failure in [
            "failed to lookup address information: Temporary failure in name resolution",
            "failed to lookup address information: Non-recoverable failure in name resolution",
        ] {
            assert_eq!(addresses_after(failure), None, "{failure}");
        }
    }
}
