//! The only command of the ledger: record received events. Runs inside the caller's transaction.

use std::collections::HashSet;

use domain::id::ReportId;
use platform::clock::Clock;
use platform::log::Envelope;
use platform::sealed::random;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;
use crate::leaf::LeafFields;
use crate::lifecycle::{Command, apply};
use crate::merkle::{Hash, Node};
use crate::store::facts::{self, CaseFacts};
use crate::store::leaf::{self, NewLeaf};
use crate::store::tree;

/// A received event and its effect on the facts.
pub struct ReceivedEvent<'a> {
    pub envelope: &'a Envelope,
    pub effect: Effect,
}

/// What an event changes in the facts about reports and cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    ReportReceived(ReportId),
    ReportWithdrawn(ReportId),
    Case(Command),
    /// The event is recorded but changes no fact.
    None,
}

/// Appends a leaf for each event and updates the facts. Events that already have a leaf are skipped.
///
/// The lock of the tree's row is taken first, so that only one batch at a time is recorded, in any process.
/// The case rows are locked in ascending order all the same.
pub async fn record(
    conn: &mut PgConnection,
    clock: &Clock,
    batch: &[ReceivedEvent<'_>],
) -> Result<(), Error> {
    let mut frontier = tree::lock(conn).await?;
    let new_events = unrecorded(conn, batch).await?;
    if new_events.is_empty() {
        return Ok(());
    }
    // Read after the lock, so that the times of leaves are in the order of their indexes.
    let now = clock.now(conn).await?;
    let mut leaves = Vec::with_capacity(new_events.len());
    let mut nodes: Vec<(Node, Hash)> = Vec::new();
    for event in &new_events {
        let new = new_leaf(frontier.size(), event, now);
        frontier.push(new.leaf_hash, |node, hash| {
            if tree::is_stored(node) {
                nodes.push((node, hash));
            }
        });
        leaves.push(new);
    }
    leaf::insert(conn, &leaves, now).await?;
    tree::insert_nodes(conn, &nodes).await?;
    tree::save(conn, &frontier).await?;
    update_facts(conn, &new_events).await
}

/// The events without a leaf, each once.
async fn unrecorded<'a>(
    conn: &mut PgConnection,
    batch: &'a [ReceivedEvent<'a>],
) -> Result<Vec<&'a ReceivedEvent<'a>>, Error> {
    let ids: Vec<Uuid> = batch.iter().map(|event| event.envelope.id).collect();
    let mut recorded: HashSet<Uuid> = leaf::recorded_events(conn, &ids)
        .await?
        .into_iter()
        .collect();
    Ok(batch
        .iter()
        .filter(|event| recorded.insert(event.envelope.id))
        .collect())
}

fn new_leaf<'a>(index: u64, received: &'a ReceivedEvent<'a>, now: OffsetDateTime) -> NewLeaf<'a> {
    let event = received.envelope;
    let salt = random::<32>();
    let fields = LeafFields {
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
        recorded_at: Some(now),
    };
    NewLeaf {
        index,
        leaf_hash: fields.leaf_hash(),
        event,
        salt,
    }
}

/// Applies the effects of the events to the facts.
async fn update_facts(
    conn: &mut PgConnection,
    new_events: &[&ReceivedEvent<'_>],
) -> Result<(), Error> {
    let received: Vec<(Uuid, Uuid)> = new_events
        .iter()
        .filter_map(|event| match event.effect {
            Effect::ReportReceived(report) => Some((report.uuid(), event.envelope.case_id)),
            Effect::ReportWithdrawn(_) | Effect::Case(_) | Effect::None => None,
        })
        .collect();
    let withdrawn: Vec<Uuid> = new_events
        .iter()
        .filter_map(|event| match event.effect {
            Effect::ReportWithdrawn(report) => Some(report.uuid()),
            Effect::ReportReceived(_) | Effect::Case(_) | Effect::None => None,
        })
        .collect();
    // A report is counted once and withdrawn once, even if the event is repeated.
    let added = facts::add_reports(conn, &received).await?;
    let removed = facts::withdraw_reports(conn, &withdrawn).await?;

    let effective = new_events
        .iter()
        .filter(|event| event.effect != Effect::None);
    let mut cases: Vec<Uuid> = effective.map(|event| event.envelope.case_id).collect();
    cases.sort_unstable();
    cases.dedup();
    if cases.is_empty() {
        return Ok(());
    }
    let mut facts_by_case = facts::lock(conn, &cases).await?;
    for case in cases {
        facts_by_case.entry(case).or_insert(CaseFacts::NEW);
    }
    for case in added {
        facts_by_case
            .entry(case)
            .and_modify(|facts| facts.reports += 1);
    }
    for case in removed {
        facts_by_case
            .entry(case)
            .and_modify(|facts| facts.reports -= 1);
    }
    for event in new_events {
        if let Effect::Case(command) = event.effect {
            let facts = facts_by_case.entry(event.envelope.case_id);
            facts.and_modify(|facts| facts.state = apply(facts.state, command));
        }
    }
    facts::save(conn, &facts_by_case).await
}
