//! The one thing that can be asked of the ledger: to keep what was heard. Never begins or commits.

use std::collections::HashSet;

use platform::clock::Clock;
use platform::sealed::random;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;
use crate::events::{Heard, Says};
use crate::leaf::Committed;
use crate::lifecycle::apply;
use crate::merkle::{Hash, Node};
use crate::store::facts::{self, Facts};
use crate::store::leaf::{self, NewLeaf};
use crate::store::tree;

/// Gives each event its leaf, and counts what it tells. An event that has a leaf is passed over.
///
/// The lock of the tree's row makes this the one sequencer: it is taken first, so whatever follows it is alone, for
/// one batch. Case rows need no order of their own behind it, and have it all the same.
pub async fn hear(
    conn: &mut PgConnection,
    clock: &Clock,
    batch: &[Heard<'_>],
) -> Result<(), Error> {
    let mut frontier = tree::lock(conn).await?;
    let fresh = fresh(conn, batch).await?;
    if fresh.is_empty() {
        return Ok(());
    }
    // Read behind the lock: leaves are in the order of their hearing.
    let now = clock.now(conn).await?;
    let mut leaves = Vec::with_capacity(fresh.len());
    let mut nodes: Vec<(Node, Hash)> = Vec::new();
    for heard in &fresh {
        let new = new_leaf(frontier.size(), heard, now);
        frontier.push(new.leaf_hash, |node, hash| {
            if tree::is_kept(node) {
                nodes.push((node, hash));
            }
        });
        leaves.push(new);
    }
    leaf::insert(conn, &leaves, now).await?;
    tree::insert_nodes(conn, &nodes).await?;
    tree::save(conn, &frontier).await?;
    count(conn, &fresh).await
}

/// Those that have no leaf yet, once each.
async fn fresh<'a>(
    conn: &mut PgConnection,
    batch: &'a [Heard<'a>],
) -> Result<Vec<&'a Heard<'a>>, Error> {
    let ids: Vec<Uuid> = batch.iter().map(|heard| heard.envelope.id).collect();
    let mut known: HashSet<Uuid> = leaf::known(conn, &ids).await?.into_iter().collect();
    Ok(batch
        .iter()
        .filter(|heard| known.insert(heard.envelope.id))
        .collect())
}

fn new_leaf<'a>(index: u64, heard: &'a Heard<'a>, now: OffsetDateTime) -> NewLeaf<'a> {
    let event = heard.envelope;
    let salt = random::<32>();
    let committed = Committed {
        index,
        event_id: event.id,
        producer: &event.producer,
        shard: event.shard,
        position: event.position,
        kind: &event.kind,
        case_id: event.case_id,
        occurred_at: event.occurred_at,
        caused_by: event.caused_by,
        salt: &salt,
        payload: &event.payload,
        heard_at: Some(now),
    };
    NewLeaf {
        index,
        leaf_hash: committed.leaf_hash(),
        event,
        salt,
    }
}

/// Notes of each report and case what was told of it.
async fn count(conn: &mut PgConnection, fresh: &[&Heard<'_>]) -> Result<(), Error> {
    let received: Vec<(Uuid, Uuid)> = fresh
        .iter()
        .filter_map(|heard| match heard.says {
            Says::Received(report) => Some((report.uuid(), heard.envelope.case_id)),
            Says::TakenBack(_) | Says::Case(_) | Says::Nothing => None,
        })
        .collect();
    let taken_back: Vec<Uuid> = fresh
        .iter()
        .filter_map(|heard| match heard.says {
            Says::TakenBack(report) => Some(report.uuid()),
            Says::Received(_) | Says::Case(_) | Says::Nothing => None,
        })
        .collect();
    // Each report is counted once, and taken back once, whatever is said twice.
    let added = facts::add_reports(conn, &received).await?;
    let removed = facts::take_back(conn, &taken_back).await?;

    let told = fresh.iter().filter(|heard| heard.says != Says::Nothing);
    let mut cases: Vec<Uuid> = told.map(|heard| heard.envelope.case_id).collect();
    cases.sort_unstable();
    cases.dedup();
    if cases.is_empty() {
        return Ok(());
    }
    let mut known = facts::lock(conn, &cases).await?;
    for case in cases {
        known.entry(case).or_insert(Facts::NEW);
    }
    for case in added {
        known.entry(case).and_modify(|facts| facts.reports += 1);
    }
    for case in removed {
        known.entry(case).and_modify(|facts| facts.reports -= 1);
    }
    for heard in fresh {
        if let Says::Case(command) = heard.says {
            let facts = known.entry(heard.envelope.case_id);
            facts.and_modify(|facts| facts.state = apply(facts.state, command));
        }
    }
    facts::save(conn, &known).await
}
