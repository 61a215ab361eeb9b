//! The Merkle tree of RFC 6962 section 2.1: hashes, the right edge of a growing tree, and proofs.
//!
//! Pure: it stores no leaves and reads nothing. A proof is first planned as a list of subtrees ([`proof`]);
//! the caller supplies their hashes.

mod frontier;
pub mod proof;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

pub use frontier::Frontier;

/// SHA-256.
pub type Hash = [u8; 32];

/// A complete subtree with the leaves `index << level` to `(index + 1) << level`, end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// The subtree has `2^level` leaves.
    pub level: u8,
    /// Index of the subtree within its level.
    pub index: u64,
}

/// The hash of a leaf with this data (RFC 6962 section 2.1).
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(data)
        .finalize()
        .into()
}

/// The hash of a tree with these two halves (RFC 6962 section 2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The root of consecutive subtrees, each at most as large as the one before: all but the last are left
/// halves.
pub(crate) fn root_of(hashes: &[Hash]) -> Hash {
    hashes
        .iter()
        .rev()
        .copied()
        .reduce(|right, left| node_hash(&left, &right))
        .unwrap_or_else(|| Sha256::digest([]).into())
}
