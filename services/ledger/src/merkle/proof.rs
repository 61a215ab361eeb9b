//! Proofs of RFC 6962, sections 2.1.1 and 2.1.2: which subtrees each needs, and (by the algorithms of RFC 9162,
//! sections 2.1.3.2 and 2.1.4.2) whether one holds. Must not fetch a hash.

use super::{Hash, Node, fold, node_hash};

/// A proof before its hashes are known: each of its values is the hash of a row of complete subtrees.
pub type Plan = Vec<Vec<Node>>;

/// What proves that leaf `index` is in the tree of `size` leaves; `None` where it is not.
pub fn inclusion(index: u64, size: u64) -> Option<Plan> {
    if index >= size {
        return None;
    }
    let (mut low, mut high) = (0, size);
    let mut plan = Plan::new();
    while high - low > 1 {
        let middle = low + left_half(high - low);
        if index < middle {
            plan.push(row(middle, high));
            high = middle;
        } else {
            plan.push(row(low, middle));
            low = middle;
        }
    }
    // Found from the root down, proved from the leaf up.
    plan.reverse();
    Some(plan)
}

/// What proves that the tree of `to` leaves begins with the tree of `from` leaves; `None` unless `0 < from <= to`.
pub fn consistency(from: u64, to: u64) -> Option<Plan> {
    if from == 0 || from > to {
        return None;
    }
    let (mut low, mut high) = (0, to);
    let mut whole = true;
    let mut plan = Plan::new();
    while from != high {
        let middle = low + left_half(high - low);
        if from <= middle {
            plan.push(row(middle, high));
            high = middle;
        } else {
            plan.push(row(low, middle));
            low = middle;
            whole = false;
        }
    }
    // The verifier knows the old root; what remains is that root itself unless something was cut off on its left.
    if !whole {
        plan.push(row(low, high));
    }
    plan.reverse();
    Some(plan)
}

/// Puts the hashes in.
pub fn fill(plan: &Plan, hash: impl Fn(Node) -> Option<Hash>) -> Option<Vec<Hash>> {
    plan.iter()
        .map(|row| {
            let hashes: Option<Vec<Hash>> = row.iter().map(|node| hash(*node)).collect();
            hashes.map(|hashes| fold(&hashes))
        })
        .collect()
}

/// Whether `path` proves that the leaf with this hash stands at `index` in the tree of `size` leaves with this root.
pub fn holds_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut here, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if here & 1 == 1 || here == last {
            hash = node_hash(sibling, &hash);
            while here & 1 == 0 && here != 0 {
                here >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        here >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` proves that the tree of `to` leaves begins with the one of `from` leaves.
pub fn holds_consistency(
    from: u64,
    from_root: &Hash,
    to: u64,
    to_root: &Hash,
    proof: &[Hash],
) -> bool {
    if from == 0 || from > to {
        return false;
    }
    if from == to {
        return proof.is_empty() && from_root == to_root;
    }
    let mut steps = proof.iter();
    let first = if from.is_power_of_two() {
        Some(from_root)
    } else {
        steps.next()
    };
    let Some(first) = first else {
        return false;
    };
    let shift = (from - 1).trailing_ones();
    let (mut here, mut last) = ((from - 1) >> shift, (to - 1) >> shift);
    let (mut old, mut new) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if here & 1 == 1 || here == last {
            old = node_hash(step, &old);
            new = node_hash(step, &new);
            while here & 1 == 0 && here != 0 {
                here >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, step);
        }
        here >>= 1;
        last >>= 1;
    }
    last == 0 && old == *from_root && new == *to_root
}

/// The largest power of two below `leaves`, which are at least two.
fn left_half(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The leaves from `low` to before `high` as complete subtrees. `low` is a multiple of the first one's size, because
/// every split is at a power of two that is at least what follows it.
fn row(mut low: u64, high: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    while low < high {
        let level = (high - low).ilog2();
        nodes.push(Node {
            level: level as u8,
            index: low >> level,
        });
        low += 1 << level;
    }
    nodes
}
