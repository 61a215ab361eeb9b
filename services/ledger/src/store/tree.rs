//! The tree's row and its stored subtrees.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::{all_hit, hash, unsigned};
use crate::error::Error;
use crate::merkle::{Frontier, Hash, Node};

/// Of the levels of the tree, every eighth is stored; leaves have their own rows.
const STEP: u8 = 8;

/// Whether a subtree has a row.
pub fn is_kept(node: Node) -> bool {
    node.level > 0 && node.level.is_multiple_of(STEP)
}

/// The tree as it stands. Its lock is the right to append.
pub async fn lock(conn: &mut PgConnection) -> Result<Frontier, Error> {
    let (size, frontier): (i64, Vec<u8>) =
        sqlx::query_as("-- lock_tree\nselect size, frontier from tree for update")
            .fetch_one(conn)
            .await?;
    parse(size, &frontier)
}

/// The tree as it was last committed.
pub async fn read(conn: &mut PgConnection) -> Result<Frontier, Error> {
    let (size, frontier): (i64, Vec<u8>) =
        sqlx::query_as("-- read_tree\nselect size, frontier from tree")
            .fetch_one(conn)
            .await?;
    parse(size, &frontier)
}

fn parse(size: i64, frontier: &[u8]) -> Result<Frontier, Error> {
    Frontier::from_bytes(unsigned("tree", "size", size)?, frontier)
        .ok_or_else(|| Error::bad_row("tree", "frontier", &size))
}

pub async fn save(conn: &mut PgConnection, tree: &Frontier) -> Result<(), Error> {
    let saved = sqlx::query("-- save_tree\nupdate tree set size = $1, frontier = $2")
        .bind(tree.size() as i64)
        .bind(tree.to_bytes())
        .execute(conn)
        .await?;
    all_hit("tree", saved.rows_affected(), 1)
}

pub async fn insert_nodes(conn: &mut PgConnection, nodes: &[(Node, Hash)]) -> Result<(), Error> {
    if nodes.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- insert_nodes
        insert into node (level, index, hash)
        select n.level, n.index, n.hash
        from unnest($1::smallint[], $2::bigint[], $3::bytea[]) as n (level, index, hash)
        order by n.level, n.index",
    )
    .bind(level(nodes.iter().map(|(node, _)| node.level)))
    .bind(
        nodes
            .iter()
            .map(|(node, _)| node.index as i64)
            .collect::<Vec<_>>(),
    )
    .bind(nodes.iter().map(|(_, hash)| &hash[..]).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

fn level(levels: impl Iterator<Item = u8>) -> Vec<i16> {
    levels.map(i16::from).collect()
}

/// Hashes of complete subtrees, those between the stored levels computed from the level below.
pub async fn hashes(conn: &mut PgConnection, nodes: &[Node]) -> Result<HashMap<Node, Hash>, Error> {
    let (leaves, inner): (Vec<Node>, Vec<Node>) =
        nodes.iter().copied().partition(|node| node.level < STEP);
    let from_leaves = sqlx::query_as(
        "-- hashes_of_leaves
        select w.n, 0::smallint, l.index, l.leaf_hash
        from unnest($1::bigint[], $2::bigint[], $3::smallint[]) with ordinality as w (low, high, level, n)
        cross join lateral (
            select l.index, l.leaf_hash from leaf l where l.index >= w.low and l.index < w.high
        ) l
        order by w.n, l.index",
    );
    let from_nodes = sqlx::query_as(
        "-- hashes_of_nodes
        select w.n, s.level, s.index, s.hash
        from unnest($1::bigint[], $2::bigint[], $3::smallint[]) with ordinality as w (low, high, level, n)
        cross join lateral (
            select s.level, s.index, s.hash from node s
            where s.level = w.level and s.index >= w.low and s.index < w.high
        ) s
        order by w.n, s.index",
    );
    let mut found = HashMap::with_capacity(nodes.len());
    for (wanted, query) in [(leaves, from_leaves), (inner, from_nodes)] {
        if wanted.is_empty() {
            continue;
        }
        let rows: Vec<(i64, i16, i64, Vec<u8>)> = query
            .bind(wanted.iter().map(|node| below(*node).0).collect::<Vec<_>>())
            .bind(wanted.iter().map(|node| below(*node).1).collect::<Vec<_>>())
            .bind(level(
                wanted.iter().map(|node| node.level - node.level % STEP),
            ))
            .fetch_all(&mut *conn)
            .await?;
        for (node, rows) in wanted.iter().zip(rows.chunk_by(|a, b| a.0 == b.0)) {
            found.insert(*node, subtree(*node, rows)?);
        }
        if rows.chunk_by(|a, b| a.0 == b.0).count() != wanted.len() {
            return Err(Error::bad_row("node", "rows", "a subtree has none"));
        }
    }
    Ok(found)
}

/// The stored subtrees that a subtree is made of: from this index to before that one.
fn below(node: Node) -> (i64, i64) {
    let within = node.level % STEP;
    (
        (node.index << within) as i64,
        ((node.index + 1) << within) as i64,
    )
}

fn subtree(node: Node, rows: &[(i64, i16, i64, Vec<u8>)]) -> Result<Hash, Error> {
    let (low, high) = below(node);
    all_hit("node", rows.len() as u64, (high - low) as usize)?;
    let mut tree = Frontier::default();
    for (_, level, index, bytes) in rows {
        let id = format!("{level}/{index}");
        tree.push(hash("node", "hash", &id, bytes)?, |_, _| {});
    }
    Ok(tree.root())
}
