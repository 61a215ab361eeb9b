//! SQL of `tree` and `node`.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::{expect_rows, hash, unsigned};
use crate::error::Error;
use crate::merkle::{Frontier, Hash, Node};

/// Every eighth level of the tree is stored in `node`; level 0 is stored in `leaf`.
const STEP: u8 = 8;

/// True if the hash of the subtree is stored in `node`.
pub fn is_stored(node: Node) -> bool {
    node.level > 0 && node.level.is_multiple_of(STEP)
}

/// Locks the tree, which gives the right to append, and returns it.
pub async fn lock(conn: &mut PgConnection) -> Result<Frontier, Error> {
    let (size, frontier): (i64, Vec<u8>) =
        sqlx::query_as("-- lock_tree\nselect size, frontier from tree for update")
            .fetch_one(conn)
            .await?;
    parse(size, &frontier)
}

/// Returns the last committed tree.
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

/// Updates the tree. The caller holds its lock.
pub async fn save(conn: &mut PgConnection, tree: &Frontier) -> Result<(), Error> {
    let saved = sqlx::query("-- save_tree\nupdate tree set size = $1, frontier = $2")
        .bind(tree.size() as i64)
        .bind(tree.to_bytes())
        .execute(conn)
        .await?;
    expect_rows("tree", saved.rows_affected(), 1)
}

/// Inserts the hashes of complete subtrees.
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
    .bind(to_smallint(nodes.iter().map(|(node, _)| node.level)))
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

fn to_smallint(levels: impl Iterator<Item = u8>) -> Vec<i16> {
    levels.map(i16::from).collect()
}

/// Hashes of complete subtrees. Those between the stored levels are computed from the stored level below.
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
            .bind(
                wanted
                    .iter()
                    .map(|node| stored_range(*node).0)
                    .collect::<Vec<_>>(),
            )
            .bind(
                wanted
                    .iter()
                    .map(|node| stored_range(*node).1)
                    .collect::<Vec<_>>(),
            )
            .bind(to_smallint(
                wanted.iter().map(|node| node.level - node.level % STEP),
            ))
            .fetch_all(&mut *conn)
            .await?;
        for (node, rows) in wanted.iter().zip(rows.chunk_by(|a, b| a.0 == b.0)) {
            found.insert(*node, subtree_hash(*node, rows)?);
        }
        if rows.chunk_by(|a, b| a.0 == b.0).count() != wanted.len() {
            return Err(Error::bad_row("node", "rows", "a subtree has none"));
        }
    }
    Ok(found)
}

/// Range of indexes, end excluded, of the stored subtrees that the subtree consists of.
fn stored_range(node: Node) -> (i64, i64) {
    let levels_above = node.level % STEP;
    (
        (node.index << levels_above) as i64,
        ((node.index + 1) << levels_above) as i64,
    )
}

fn subtree_hash(node: Node, rows: &[(i64, i16, i64, Vec<u8>)]) -> Result<Hash, Error> {
    let (low, high) = stored_range(node);
    expect_rows("node", rows.len() as u64, (high - low) as usize)?;
    let mut tree = Frontier::default();
    for (_, level, index, bytes) in rows {
        let id = format!("{level}/{index}");
        tree.push(hash("node", "hash", &id, bytes)?, |_, _| {});
    }
    Ok(tree.root())
}
