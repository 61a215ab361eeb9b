//! The tree, tested with the vectors of Certificate Transparency's first implementation and against
//! `ct-merkle`.

use std::collections::HashMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;

use super::proof::{consistency, fill, inclusion, verify_consistency, verify_inclusion};
use super::{Frontier, Hash, Node, leaf_hash};

/// All subtrees and all roots of a small tree, with the same tree in `ct-merkle`.
struct ReferenceTree {
    nodes: HashMap<Node, Hash>,
    roots: Vec<Hash>,
    other: MemoryBackedTree<sha2::Sha256, Vec<u8>>,
}

fn grow(leaves: &[Vec<u8>]) -> ReferenceTree {
    let mut frontier = Frontier::default();
    let mut tree = ReferenceTree {
        nodes: HashMap::new(),
        roots: vec![frontier.root()],
        other: MemoryBackedTree::new(),
    };
    for (index, data) in leaves.iter().enumerate() {
        let hash = leaf_hash(data);
        let leaf = Node {
            level: 0,
            index: index as u64,
        };
        tree.nodes.insert(leaf, hash);
        frontier.push(hash, |node, hash| {
            tree.nodes.insert(node, hash);
        });
        tree.roots.push(frontier.root());
        tree.other.push(data.clone());
        let bytes = frontier.to_bytes();
        assert_eq!(
            Frontier::from_bytes(frontier.size(), &bytes).as_ref(),
            Some(&frontier)
        );
        assert_eq!(Frontier::from_bytes(frontier.size() * 2 + 1, &bytes), None);
    }
    tree
}

#[test]
fn roots_equal_the_vectors_of_certificate_transparency() {
    let leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let leaves: Vec<Vec<u8>> = leaves.map(|leaf| hex::decode(leaf).unwrap()).into();
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let computed: Vec<String> = grow(&leaves).roots.iter().map(hex::encode).collect();
    assert_eq!(computed, roots);
}

/// RFC 6962 section 2.1.3: the tree of seven leaves `d0` to `d6`.
#[test]
fn proofs_equal_the_example_of_rfc_6962() {
    let symbols = |plan: Vec<Vec<Node>>| -> Vec<String> {
        let name = |node: &Node| match (node.level, node.index) {
            (0, index) => char::from(b"abcdefj"[index as usize]).to_string(),
            (1, index) => char::from(b"ghi"[index as usize]).to_string(),
            (level, _) => ["k", "l"][usize::from(level) - 2].to_owned(),
        };
        let row = |row: &Vec<Node>| row.iter().map(name).collect();
        plan.iter().map(row).collect()
    };
    // The `l` of the RFC is the right half, here `ij`: i is complete, j is d6.
    assert_eq!(symbols(inclusion(0, 7).unwrap()), ["b", "h", "ij"]);
    assert_eq!(symbols(inclusion(3, 7).unwrap()), ["c", "g", "ij"]);
    assert_eq!(symbols(inclusion(4, 7).unwrap()), ["f", "j", "k"]);
    assert_eq!(symbols(inclusion(6, 7).unwrap()), ["i", "k"]);
    assert_eq!(symbols(consistency(3, 7).unwrap()), ["c", "d", "g", "ij"]);
    assert_eq!(symbols(consistency(4, 7).unwrap()), ["ij"]);
    assert_eq!(symbols(consistency(6, 7).unwrap()), ["i", "j", "k"]);
    assert_eq!(consistency(7, 7), Some(Vec::new()));
    for (index, size) in [(0, 0), (7, 7), (u64::MAX, 7)] {
        assert_eq!(inclusion(index, size), None);
    }
    for (from, to) in [(0, 7), (8, 7), (0, 0)] {
        assert_eq!(consistency(from, to), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn roots_and_proofs_equal_those_of_another_implementation(
        leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 1..300),
        picks in prop::array::uniform4(any::<prop::sample::Index>()),
    ) {
        let size = leaves.len() as u64;
        let tree = grow(&leaves);
        let root = tree.roots[leaves.len()];
        let theirs = tree.other.root();
        prop_assert_eq!(&root[..], &theirs.as_bytes()[..]);
        for pick in picks {
            let index = pick.index(leaves.len());
            let plan = inclusion(index as u64, size).unwrap();
            let path = fill(&plan, |node| tree.nodes.get(&node).copied()).unwrap();
            let theirs = tree.other.prove_inclusion(index);
            prop_assert_eq!(path.concat(), theirs.as_bytes());
            let leaf = leaf_hash(&leaves[index]);
            prop_assert!(verify_inclusion(&leaf, index as u64, size, &path, &root));
            prop_assert!(!verify_inclusion(&leaf_hash(b"another leaf"), index as u64, size, &path, &root));

            let from = index as u64 + 1;
            let plan = consistency(from, size).unwrap();
            let proof = fill(&plan, |node| tree.nodes.get(&node).copied()).unwrap();
            if from < size {
                let theirs = tree.other.prove_consistency((size - from) as usize);
                prop_assert_eq!(proof.concat(), theirs.as_bytes());
            }
            let old = tree.roots[index + 1];
            prop_assert!(verify_consistency(from, &old, size, &root, &proof));
            prop_assert!(!verify_consistency(from, &[7; 32], size, &root, &proof));
            if from < size {
                prop_assert!(!verify_consistency(from, &old, size, &old, &proof));
            }
        }
    }

    /// Verification of arbitrary input ends and accepts no false proof.
    #[test]
    fn random_hashes_are_not_a_proof(
        proof in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        from in any::<u64>(),
        to in any::<u64>(),
        leaf in any::<Hash>(),
        root in any::<Hash>(),
    ) {
        prop_assert!(!verify_inclusion(&leaf, from, to, &proof, &root) || leaf == root);
        prop_assert!(!verify_consistency(from, &leaf, to, &root, &proof) || leaf == root);
    }
}
