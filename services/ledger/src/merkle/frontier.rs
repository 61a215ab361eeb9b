//! The right edge of a growing tree: all that is needed to append leaves and to compute the root.

use super::{Hash, Node, node_hash, root_of};

/// A tree as its size and the hashes of its largest complete subtrees, left to right: one for each bit set in
/// the size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Parses the output of [`Frontier::to_bytes`]; `None` if it does not match the size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (peaks, rest) = bytes.as_chunks::<32>();
        let is_valid = rest.is_empty() && peaks.len() == size.count_ones() as usize;
        is_valid.then(|| Self {
            size,
            peaks: peaks.to_vec(),
        })
    }

    /// The hashes, concatenated.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The Merkle tree hash. For an empty tree it is the hash of an empty string.
    pub fn root(&self) -> Hash {
        root_of(&self.peaks)
    }

    /// Appends a leaf by its hash. `completed` is called with each subtree that the leaf completes, the
    /// smallest first.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(Node, Hash)) {
        let mut hash = leaf;
        for level in 0..self.size.trailing_ones() {
            // There is a peak for each bit set in the size, hence for each trailing one.
            let left = self
                .peaks
                .pop()
                .expect("there is a peak for each bit set in the size");
            hash = node_hash(&left, &hash);
            let level = level as u8 + 1;
            let node = Node {
                level,
                index: self.size >> level,
            };
            completed(node, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }
}
