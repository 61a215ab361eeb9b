//! The right edge of a growing tree: all that is needed to append and to know the root.
//! Must not keep what lies to its left.

use super::{Hash, Node, fold, node_hash};

/// A tree by its size and the hashes of its largest complete subtrees, left to right: one for each bit of the size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Reads what [`Frontier::to_bytes`] wrote; `None` where it does not fit the size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (peaks, rest) = bytes.as_chunks::<32>();
        let fits = rest.is_empty() && peaks.len() == size.count_ones() as usize;
        fits.then(|| Self {
            size,
            peaks: peaks.to_vec(),
        })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The Merkle tree hash; of an empty tree, the hash of nothing.
    pub fn root(&self) -> Hash {
        fold(&self.peaks)
    }

    /// Appends a leaf by its hash, and tells of each subtree that it completes, the smallest first.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(Node, Hash)) {
        let mut hash = leaf;
        for level in 0..self.size.trailing_ones() {
            // There is a peak for each bit that is set, so for each trailing one.
            let left = self.peaks.pop().expect("a peak for each bit of the size");
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
