//! Proofs of RFC 6962 sections 2.1.1 and 2.1.2: the subtrees that each needs, and verification by the
//! algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2.

use super::{Hash, Node, node_hash, root_of};

/// A proof before its hashes are known: each value is the root of consecutive complete subtrees.
pub type ProofPlan = Vec<Vec<Node>>;

/// The proof that leaf `index` is in the tree of `size` leaves; `None` unless `index < size`.
pub fn inclusion(index: u64, size: u64) -> Option<ProofPlan> {
    if index >= size {
        return None;
    }
    let (mut low, mut high) = (0, size);
    let mut plan = ProofPlan::new();
    while high - low > 1 {
        let middle = low + left_half(high - low);
        if index < middle {
            plan.push(subtrees(middle, high));
            high = middle;
        } else {
            plan.push(subtrees(low, middle));
            low = middle;
        }
    }
    // The plan was built from the root down; a proof goes from the leaf up.
    plan.reverse();
    Some(plan)
}

/// The proof that the tree of `from` leaves is a prefix of the tree of `to` leaves; `None` unless `0 < from
/// <= to`.
pub fn consistency(from: u64, to: u64) -> Option<ProofPlan> {
    if from == 0 || from > to {
        return None;
    }
    let (mut low, mut high) = (0, to);
    let mut starts_at_zero = true;
    let mut plan = ProofPlan::new();
    while from != high {
        let middle = low + left_half(high - low);
        if from <= middle {
            plan.push(subtrees(middle, high));
            high = middle;
        } else {
            plan.push(subtrees(low, middle));
            low = middle;
            starts_at_zero = false;
        }
    }
    // The rest is the old root, which the verifier knows, unless subtrees to its left were split off.
    if !starts_at_zero {
        plan.push(subtrees(low, high));
    }
    plan.reverse();
    Some(plan)
}

/// Completes a plan with the hashes; `None` if one is missing.
pub fn fill(plan: &ProofPlan, hash: impl Fn(Node) -> Option<Hash>) -> Option<Vec<Hash>> {
    plan.iter()
        .map(|subtrees| {
            let hashes: Option<Vec<Hash>> = subtrees.iter().map(|node| hash(*node)).collect();
            hashes.map(|hashes| root_of(&hashes))
        })
        .collect()
}

/// True if `path` proves that the leaf with this hash is at `index` in the tree of `size` leaves with this
/// root.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
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

/// True if `proof` proves that the tree of `from` leaves is a prefix of the tree of `to` leaves.
pub fn verify_consistency(
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

/// The largest power of two below `leaves`, which must be at least 2.
fn left_half(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The leaves from `low` to below `high` as complete subtrees. `low` is a multiple of the size of the first
/// one, because every split is at a power of two that is at least as large as the rest.
fn subtrees(mut low: u64, high: u64) -> Vec<Node> {
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
