//! The Merkle tree of RFC 6962, section 2.1: hashes, the right edge of a growing tree, and proofs.
//!
//! Pure: it holds no leaves and reads nothing. A proof is first a list of the subtrees it needs ([`proof`]); whoever
//! keeps their hashes puts them in.

mod frontier;
pub mod proof;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

pub use frontier::Frontier;

/// SHA-256.
pub type Hash = [u8; 32];

/// A complete subtree: its leaves are `index << level` to `(index + 1) << level`, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// It has two to the power of this many leaves.
    pub level: u8,
    /// Its place among those of its level.
    pub index: u64,
}

/// The hash of a leaf with this data.
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(data)
        .finalize()
        .into()
}

/// The hash of a tree with these two halves.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The hash of a row of subtrees, each at most as large as the one before: all are left halves but the last.
pub(crate) fn fold(hashes: &[Hash]) -> Hash {
    hashes
        .iter()
        .rev()
        .copied()
        .reduce(|right, left| node_hash(&left, &right))
        .unwrap_or_else(|| Sha256::digest([]).into())
}
